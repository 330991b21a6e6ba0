"""Does the read model say what the streams say?

The truth is a fresh fold of the *streams*, read from their first message; the projector's answers are compared with
it run by run, task by task and log line by log line. Of a run whose events have left the bus, the truth is the
projector's log of events, folded here afresh. What differs is said in sentences, one a difference.
"""

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_bus import Bus
from perfect_bus.purging import subjects_on
from perfect_runtime.logged import logged_history
from perfect_schemas import codec, queries, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.events import LogBatch, RunRestored
from perfect_schemas.folds.history import History
from perfect_schemas.views import RunView, TaskRunView, level_name, run_view, task_run_view

if TYPE_CHECKING:
    from nats.aio.msg import Msg

PAGE = 1000


class Report(msgspec.Struct, kw_only=True):
    """events, log_lines: how many the streams hold. runs, task_runs: how many there are by the events.
    archived: how many of the runs were folded from the log, because the bus holds them no more, or not from the first
    event on.
    """

    events: int = 0
    runs: int = 0
    archived: int = 0
    task_runs: int = 0
    log_lines: int = 0
    differences: list[str] = msgspec.field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences


class _Truth:
    def __init__(self) -> None:
        self.histories: dict[str, History] = defaultdict(History)
        self.lines: dict[str, list[tuple[int, int, str, str]]] = defaultdict(list)
        self.partial: set[str] = set()  # runs whose past is only in the log
        self.events = 0


async def verify(bus: Bus, *, timeout_s: float = 30.0) -> Report:
    """Compare the projector's answers with the streams as they are now. Wait for it up to `timeout_s` to catch up.

    Raises ServiceUnavailable when no projector answers.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        ends = await _ends(bus)
        report = await _compare_all(bus, timeout_s)
        # The projector says events itself (performance.warned, performance.running_long): what differs only because
        # one came meanwhile is no difference.
        if report.ok or ends == await _ends(bus) or asyncio.get_running_loop().time() > deadline:
            return report


async def _ends(bus: Bus) -> dict[str, int]:
    return {name: await _last_seq(bus, name) for name in ("EVENTS", "LOGS")}


async def _compare_all(bus: Bus, timeout_s: float) -> Report:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        ends = await _ends(bus)
        truth = _Truth()
        await _read(bus, "EVENTS", ends["EVENTS"], lambda msg, seq, into=truth: _fold_event(into, msg, seq))
        await _read(bus, "LOGS", ends["LOGS"], lambda msg, seq, into=truth: _fold_log(into, msg, seq))
        report = Report(
            events=truth.events,
            log_lines=sum(len(lines) for lines in truth.lines.values()),
        )
        await _wait_until_projected(bus, ends, report, timeout_s)
        if ends == await _ends(bus):
            break
        if asyncio.get_running_loop().time() > deadline:
            break
    shown = {run.id: run for run in await _all_runs(bus)}
    await _add_archived(bus, report, truth, shown)
    report.runs = len(truth.histories)
    report.task_runs = sum(len(history.tasks) for history in truth.histories.values())
    for run_id, history in truth.histories.items():
        await _compare_run(bus, report, run_id, history, shown.pop(run_id, None))
        await _compare_logs(
            bus, report, run_id, truth.lines.get(run_id, []), is_whole=run_id not in truth.partial
        )
    report.differences += [f"run {run_id} is shown but no event speaks of it" for run_id in shown]
    return report


async def _last_seq(bus: Bus, stream: str) -> int:
    return (await bus.js.stream_info(stream)).state.last_seq


async def _read(bus: Bus, stream: str, last: int, each: Any) -> None:
    """Up to the sequence `last`, or the last message before it that is still there."""
    if not (await bus.js.stream_info(stream)).state.messages:
        return
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def callback(msg: "Msg", seq: int) -> None:
        if seq <= last:
            each(msg, seq)
        if (
            seq >= last or msg.reply.endswith(".0")
        ) and not done.done():  # the last token: how many are to come
            done.set_result(None)

    subscription = await bus.follow(stream, callback, after=0)
    try:
        await asyncio.wait_for(done, 60)
    finally:
        await subscription.unsubscribe()


def _fold_event(truth: _Truth, msg: "Msg", seq: int) -> None:
    truth.events += 1
    event = codec.decode(msg.data)
    if isinstance(event, UnknownEvent):
        return
    run_id = msg.subject.rpartition(".")[2]
    if isinstance(event, RunRestored):
        truth.partial.add(run_id)
    truth.histories[run_id].apply(event, seq)


def _fold_log(truth: _Truth, msg: "Msg", seq: int) -> None:
    event = codec.decode(msg.data)
    if isinstance(event, LogBatch):
        lines = truth.lines[msg.subject.rpartition(".")[2]]
        lines += [(seq, n, level_name(line.level), line.message) for n, line in enumerate(event.lines)]


async def _wait_until_projected(bus: Bus, ends: dict[str, int], report: Report, timeout_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        reply = await bus.ask(subjects.query("integrity"), queries.Integrity(), timeout_s=timeout_s)
        integrity = msgspec.json.decode(reply.value, type=queries.IntegrityReport)
        behind = {name: end for name, end in ends.items() if integrity.offsets.get(name, 0) < end}
        if not behind:
            break
        if asyncio.get_running_loop().time() > deadline:
            report.differences.append(
                f"the projector is behind: it has {integrity.offsets}, the streams {ends}"
            )
            break
        await asyncio.sleep(0.1)
    report.differences += [
        f"integrity: {check.name}: {check.detail}" for check in integrity.checks if not check.ok
    ]


async def _all_runs(bus: Bus) -> list[RunView]:
    found: list[RunView] = []
    cursor: str | None = None
    while True:
        reply = await bus.ask(subjects.query("runs"), queries.RunPage(limit=PAGE, cursor=cursor))
        page = msgspec.json.decode(reply.value, type=queries.Runs)
        found += page.runs
        cursor = page.next
        if cursor is None:
            return found


async def _compare_run(
    bus: Bus, report: Report, run_id: str, history: History, shown: RunView | None
) -> None:
    if history.run is None:
        return
    if shown is None:
        report.differences.append(f"run {run_id} ({history.run.state}) is missing")
        return
    expected = run_view(history.run, progress=0, tasks_done=0, tasks_total=0)
    for name in (
        "flow_id", "flow_version", "state", "created_at", "start_time", "end_time", "duration_ms", "parameters", "tags",
        "configuration", "client_name", "attempt", "error", "performance_warning", "name", "origin", "parent_run_id",
    ):  # fmt: skip
        _compare(report, f"run {run_id}: {name}", getattr(expected, name), getattr(shown, name))
    tasks = {task.id: task for task in await _all_tasks(bus, run_id)}
    for life in history.tasks.values():
        task = tasks.pop(life.id, None)
        if task is None:
            report.differences.append(f"run {run_id}: task {life.key} ({life.state}) is missing")
            continue
        wanted = task_run_view(life)
        for name in (
            "run_id", "task_id", "task_key", "name", "state", "start_time", "end_time", "duration_ms", "attempt", "error",
            "performance_warning",
        ):  # fmt: skip
            _compare(
                report, f"run {run_id}: task {life.key}: {name}", getattr(wanted, name), getattr(task, name)
            )
    report.differences += [
        f"run {run_id}: task {task.task_key} is shown but no event made it" for task in tasks.values()
    ]


async def _add_archived(bus: Bus, report: Report, truth: _Truth, shown: dict[str, RunView]) -> None:
    """The runs that the streams do not tell, or not from the beginning, or that left them just now: from the log."""
    there = await subjects_on(bus, "EVENTS", subjects.ALL_RUNS)
    gone = {run_id for run_id in truth.histories if subjects.run(run_id) not in there}
    for run_id in [*(shown.keys() - truth.histories.keys()), *sorted(truth.partial | gone)]:
        logged = await logged_history(bus, run_id)
        if logged.run is None:
            continue
        report.archived += 1
        if not logged.run.state.is_final and run_id not in truth.histories:
            report.differences.append(f"run {run_id} is {logged.run.state}, but the bus holds no event of it")
        truth.histories[run_id] = logged
        truth.partial.add(run_id)


async def _all_tasks(bus: Bus, run_id: str) -> list[TaskRunView]:
    found: list[TaskRunView] = []
    cursor: str | None = None
    while True:
        query = queries.TaskRunPage(run_id=run_id, limit=PAGE, cursor=cursor)
        page = msgspec.json.decode(
            (await bus.ask(subjects.query("task_runs"), query)).value, type=queries.TaskRuns
        )
        found += page.task_runs
        cursor = page.next
        if cursor is None:
            return found


async def _compare_logs(
    bus: Bus, report: Report, run_id: str, expected: list[tuple[int, int, str, str]], *, is_whole: bool
) -> None:
    """is_whole: the stream holds all lines; otherwise some of them may have left it."""
    shown: list[tuple[int, int, str, str]] = []
    cursor: str | None = None
    while True:
        query = queries.LogPage(run_id=run_id, limit=PAGE, cursor=cursor)
        page = msgspec.json.decode((await bus.ask(subjects.query("logs"), query)).value, type=queries.Logs)
        shown += [(line.seq, line.n, line.level, line.message) for line in page.logs]
        cursor = page.next
        if cursor is None:
            break
    if not is_whole:
        shown = shown[-len(expected) :] if expected else []
    if shown != expected:
        report.differences.append(
            f"run {run_id}: {len(shown)} log lines are shown, the stream holds {len(expected)}"
            if len(shown) != len(expected)
            else f"run {run_id}: the log lines differ from the stream's in order or content"
        )


def _compare(report: Report, what: str, expected: Any, shown: Any) -> None:
    if expected != shown:
        report.differences.append(f"{what} is {shown!r}, the stream says {expected!r}")
