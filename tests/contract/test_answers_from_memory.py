"""What is kept in memory answers as the file does: after every commit, of whatever runs there are."""

import tempfile
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from in_memory import FLOWS, TASKS, World

from perfect_projector import run_replies, run_text
from perfect_schemas import events as e
from perfect_schemas import queries
from perfect_schemas.envelope import utc_now

step = st.tuples(
    st.sampled_from(
        ["begin", "task", "task", "complete", "fail", "cancel", "warn", "retry", "archive", "sleep", "commit"]
    ),
    st.integers(0, 10**6),
)


@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(steps=st.lists(step, min_size=10, max_size=50))
def test_memory_says_what_the_file_says(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            _live(world, steps)
        finally:
            world.close()


def _live(world: World, steps: list[tuple[str, int]]) -> None:
    runs: list[str] = []
    for kind, number in steps:
        some = runs[number % len(runs)] if runs else None
        match kind:
            case "begin":
                tags = [["a"], ["a", "b"], []][number % 3]
                runs.append(world.begin(FLOWS[number % 2], tags, "release" if number % 2 else "development"))
                world.start(runs[-1])
            case "sleep":
                world.now = min(world.now + timedelta(minutes=number % 120), utc_now())
            case "commit":
                world.commit()
                if world.front.answer(queries.Summary()) is None:
                    world.front.load(world.duck)
                world.check()
            case _ if some is None:
                continue
            case "retry":
                world.run(some, e.RunRetried, by="somebody")
                world.start(some)
            case "archive":
                world.run(some, e.RunArchived)
            case "task":
                world.task(some, number % TASKS, number % 5000)
            case "warn":
                world.warn(some)
            case _:
                ends = {"complete": e.RunCompleted, "fail": e.RunFailed, "cancel": e.RunCancelled}
                if world.epochs[some]:
                    world.end(some, ends[kind], number % 9000)
    world.commit()
    if world.front.answer(queries.Summary()) is None:
        world.front.load(world.duck)
    world.check()


def test_what_was_shown_and_changes_is_shown_anew(tmp_path: Path) -> None:
    """Runs that have ended, over two days: warned of, tried again, archived."""
    world = World(tmp_path)
    try:
        runs = []
        for day in (world.now, utc_now() - timedelta(seconds=5)):
            world.now = day
            for n in range(6):
                runs.append(world.begin(FLOWS[n % 2], ["a"], "release"))
                world.start(runs[-1])
                world.task(runs[-1], n % TASKS, 100 * n)
                world.end(runs[-1], e.RunFailed if n == 5 else e.RunCompleted, 700 * n)
            for _ in range(2):  # the second time all of it is kept
                world.commit()
                world.check()
        world.warn(runs[6])
        world.commit()
        world.check()
        world.run(runs[-1], e.RunRetried, by="somebody")
        world.start(runs[-1])
        world.commit()
        world.check()
        world.task(runs[-1], 2, 4000)
        world.end(runs[-1], e.RunCompleted, 5000)
        world.run(runs[5], e.RunArchived)
        world.commit()
        world.check()
        world.now = utc_now() - timedelta(hours=25)  # a worker whose clock is behind
        late = world.begin("etl", [], "release")
        world.start(late)
        world.end(late, e.RunCompleted, 8000)
        world.commit()
        world.check()
        assert world.front.answer(queries.Summary()) is not None
    finally:
        world.close()


def test_a_text_is_found_in_names_and_tags_and_at_the_ends_of_the_id(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        first = world.begin("etl", ["Nightly", "deadbeef"], "release")
        second = world.begin("report", [], "release")
        world.run(second, e.RunQueued)
        world.commit()

        def found(text: str) -> set[str]:
            query = queries.RunPage(text=text)
            world.check_page(world.reader, query)
            return {run.id for run in run_replies.runs(world.reader, query).runs}

        assert found("REP") == {second}
        assert found("night") == found("EADBEE") == {first}
        for text in (first, first.upper(), first[-8:], first[-13:], first.replace("-", ""), first[24:]):
            assert found(text) == {first}
        assert found(first[:8]) == found(first[:9]) == {first, second}  # made within the same minute
        assert found(first[10:17]) == set()  # neither its beginning nor its end
        assert found("ffff-") == found("-") == found("'%") == set()
        later = world.begin("etl", ["nightly build"], "release")
        world.commit()
        assert found("night") == {first, later}
        world.now = utc_now() - timedelta(minutes=1)
        for n in range(4):
            world.begin(FLOWS[n % 2], ["weekly"], "release")
        world.commit()
        for text in ("etl", "report", "ekly"):  # one page is full with what is close by, the next is not
            cursor = world.check_page(world.reader, queries.RunPage(text=text, limit=1))
            world.check_page(world.reader, queries.RunPage(text=text, limit=1, cursor=cursor))
        assert len(found("etl")) == 4
    finally:
        world.close()


def test_too_many_tags_to_be_known_are_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_text, "MOST_TAGS", 3)
    world = World(tmp_path)
    try:
        runs = [world.begin("etl", [f"tag {n}"], "release") for n in range(5)]
        world.commit()
        for _ in range(2):
            found = world.front.runs.page(world.reader, queries.RunPage(text="tag 2"))
            assert [msgspec.json.decode(bytes(run))["id"] for run in found.runs] == [runs[2]]
    finally:
        world.close()
