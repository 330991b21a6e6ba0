"""What a run says while it goes, in real event shapes: made fast, the same for the same number, at any time of the past."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, StoredValue

FLOWS = 50
TASKS = 10
LINES_A_MESSAGE = 5
RUN_EVENTS = 4  # scheduled, queued, started and the end; beside them two a task
RESULT = StoredValue(value=msgspec.Raw(b'{"rows": 12}'), size_bytes=12)
BROKEN = ErrorInfo(kind="builtins:ValueError", message="there is no such row")
STEP = timedelta(milliseconds=7)
_CLIENT = ids.flow_id("bench client")
_SOURCE = f"worker:{_CLIENT}"
_NAMES = [f"bench {n}" for n in range(FLOWS)]
_FLOW_IDS = [ids.flow_id(name) for name in _NAMES]
_TASK_IDS = [[ids.task_id(flow_id, f"task {n}") for n in range(TASKS)] for flow_id in _FLOW_IDS]

Said = tuple[str, e.AnyEvent]


def flow_id(number: int) -> str:
    return _FLOW_IDS[number % FLOWS]


def run_id(number: int, at: datetime) -> str:
    return ids.uuid7_for(at, "bench", str(number))


def has_failed(number: int) -> bool:
    return number // FLOWS % 25 == 7


def definitions(at: datetime) -> Iterator[Said]:
    """The flows that the runs are of."""
    for n, name in enumerate(_NAMES):
        tasks = [e.TaskDefinition(id=task_id, name=f"task {k}") for k, task_id in enumerate(_TASK_IDS[n])]
        yield (
            subjects.flow(_FLOW_IDS[n]),
            e.FlowRegistered(
                id=ids.uuid7_for(at, "definition", name), at=at, source=_SOURCE,
                flow_id=_FLOW_IDS[n], name=name, flow_version="1", tasks=tasks[:5],
            ),
        )  # fmt: skip


def run(number: int, at: datetime, *, tasks: int = 5, lines: int = 10) -> Iterator[Said]:
    """One run from its beginning to its end, `STEP` between two events. Every 25th of a flow fails at its last task.

    `lines` log lines in messages of five, spread over the tasks. Durations vary little: no warning follows from them.
    """
    of_run = run_id(number, at)
    run_subject, task_subject, log_subject = subjects.run(of_run), subjects.task(of_run), subjects.log(of_run)
    place = number % FLOWS
    count = 0

    def envelope() -> dict[str, Any]:
        nonlocal count, at
        count += 1
        at += STEP
        return {"id": ids.uuid7_for(at, of_run, str(count)), "at": at, "source": _SOURCE, "run_id": of_run}

    yield (
        run_subject,
        e.RunScheduled(
            **envelope(), flow_id=_FLOW_IDS[place], flow_name=_NAMES[place],
            configuration="release" if number % 3 else "development",
            parameters={"day": "2026-01-01", "number": number},
            tags=["nightly", "rare"] if number % 5_000 == 11 else ["nightly"] if number % 4 == 0 else [],
        ),
    )  # fmt: skip
    yield run_subject, e.RunQueued(**envelope())
    yield run_subject, e.RunStarted(**envelope(), epoch=1, client_id=_CLIENT, client_name="bench")
    messages = lines // LINES_A_MESSAGE
    fails = has_failed(number)
    for n in range(tasks):
        kind = n % TASKS
        key = f"task {kind}-{n // TASKS}"
        base: dict[str, Any] = {
            "task_run_id": ids.task_run_id(of_run, key), "task_key": key, "task_id": _TASK_IDS[place][kind],
            "name": f"task {kind}", "ordinal": n // TASKS, "epoch": 1, "attempt": 1, "input_digest": f"{n:064x}",
            "flow_version": "1",
        }  # fmt: skip
        yield task_subject, e.TaskStarted(**envelope(), **base)
        for m in range(n * messages // tasks, (n + 1) * messages // tasks):
            written = [
                e.LogLine(at=at, level=20, message=f"row {m * LINES_A_MESSAGE + k} of many", task_key=key)
                for k in range(LINES_A_MESSAGE)
            ]
            yield log_subject, e.LogBatch(**envelope(), lines=written)
        duration_ms = 50 + (number + n) % 5
        if fails and n == tasks - 1:
            yield task_subject, e.TaskFailed(**envelope(), **base, duration_ms=duration_ms, error=BROKEN)
        else:
            yield task_subject, e.TaskCompleted(**envelope(), **base, duration_ms=duration_ms, result=RESULT)
    if fails:
        yield run_subject, e.RunFailed(**envelope(), epoch=1, duration_ms=100, error=BROKEN)
    else:
        yield run_subject, e.RunCompleted(**envelope(), epoch=1, duration_ms=100 + number % 7)


def encoded(said: Iterator[Said]) -> Iterator[tuple[str, bytes, str]]:
    """subject, data, id of each event."""
    for subject, event in said:
        yield subject, codec.encode(event), event.id
