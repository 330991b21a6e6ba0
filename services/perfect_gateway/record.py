"""All that is known of one run, as its report and a comparison take it. Pure; `gather` fetches it."""

import msgspec

from perfect_gateway.phases import Phase
from perfect_schemas.events import ClientConnected
from perfect_schemas.views import LogView, RunView, TaskRunView


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """tasks: in order of their start, at most `gather.MOST_TASKS`. clients: those that ran it, by id, as far as still known."""

    run: RunView
    tasks: list[TaskRunView]
    phases: list[Phase] = []
    clients: dict[str, ClientConnected] = {}

    @property
    def last_client(self) -> ClientConnected | None:
        """Who ran it last; None when nobody knows them."""
        ran = [phase.client_id for phase in self.phases if phase.client_id]
        return self.clients.get(ran[-1]) if ran else None


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning and the end of a run's log, with how many lines are left out between them."""

    first: list[LogView]
    left_out: int
    last: list[LogView]
