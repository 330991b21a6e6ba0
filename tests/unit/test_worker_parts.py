"""The worker's pure parts: frames, targets, the verdict on a run whose executor died."""

from pathlib import Path

import pytest

from perfect_bus.bus import Connection
from perfect_schemas import ids
from perfect_schemas.commands import HandOver, RegisterFlow
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import InvalidInput
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState
from perfect_sdk.serving import loading
from perfect_sdk.worker.frames import (
    Abandon,
    Cancel,
    Ended,
    FrameStream,
    LoadFailure,
    Ready,
    Serve,
    Start,
    Stop,
    pack,
)
from perfect_sdk.worker.held import MAX_DEATHS, Held, judge

HAND_OVER = HandOver(
    run_id=ids.uuid7(),
    flow_id=ids.flow_id("etl"),
    flow_name="etl",
    queued_seq=3,
    epoch=1,
    configuration="debug",
    parameters={"n": 2**80, "text": "é"},
)
FRAMES = [
    Serve(
        targets=["a.py"],
        connection=Connection(url="nats://127.0.0.1:1", user="u", password="p"),
        client_id="c",
        client_name="n",
        concurrency=3,
    ),
    Start(hand_over=HAND_OVER, epoch=2, claim_seq=9, replay=True),
    Cancel(run_id="r", epoch=1),
    Abandon(run_id="r", epoch=2),
    Ready(flows=[RegisterFlow(name="etl")], failures=[LoadFailure(target="b.py", error="no")]),
    Ended(run_id="r", epoch=1, outcome="completed"),
    Stop(),
]


@pytest.mark.parametrize("size", [1, 3, 7, 100_000])
def test_frames_survive_any_cut(size: int) -> None:
    heard: list = []
    stream = FrameStream(heard.append, lambda: None)
    data = b"".join(pack(frame) for frame in FRAMES)
    for start in range(0, len(data), size):
        stream.data_received(data[start : start + size])
    assert heard == FRAMES


def held(**changes) -> Held:
    return Held(
        **{
            "hand_over": HAND_OVER,
            "epoch": 1,
            "claim_seq": 4,
            "flow_version": None,
            "replay": False,
            **changes,
        }
    )


def life(state: RunState, epoch: int = 1, client_id: str = "me") -> RunLife:
    return RunLife(
        id=HAND_OVER.run_id,
        flow_id=HAND_OVER.flow_id,
        flow_name="etl",
        state=state,
        created_at=utc_now(),
        last_seq=4,
        epoch=epoch,
        client_id=client_id,
    )


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (RunState.RUNNING, "resume"),
        (RunState.CANCELLING, "cancelled"),
        *((state, "drop") for state in RunState if state not in (RunState.RUNNING, RunState.CANCELLING)),
    ],
)
def test_verdict_by_state(state: RunState, verdict: str) -> None:
    assert judge(life(state), held(), "me", deaths=1) == verdict


def test_a_run_that_moved_on_is_dropped() -> None:
    assert judge(life(RunState.RUNNING, epoch=2), held(), "me", deaths=1) == "drop"
    assert judge(life(RunState.CANCELLING, epoch=2), held(), "me", deaths=1) == "drop"
    assert judge(life(RunState.RUNNING, client_id="other"), held(), "me", deaths=1) == "drop"
    assert judge(None, held(), "me", deaths=1) == "drop"


def test_a_deadly_run_is_given_back() -> None:
    assert judge(life(RunState.RUNNING), held(), "me", deaths=MAX_DEATHS - 1) == "resume"
    assert judge(life(RunState.RUNNING), held(), "me", deaths=MAX_DEATHS) == "give_back"
    assert judge(life(RunState.CANCELLING), held(), "me", deaths=MAX_DEATHS) == "cancelled"


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("flows.py", ("flows.py", None)),
        ("dir/flows.py:etl", ("dir/flows.py", "etl")),
        ("package.flows", ("package.flows", None)),
        ("package.flows:etl", ("package.flows", "etl")),
        ("C:/flows.py", ("C:/flows.py", None)),
    ],
)
def test_targets(target: str, parts: tuple[str, str | None]) -> None:
    assert loading.split(target) == parts


FLOWS = """
from perfect_sdk import flow

@flow
def first():
    return 1

@flow(name="The Second")
def second():
    return 2

again = second
"""


def test_loading_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "some_flows_to_load.py"
    file.write_text(FLOWS)
    assert [flow.name for flow in loading.load_flows(str(file))] == ["first", "The Second"]
    assert loading.load_flows(f"{file}:second") == loading.load_flows(f"{file}:The Second")
    assert [flow.name for flow in loading.load_flows("some_flows_to_load")] == ["first", "The Second"]
    with pytest.raises(InvalidInput, match="has no flow 'third'; it has first, second"):
        loading.load_flows(f"{file}:third")


def test_loading_errors(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no file"):
        loading.load_flows(str(tmp_path / "absent.py"))
    with pytest.raises(InvalidInput, match="there is no module 'absent_module'"):
        loading.load_flows("absent_module")
    empty = tmp_path / "an_empty_module.py"
    empty.write_text("x = 1\n")
    with pytest.raises(InvalidInput, match="defines no flow"):
        loading.load_flows(str(empty))
    broken = tmp_path / "a_broken_module.py"
    broken.write_text("import does_not_exist_either\n")
    with pytest.raises(ModuleNotFoundError, match="does_not_exist_either"):
        loading.load_flows(str(broken))
