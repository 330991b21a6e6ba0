"""Tasks in processes of their own: what they see, what becomes of one that dies, and that nothing is left behind."""

import multiprocessing
import sys
import threading
from pathlib import Path

import pytest

from perfect_schemas import events as e
from perfect_sdk import flow, task
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.task_runners import ProcessPoolTaskRunner
from perfect_sdk.testing import resume, run_flow

sys.path.insert(0, str(Path(__file__).parent.parent / "flows"))

from in_processes import in_processes, work


def test_tasks_run_in_processes_and_are_recorded_here(tmp_path: Path) -> None:
    result = run_flow(in_processes, {"path": str(tmp_path / "died")})
    assert result.state == "COMPLETED", result.error
    got = result.result
    assert got["elsewhere"] is True
    assert got["values"] == [10, 20, 30]
    assert got["said"] == f"work on 1, of {tmp_path / 'died'}, ['blue']"
    assert got["later"] == 40
    assert got["dies_once"] == "survived"
    assert got["states"] == ["Crashed", "TimedOut", "Failed", "Failed"]
    assert "exit code 3" in got["messages"][0]
    assert "KeyError: 'k'" in got["messages"][2]
    assert "cannot be sent back" in got["messages"][3]
    tasks = result.history.tasks
    assert tasks["work-0/tenfold-0"].state == "COMPLETED"
    assert tasks["dies_once-0"].attempt == 2
    retried = next(event for event in result.events if isinstance(event, e.TaskRetrying))
    assert "was killed by SIGKILL" in retried.error.message
    assert {line.task_key for line in result.logs if line.message.startswith("x is")} == {
        "work-0",
        "work-1",
        "work-2",
    }
    assert multiprocessing.active_children() == []


def test_what_a_task_in_a_process_has_done_is_not_done_again() -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def main() -> int:
        return work.submit(7).result()[1]

    first = run_flow(main)
    assert first.result == 70
    until = next(n for n, event in enumerate(first.events) if isinstance(event, e.TaskCompleted))
    again = resume(main, first.events[: until + 1])
    assert again.result == 70
    assert [event.task_key for event in again.events if isinstance(event, e.TaskCompleted)] == [
        "work-0/tenfold-0",
        "work-0",
    ]


def test_what_cannot_be_sent_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)

    @task
    def local() -> None:
        pass

    @flow(task_runner=ProcessPoolTaskRunner)
    def main() -> list[str]:
        return [
            str(local.submit(return_state=True).message),
            str(work.submit(threading.Lock(), return_state=True).message),
        ]

    nested, arguments = run_flow(main).result
    assert "top level" in nested
    assert "arguments cannot be sent" in arguments
    with pytest.raises(NotSupported, match="task_runner"):
        flow(task_runner=3)(lambda: None)  # type: ignore[arg-type]
