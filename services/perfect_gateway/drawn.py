"""The task runs of a run as the read model has them, in columns: for whoever draws them all."""

from perfect_gateway.ask import Asker
from perfect_schemas.drawn import TaskColumns, TaskColumnsView

MOST_ROWS = 100_000


async def task_columns(asker: Asker, run_id: str) -> list[TaskColumnsView]:
    """Page by page, in the order in which they began, at most about `MOST_ROWS` of them."""
    pages: list[TaskColumnsView] = []
    asked = TaskColumns(run_id=run_id)
    while True:
        page, _ = await asker.value("task_columns", asked, TaskColumnsView)
        pages.append(page)
        if page.next is None or sum(len(one.key) for one in pages) >= MOST_ROWS:
            return pages
        asked = TaskColumns(run_id=run_id, after=page.next)
