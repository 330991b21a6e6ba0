"""Artifacts of flows that run in this process."""

import msgspec
import pytest

from perfect_schemas.events import ArtifactSaved, TaskCompleted
from perfect_schemas.folds import artifact as fold
from perfect_sdk import flow, task
from perfect_sdk.artifacts import (
    Artifact,
    acreate_link_artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from perfect_sdk.exceptions import InvalidInput, MissingContextError
from perfect_sdk.testing import resume, run_flow, run_flow_async


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFECT_OFFLINE", "1")


def saved(result):
    return [event for event in result.events if isinstance(event, ArtifactSaved)]


def folded(result):
    lives = {}
    for seq, event in enumerate(saved(result), 1):
        lives[event.artifact_id] = fold.evolve(lives.get(event.artifact_id), event, seq)
    return lives


@task
def moves(n):
    bar = create_progress_artifact(0, key="bar", description="moves")
    for step in range(1, n + 1):
        update_progress_artifact(bar, 100 * step / n)
    return str(bar)


@flow
def shows():
    create_markdown_artifact("# hi", key="text")
    moves(2)
    create_link_artifact("https://example.org", key="link")
    create_table_artifact([{"a": 1}])
    create_image_artifact("/x.png")
    return [moves(1), Artifact.get("link").data, Artifact.get("nothing")]


def test_what_is_saved() -> None:
    result = run_flow(shows)
    lives = folded(result)
    assert [(life.kind, life.key, life.task_key) for life in lives.values()] == [
        ("markdown", "text", None), ("progress", "bar", "moves-0"), ("link", "link", None), ("table", None, None),
        ("image", None, None), ("progress", "bar", "moves-1"),
    ]  # fmt: skip
    assert [msgspec.json.decode(life.data.value) for life in lives.values()] == [
        "# hi", 100.0, {"link": "https://example.org", "text": "https://example.org"}, [{"a": 1}], "/x.png", 100.0,
    ]  # fmt: skip
    assert {life.description for life in lives.values() if life.kind == "progress"} == {"moves"}
    assert result.result[0] in lives
    assert result.result[1:] == ["[https://example.org](https://example.org)", None]


def test_a_replay_saves_the_same_ones_again() -> None:
    whole = run_flow(shows)
    for cut in range(2, len(whole.events)):
        again = resume(shows, whole.events[:cut])
        assert folded(again).keys() == folded(whole).keys()
        assert again.result == whole.result


def test_a_bar_that_moves_fast_is_said_now_and_then_and_where_it_ended() -> None:
    result = run_flow(flow(lambda: [moves(5000), moves(5000)], name="fast"))
    lives = folded(result)
    assert [msgspec.json.decode(life.data.value) for life in lives.values()] == [100.0, 100.0]
    assert [life.task_key for life in lives.values()] == ["moves-0", "moves-1"]
    assert len(saved(result)) < 1000
    order = [type(event) for event in result.events if event.task_key == "moves-0"]
    assert order[-2:] == [ArtifactSaved, TaskCompleted]  # where it ended stands before the end


def test_a_bar_that_is_made_again_and_again_says_the_newest() -> None:
    @flow
    def many():
        made = [create_progress_artifact(n, key="bar", description=str(n)) for n in range(100)]
        update_progress_artifact(made[50], 12.5)
        return [str(one) for one in made]

    result = run_flow(many)
    lives = folded(result)
    first, left_out, last = (lives[result.result[n]] for n in (0, 50, 99))
    assert len(lives) < 100
    assert [msgspec.json.decode(one.data.value) for one in (first, left_out, last)] == [0, 12.5, 99]
    assert all((one.kind, one.key) == ("progress", "bar") for one in lives.values())
    assert (left_out.description, last.description) == ("50", "99")


@task
def makes_bar():
    return str(create_progress_artifact(0, key="bar"))


@flow
def moves_its_callers(bar, to):
    update_progress_artifact(bar, to)


@flow
def handed_down():
    moves_its_callers(makes_bar(), 70)


def test_a_child_moves_the_bar_of_a_task_that_is_replayed() -> None:
    whole = run_flow(handed_down)
    made = next(n for n, event in enumerate(whole.events) if isinstance(event, TaskCompleted))
    again = resume(handed_down, whole.events[: made + 1])
    assert len(saved(again)) == 2  # the first execution's, and where the child has moved it
    (life,) = folded(again).values()
    assert msgspec.json.decode(life.data.value) == 70
    assert {event.run_id for event in saved(again)} == {again.run.run_id}


def test_a_large_one_is_kept_by_reference() -> None:
    @flow
    def large():
        create_markdown_artifact("x" * 300_000)

    result = run_flow(large)
    (event,) = saved(result)
    assert event.data.ref.startswith(result.run.run_id)
    assert len(result.journal.shared.objects[event.data.ref]) == 300_002


async def test_async_code_awaits() -> None:
    @flow
    async def shown():
        first = await create_link_artifact("/a")
        second = await acreate_link_artifact("/b")
        return first != second

    assert (await run_flow_async(shown)).result


@pytest.mark.parametrize(
    "make",
    [
        lambda: create_progress_artifact(101),
        lambda: create_progress_artifact(float("nan")),
        lambda: create_progress_artifact(True),
        lambda: create_table_artifact("text"),  # type: ignore[arg-type]
        lambda: create_table_artifact([1, 2]),  # type: ignore[arg-type]
        lambda: create_markdown_artifact(3),  # type: ignore[arg-type]
        lambda: create_markdown_artifact("x", key="not a key"),
        lambda: update_progress_artifact("no id", 3),
    ],
)
def test_what_cannot_be_shown_is_refused(make) -> None:
    result = run_flow(flow(make, name="wrong"))
    assert isinstance(result.error, InvalidInput)
    assert saved(result) == []


def test_outside_of_a_run_there_is_nothing_to_show_it_on() -> None:
    with pytest.raises(MissingContextError):
        create_markdown_artifact("x")


def test_an_older_epoch_changes_nothing() -> None:
    result = run_flow(shows)
    event = saved(result)[0]
    newer = fold.evolve(None, event, 1)
    older = fold.evolve(newer, ArtifactSaved(
        id=event.id, at=event.at, source="x", run_id=event.run_id, epoch=0, artifact_id=event.artifact_id, data=event.data
    ), 2)  # fmt: skip
    assert older is newer
