"""Every statement of the projector runs on an empty database."""

from importlib import resources
from pathlib import Path

import pytest

from perfect_projector import integrity, replies
from perfect_projector.batch import Batch
from perfect_projector.changing import UPDATES
from perfect_projector.duck import Duck
from perfect_projector.sql import statements
from perfect_schemas import charts, drawn, ids, queries
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import NotFound

SCHEMAS = ["events_month.sql", "logs_month.sql", "tables.sql"]
CLAUSES = (".where.", ".order.")
MONTH = "2026_05"
TEXTS = statements() | {name: update.text for name, update in UPDATES.items()}


@pytest.fixture
def duck(tmp_path: Path):
    duck = Duck(tmp_path / "empty.duckdb")
    duck.write(Batch(events={MONTH: []}, logs={MONTH: []}))
    yield duck
    duck.close()


def test_the_schema_files_are_these() -> None:
    folder = resources.files("perfect_schemas") / "sql"
    assert sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql")) == SCHEMAS


def test_the_columns_that_the_design_names(duck: Duck) -> None:
    wanted = {
        "runs": "id flow_id state progress start_time end_time configuration tags client_name last_seq",
        "tasks": "id flow_id name weight estimated_time",
        "task_runs": "id run_id task_id state progress duration_ms performance_warning last_seq",
        "task_statistics": "id flow_name task_name avg_duration_ms m2 sample_count last_updated",
        "flow_statistics": "id flow_name avg_duration_ms m2 sample_count last_updated",
        "consumer_offsets": "consumer stream seq created",
        "events": "stream seq ts type run_id task_run_id payload",
        "logs": "seq n ts run_id task_run_id level message",
    }
    for table, names in wanted.items():
        found = {row[0] for row in duck.connection.execute(f"DESCRIBE {table}").fetchall()}
        assert set(names.split()) <= found, table


def test_one_run_has_the_columns_of_a_page() -> None:
    one, page, some = (
        statements()[name].partition("SELECT")[2].partition("FROM runs")[0]
        for name in ("run", "runs", "runs_at")
    )
    assert one == page
    assert some == f"\n  runs.rowid,{page}"


@pytest.mark.parametrize("name", [n for n in TEXTS if not any(clause in n for clause in CLAUSES)])
def test_every_statement_runs(duck: Duck, name: str) -> None:
    """With no rows: an empty list a column, nothing for a filter."""
    import re

    text = TEXTS[name].replace("{month}", MONTH).replace("{direction}", "ASC")
    text = text.replace("{where}", "").replace("{order}", statements().get(f"{name}.order.start", "1"))
    if named := set(re.findall(r"\$([a-z_]+)", text)):
        samples = {
            "limit": 1,
            "size": 1,
            "after": 0,
            "defs": 0,
            "events": 0,
            "since": utc_now().replace(tzinfo=None),
            "from": utc_now().replace(tzinfo=None),
            "rowids": [],
            "flow_ids": [],
            "task_ids": [],
            "seq": 0,
            "run_ids": [],
        }
        duck.connection.execute(text, {key: samples.get(key, ids.uuid7()) for key in named}).fetchall()
    else:
        count = len(set(re.findall(r"\$\d+", text)))
        one_row = {"set_created": utc_now().replace(tzinfo=None), "set_offset": 1}
        values = ["EVENTS", one_row[name]] if name in one_row else [[] for _ in range(count)]
        duck.connection.execute(text, values).fetchall()


def every_query():
    run_id, now = ids.uuid7(), utc_now()
    filters = {
        "flow": "etl", "state": ["RUNNING"], "tag": "a", "configuration": "debug", "text": "x'%_", "since": now,
        "until": now,
    }  # fmt: skip
    token = replies.page_cursor.encode
    yield "runs", queries.RunPage(**filters)
    yield (
        "runs",
        queries.RunPage(
            flow=ids.flow_id("etl"), ids=[run_id, "no id"], cursor=token("2026-01-01T00:00:00", run_id)
        ),
    )
    yield "runs", queries.RunPage(sort="duration", cursor=token(5, run_id))
    yield "runs", queries.RunPage(text="019a-", tag="a")
    yield "flows", queries.FlowList()
    yield "flows", queries.FlowList(hidden=True)
    yield "statistics", queries.Statistics()
    yield "statistics", queries.Statistics(flow="etl")
    yield "statistics", queries.Statistics(flow=ids.flow_id("etl"))
    yield "clients", queries.ClientList()
    yield "events", queries.EventPage(cursor=token(1))
    yield "summary", queries.Summary()


@pytest.mark.parametrize(
    ("name", "query"), list(every_query()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_query_answers(duck: Duck, name: str, query) -> None:
    kind, reply = replies.REPLIES[name]
    assert isinstance(query, kind)
    reply(duck.reader(), query)


def test_what_there_is_not_is_not_found(duck: Duck) -> None:
    run_id = ids.uuid7()
    log_page = queries.LogPage(run_id=run_id, level=20, text="%", task_run_id=ids.uuid7(), tail=True)
    for name, query in [
        ("run", queries.RunDetail(run_id=run_id)),
        ("run", queries.RunDetail(run_id="'; DROP TABLE runs")),
        ("whole_run", queries.WholeRun(run_id=run_id)),
        ("whole_run", queries.WholeRun(run_id="no id")),
        ("whole_flow", queries.WholeFlow(flow="nope")),
        ("flow_history", charts.FlowHistory(flow="nope")),
        ("flow_history", charts.FlowHistory(flow=ids.flow_id("nope"))),
        ("task_history", charts.TaskHistory(task=ids.uuid7())),
        ("task_history", charts.TaskHistory(task="nope")),
        ("task_runs", queries.TaskRunPage(run_id=run_id)),
        ("run_moment", drawn.RunMoment(run_id=run_id)),
        ("run_moment", drawn.RunMoment(run_id="no id", n=3)),
        ("task_columns", drawn.TaskColumns(run_id="no id")),
        ("task_groups", drawn.TaskGroups(run_id="no id")),
        ("logs", log_page),
        ("logs", queries.LogPage(run_id=run_id)),
        ("logs", queries.LogPage(run_id=run_id, task="a", beyond=(1, 2), tasks=True, text="b")),
        ("events", queries.EventPage(run_id=run_id)),
        ("flow", queries.FlowDetail(flow="nope")),
        ("flow", queries.FlowDetail(flow=ids.flow_id("nope"))),
    ]:
        with pytest.raises(NotFound):
            replies.REPLIES[name][1](duck.reader(), query)


def test_an_empty_file_is_whole(duck: Duck) -> None:
    report, _ = integrity.report(duck.reader(), queries.Integrity(conduct=True, sample=10, holes=True))
    assert [check for check in report.checks if not check.ok] == []
