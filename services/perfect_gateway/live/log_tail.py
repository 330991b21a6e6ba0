"""Log lines on their way to the pages that show them, in few messages: to each page those that its filter keeps, and of a
flood the newest ones, as many as a page holds.
"""

from collections.abc import Iterable

from perfect_gateway.folded import lines_of
from perfect_gateway.live import fragments
from perfect_gateway.live.outlet import Outlet
from perfect_gateway.live.pace import Pacer
from perfect_gateway.live.topics import part
from perfect_gateway.log_filter import LogFilter
from perfect_schemas import codec
from perfect_schemas.events import LogBatch
from perfect_schemas.views import LogView

LOGS_S = 0.25
MOST_LINES = 2000  # a drawing; a page keeps no more
MOST_BYTES = 32 * 1024 * 1024  # more of one run than this between two drawings: the page is told to reload


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
        topics = self._outlet.audience.parts(f"logs:{run_id}")
        if sum(len(data) for _, data in batches) > MOST_BYTES:
            for topic in topics:
                self._outlet.resync(topic)
            self._outlet.pending_logs.pop(run_id, None)
            return
        decoded = decode(batches)
        drawn = {topic: log_messages(decoded, LogFilter.parse(part(topic)[1])) for topic in topics}
        for topic, messages in drawn.items():
            for html, _ in messages[:-1]:
                self._outlet.send(topic, html)
        self._outlet.pending_logs.pop(run_id, None)  # what follows brings a page up to here
        for topic, messages in drawn.items():
            for html, _ in messages[-1:]:
                self._outlet.send(topic, html)


def decode(batches: Iterable[tuple[int, bytes]]) -> list[tuple[int, LogBatch]]:
    found = [(seq, codec.decode(data)) for seq, data in batches]
    return [(seq, event) for seq, event in found if isinstance(event, LogBatch)]


def log_messages(batches: Iterable[tuple[int, LogBatch]], wanted: LogFilter) -> list[tuple[str, int]]:
    """The fragments of messages on LOGS, newest lines last, about 500 lines each (but whole batches), each with the sequence
    through which it goes: none, when the filter keeps none.
    """
    kept: list[tuple[int, list[LogView]]] = []
    for seq, event in batches:
        views = lines_of(seq, event)
        kept.append(
            (seq, [view for line, view in zip(event.lines, views, strict=True) if wanted.keeps(line)])
        )
    skipped = beyond = max(sum(len(lines) for _, lines in kept) - MOST_LINES, 0)
    found: list[tuple[str, int]] = []
    lines: list[LogView] = []
    for n, (seq, more) in enumerate(kept):
        lines += more[beyond:]
        beyond = max(beyond - len(more), 0)
        if lines and (len(lines) >= fragments.LINES or n == len(kept) - 1):
            html = fragments.log_lines(lines, sought=wanted.text, skipped=0 if found else skipped)
            found.append((html, seq))
            lines = []
    return found
