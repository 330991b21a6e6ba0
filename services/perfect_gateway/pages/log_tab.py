"""The logs tab of a run: a page of its lines, searched by the read model, with the ways to those before and after."""

from typing import Any
from urllib.parse import urlencode

from perfect_gateway import shapes
from perfect_gateway.log_filter import LogFilter
from perfect_gateway.parts import Parts
from perfect_schemas import queries
from perfect_schemas.views import LogView

LINES = 500
FORMATS = (("text", "text"), ("JSON lines", "ndjson"))


class LogTab:
    """before, after: numbers of lines, as `shapes.line_number` makes them: those before it, those after it.
    line: those around it. Without them the newest lines, which the page follows.
    """

    def __init__(self, parts: Parts, run_id: str, wanted: LogFilter) -> None:
        self._parts = parts
        self._run_id = run_id
        self._filter = wanted

    async def shown(
        self, *, before: int | None = None, after: int | None = None, line: int | None = None
    ) -> tuple[dict[str, Any], int]:
        """What the tab takes, and the LOGS sequence that it is as of. Raises NotFound."""
        if line is not None:
            head = await self._page(LINES // 2, before=line + 1)
            rest = await self._page(LINES // 2, after=line)
            lines, earlier, later = [*head.logs, *rest.logs], head.next is not None, rest.next is not None
        elif after is not None:
            head = rest = await self._page(LINES, after=after)
            lines, earlier, later = head.logs, after >= 0, head.next is not None
        else:
            head = rest = await self._page(LINES, before=before)
            lines, earlier, later = head.logs, head.next is not None, before is not None
        return self._context(lines, head, earlier=earlier, later=later), rest.seq

    async def _page(self, limit: int, *, before: int | None = None, after: int | None = None) -> queries.Logs:
        place = before if after is None else after
        query = queries.LogPage(
            run_id=self._run_id,
            limit=limit,
            tail=after is None,
            beyond=None if place is None else shapes.line_place(place),
            count=True,
            tasks=True,
            **self._filter.asked,
        )
        return (await self._parts.asker.value("logs", query, queries.Logs))[0]

    def _context(
        self, lines: list[LogView], page: queries.Logs, *, earlier: bool, later: bool
    ) -> dict[str, Any]:
        logs = [shapes.log_shape(line) for line in lines]
        first, last = (logs[0]["seq"], logs[-1]["seq"]) if logs else (0, 0)
        look = {
            "level": "",
            "task": "",
            **self._filter.fields,
            "filtered": bool(self._filter.fields),
            "total": page.total or 0,
            "tasks": page.tasks or [],
            "before": self._url(before=""),
            "earlier": self._url(before=first) if earlier and logs else None,
            "first": self._url(after=-1),
            "later": self._url(after=last) if later and logs else None,
            "newest": self._url(),
            "downloads": [(name, self._download(kind)) for name, kind in FORMATS],
        }
        return {
            "logs": logs,
            "log_look": look,
            "sought": self._filter.text,
            "log_topic": "" if later else self._filter.topic(self._run_id),
        }

    def _url(self, **place: Any) -> str:
        return f"/runs/{self._run_id}?{urlencode({'tab': 'logs', **self._filter.fields, **place})}"

    def _download(self, kind: str) -> str:
        fields = {"text" if name == "q" else name: text for name, text in self._filter.fields.items()}
        return f"/api/engine/runs/{self._run_id}/logs/download?{urlencode({'format': kind, **fields})}"
