"""One batch of messages into what it changes in the file: the step that the live write loop and a rebuild share."""

import duckdb

from perfect_projector.batch import Message
from perfect_projector.duck import Duck
from perfect_projector.forecast import curves_of
from perfect_projector.log_row import decode
from perfect_projector.project import Draft, Projection
from perfect_projector.statistic import of_flow_row, of_task_row

# Python's garbage collector, while folding: rows are many small tuples that hold no cycles, and looking for some is a
# fifth of all work
GC_THRESHOLDS = (50_000, 20, 50)
KEEP_BATCHES = 8
MAX_RUNS = 20_000
MAX_TASKS = 50_000
MAX_HELD_BYTES = 64 * 1024 * 1024


def restore(projection: Projection, duck: Duck) -> None:
    """Have in memory what the file says of definitions and statistics."""
    projection.floor = duck.floor()
    projection.definitions.restore(duck.load("load_flows"))
    projection.definitions.schedules.restore(duck.load("load_schedules"))
    flows = duck.load("load_flow_statistics")
    projection.completions.book.restore(
        [*map(of_task_row, duck.load("load_task_statistics")), *map(of_flow_row, flows)]
    )
    projection.completions.curves.restore((row[0], curves_of(row[-1])) for row in flows)
    projection.expectations.restore(duck.load("load_task_counts"))


def fold(
    projection: Projection, duck: Duck, loader: duckdb.DuckDBPyConnection, messages: list[Message]
) -> Draft:
    """`loader`: reads what is committed, while another thread writes the batch before."""
    decoded = decode(messages)
    held = projection.held
    missing = held.missing(decoded)
    if missing:
        held.restore(*duck.load_runs(missing, loader))
    rolls = projection.completions.rolls
    pairs = rolls.missing(decoded, held.entries)
    if pairs:
        rolls.restore(pairs, duck.load_daily_statistics(pairs, loader))
    draft = projection.fold(decoded)
    held.forget(
        projection.batches,
        keep_batches=KEEP_BATCHES,
        max_runs=MAX_RUNS,
        max_tasks=MAX_TASKS,
        max_bytes=MAX_HELD_BYTES,
    )
    rolls.forget(projection.batches - KEEP_BATCHES)
    return draft
