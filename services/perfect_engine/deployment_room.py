"""How many more runs of each deployment may go, for deployments with a concurrency limit."""

from collections.abc import Callable, Iterable

from perfect_engine.board import Board
from perfect_schemas.folds.flow import Flow

Key = tuple[str, str]
"""(flow id, name of the deployment)"""


class Room:
    """left: for deployments with a limit. of: the deployment of a run, by the run's id."""

    def __init__(self, left: dict[Key, int], of: Callable[[str], Key | None]) -> None:
        self._left = left
        self._of = of

    def is_full(self, run_id: str) -> bool:
        key = self._of(run_id)
        return key is not None and self._left.get(key, 1) <= 0

    def take(self, run_id: str) -> None:
        key = self._of(run_id)
        if key is not None and key in self._left:
            self._left[key] -= 1


def room(board: Board, flows: Iterable[Flow]) -> Room | None:
    """None when no deployment has a limit. What is handed over and not claimed yet counts as going."""

    def of(run_id: str) -> Key | None:
        run = board.runs.get(run_id)
        life = run.state if run is not None else None
        return (life.flow_id, life.deployment) if life is not None and life.deployment is not None else None

    left: dict[Key, int] = {}
    for flow in flows:
        limits = {
            (flow.id, one.name): one.concurrency_limit
            for one in flow.deployments.values()
            if one.concurrency_limit is not None
        }
        if not limits:
            continue
        left |= limits
        going = {run_id for run_id in board.handed if board.handed[run_id].lane[1] == flow.id}
        for run_id in going | board.running.get(flow.id, set()):
            key = of(run_id)
            if key in limits:
                left[key] -= 1
    return Room(left, of) if left else None
