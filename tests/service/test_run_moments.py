"""A run that has ended, as it was at any of its events: what is cut from the read model is what its events fold to."""

from types import SimpleNamespace

from projected import ask
from running import FLOWS, SINGLE, running

from perfect_gateway.ask import Asker
from perfect_gateway.cut import is_plain
from perfect_gateway.moment import MomentReader
from perfect_gateway.past import PastReader
from perfect_schemas import drawn, queries, views

COUNT = 60


def shown(history) -> list:
    """What a page shows of it."""
    return [
        history.run,
        [
            (
                one.id,
                one.key,
                one.state,
                one.start_time,
                one.end_time,
                one.duration_ms,
                one.performance_warning,
            )
            for one in history.tasks.values()
        ],
    ]


async def test_a_run_at_its_events(settings):
    async with running(settings, groups=SINGLE) as system:
        await system.worker(FLOWS / "busy.py", name="busy")
        run_id = await system.trigger("Squares", count=COUNT)
        ended = await system.until_final(run_id)
        parts = SimpleNamespace(bus=system.bus, asker=Asker(system.bus))
        detail = queries.RunDetail(run_id=run_id)
        await parts.asker.value_when(
            "run", detail, views.RunView, lambda run, seq: seq >= ended.seq, within_s=60
        )

        past = await PastReader(parts).read(run_id)
        reader = MomentReader(parts)
        found = await ask(system.bus, "run_moment", drawn.RunMoment(run_id=run_id, n=9), drawn.RunMomentView)
        assert is_plain(found)
        assert (found.n, found.seq, found.prior) == (9, past.events[9][0], past.events[8][0])

        for n in (0, 1, 5, len(past.events) // 2, len(past.events) - 1):
            seq, event = past.events[n]
            moment = await reader.at(run_id, seq)
            assert (moment.n, moment.count, moment.event) == (n, len(past.events), event)
            assert shown(moment.history) == shown(past.until(seq))
            assert await reader.seq_of(run_id, n) == seq
        assert (await reader.at(run_id, 0)).n == 0
        assert (await reader.at(run_id, 1 << 80)).n == len(past.events) - 1
        assert await reader.seq_of(run_id, 1 << 80) == past.events[-1][0]

        groups = await ask(system.bus, "task_groups", drawn.TaskGroups(run_id=run_id), drawn.TaskGroupsView)
        assert groups.tasks == len(ended.tasks)
        assert {group.family: sum(group.states.values()) for group in groups.groups} == {
            "square": COUNT,
            "total": 1,
        }
        some = drawn.TaskColumns(run_id=run_id, limit=7)
        page = await ask(system.bus, "task_columns", some, drawn.TaskColumnsView)
        assert page.next is not None
        rest = drawn.TaskColumns(run_id=run_id, after=page.next)
        following = await ask(system.bus, "task_columns", rest, drawn.TaskColumnsView)
        assert len(page.key) == 7
        assert page.key + following.key == list(ended.tasks)
