"""Asking the projector, and what the answers must be by the streams."""

import statistics
from collections import defaultdict

import msgspec
import pytest

from perfect_bus import Bus
from perfect_schemas import codec, queries, subjects, views
from perfect_schemas import events as e
from perfect_schemas.folds.history import History


async def ask(bus: Bus, name: str, query, kind):
    return msgspec.json.decode((await bus.ask(subjects.query(name), query)).value, type=kind)


async def histories(bus: Bus) -> dict[str, History]:
    found: dict[str, History] = defaultdict(History)
    for seq, subject, data in await bus.read_raw("perfect.evt.>"):
        event = codec.decode(data)
        if isinstance(event, e.Event):
            found[subject.rpartition(".")[2]].apply(event, seq)
    return found


async def check_statistics(bus: Bus, truth: dict[str, History]) -> None:
    """The file's statistics against Python's own, over the completions of the stream."""
    samples: dict[str, list[int]] = defaultdict(list)
    counted = set()
    histories: dict[str, History] = defaultdict(History)
    for seq, subject, data in await bus.read_raw("perfect.evt.>"):
        event = codec.decode(data)
        if not isinstance(event, e.Event):
            continue
        history = histories[subject.rpartition(".")[2]]
        before = history.run
        changed = history.apply(event, seq)
        if isinstance(event, e.TaskCompleted) and changed and event.task_run_id not in counted:
            counted.add(event.task_run_id)
            samples[event.task_id].append(event.duration_ms)
        run = history.run
        if (
            isinstance(event, e.RunCompleted)
            and run is not before
            and not run.interrupted
            and not run.fork_of
        ):
            samples[run.flow_id].append(run.duration_ms)
    shown = await ask(bus, "statistics", queries.Statistics(), views.StatisticsView)
    assert {s.id for s in [*shown.tasks, *shown.flows]} == set(samples)
    for statistic in [*shown.tasks, *shown.flows]:
        values = samples[statistic.id]
        assert statistic.sample_count == len(values)
        assert statistic.avg_duration_ms == pytest.approx(statistics.fmean(values), rel=1e-9)
        assert (statistic.min_duration_ms, statistic.max_duration_ms) == (min(values), max(values))
        if len(values) > 1:
            assert statistic.std_dev_ms == pytest.approx(statistics.stdev(values), rel=1e-9)
        else:
            assert statistic.std_dev_ms is None
    daily = await ask(bus, "statistics", queries.Statistics(by="day", days=3650), views.StatisticsView)
    totals: dict[str, list[views.StatisticView]] = defaultdict(list)
    for one in [*daily.tasks, *daily.flows]:
        totals[one.id].append(one)
    assert totals.keys() == samples.keys()
    for key, days in totals.items():
        assert sum(day.sample_count for day in days) == len(samples[key])
        assert sum(day.sample_count * day.avg_duration_ms for day in days) == pytest.approx(sum(samples[key]))
