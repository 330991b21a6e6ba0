"""Log lines on their way to the pages that show them: every line, in few messages."""

from collections.abc import Iterator

from perfect_gateway.folded import lines_of
from perfect_gateway.live import fragments
from perfect_gateway.live.outlet import Outlet
from perfect_gateway.live.pace import Pacer
from perfect_schemas import codec
from perfect_schemas.events import LogBatch
from perfect_schemas.views import LogView

LOGS_S = 0.25
MOST_BYTES = 4 * 1024 * 1024  # more of one run than this between two drawings: the page is told to reload


class LogTail:
    """`draw` is what the pacer calls for the key `("logs", run id)`."""

    def __init__(self, outlet: Outlet, pacer: Pacer) -> None:
        self._outlet = outlet
        self._pacer = pacer
        self._waiting: dict[str, list[tuple[int, bytes]]] = {}

    def heard(self, seq: int, run_id: str, data: bytes) -> None:
        if self._outlet.audience.has(f"logs:{run_id}"):
            self._waiting.setdefault(run_id, []).append((seq, data))
            self._outlet.pending_logs.setdefault(run_id, seq)
            self._pacer.ask(("logs", run_id), LOGS_S)

    def forget_unwatched(self) -> None:
        for run_id in [run_id for run_id in self._waiting if not self._outlet.audience.has(f"logs:{run_id}")]:
            del self._waiting[run_id]
            self._outlet.pending_logs.pop(run_id, None)
            self._pacer.drop(("logs", run_id))

    def draw(self, run_id: str) -> None:
        batches = self._waiting.pop(run_id, [])
        topic = f"logs:{run_id}"
        if sum(len(data) for _, data in batches) > MOST_BYTES:
            self._outlet.resync(topic)
        else:
            for html, through in log_messages(batches):
                self._outlet.pending_logs[run_id] = through + 1
                self._outlet.send(topic, html)
        self._outlet.pending_logs.pop(run_id, None)


def log_messages(batches: list[tuple[int, bytes]]) -> Iterator[tuple[str, int]]:
    """The rendered fragments of messages on LOGS, about 500 lines each (but whole batches), each with the sequence
    through which it goes.
    """
    lines: list[LogView] = []
    for n, (seq, data) in enumerate(batches):
        event = codec.decode(data)
        if isinstance(event, LogBatch):
            lines += lines_of(seq, event)
        if lines and (len(lines) >= fragments.LINES or n == len(batches) - 1):
            yield fragments.log_lines(lines), seq
            lines = []
