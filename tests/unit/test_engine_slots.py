"""Named limits: never more holders than slots, nobody starves, and what is folded from the stream is what was decided."""

from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perfect_engine import slots
from perfect_engine.run import Stamp
from perfect_engine.slots import Asker, Limit, next_grants
from perfect_schemas import codec
from perfect_schemas.commands import Holder
from perfect_schemas.errors import InvalidInput
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState as S

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = Stamp(now=NOW, event_id="e")


def holder(run="r", epoch=1, key="k"):
    return Holder(run_id=run, epoch=epoch, key=key)


def limit(name="db", slots_=1, *held):
    """held: runs that are in, each with one slot."""
    state = Limit(name=name, slots=slots_)
    for run in held:
        [event] = slots.grant(Limit(name=name, slots=99), name, holder(run), 1, STAMP)
        state = slots.evolve(state, event, 1)
    return state


def asker(number, *names, rank=0, occupy=1):
    return Asker(
        rank=rank, number=number, holder=holder(f"a{number}"), names=tuple(sorted(names)), occupy=occupy
    )


def admitted(askers, *limits):
    return [one.number for one in next_grants(sorted(askers), {one.name: one for one in limits})]


def life(state=S.RUNNING, epoch=1):
    return RunLife(id="r", flow_id="f", flow_name="etl", state=state, created_at=NOW, last_seq=1, epoch=epoch)


@pytest.mark.parametrize(
    ("askers", "limits", "expected"),
    [
        ([asker(1, "db"), asker(2, "db")], [limit("db", 1)], [1]),
        ([asker(1, "db"), asker(2, "db")], [limit("db", 2)], [1, 2]),
        ([asker(1, "db"), asker(2, "db", rank=-5)], [limit("db", 1)], [2]),
        ([asker(1, "db")], [limit("db", 1, "x")], []),
        ([asker(1, "db")], [limit("db", 0)], []),
        ([asker(1, "db")], [], [1]),
        ([asker(1, "db")], [Limit(name="db", slots=None)], [1]),
        (
            [asker(1, "a", "b"), asker(2, "a")],
            [limit("a", 1), limit("b", 1, "x")],
            [],
        ),  # nobody passes the first
        ([asker(1, "a", "b"), asker(2, "c")], [limit("a", 1), limit("b", 1, "x"), limit("c", 1)], [2]),
        (
            [asker(1, "db", occupy=3), asker(2, "db")],
            [limit("db", 2)],
            [2],
        ),  # it can never come in: it holds up nobody
        ([asker(1, "db", occupy=2), asker(2, "db")], [limit("db", 2, "x")], []),
        ([asker(1, "db")], [limit("db", 1, "x", "y")], []),  # lowered below what is taken
    ],
)
def test_who_comes_in(askers, limits, expected):
    assert admitted(askers, *limits) == expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (life(), None),
        (life(S.CANCELLING), None),
        (life(epoch=2), "superseded"),
        (life(S.PENDING), "run lost"),
        (life(S.PAUSED), "run suspended"),
        (life(S.SCHEDULED), "run to be tried again"),
        (life(S.COMPLETED), "run ended"),
        (life(S.CRASHED, epoch=3), "run ended"),
    ],
)
def test_when_a_grant_is_over(run, expected):
    held = limit("db", 2, "r", "other")
    assert slots.over([held], run) == ([] if expected is None else [("db", holder(), expected)])


def test_said_once():
    held = limit("db", 1, "r")
    assert slots.grant(held, "db", holder(), 1, STAMP) == ()
    assert slots.grant(held, "db", holder("other"), 1, STAMP) == ()
    [released] = slots.release(held, holder(), "released", STAMP)
    free = slots.evolve(held, released, 2)
    assert (free.taken, free.grants) == (0, {})
    assert slots.release(free, holder(), "released", STAMP) == ()
    assert slots.set_limit(free, "db", 1, "ann", STAMP) == ()
    [removed] = slots.remove_limit(free, "db", "ann", STAMP)
    gone = slots.evolve(free, removed, 3)
    assert gone.free is None
    assert slots.remove_limit(gone, "db", "ann", STAMP) == ()
    assert slots.remove_limit(None, "db", "ann", STAMP) == ()


def test_holders_stay_when_the_limit_changes():
    held = limit("db", 2, "x", "y")
    [lowered] = slots.set_limit(held, "db", 1, "ann", STAMP)
    assert slots.evolve(held, lowered, 2).free == -1


def test_the_limit_of_a_flow_is_not_acquired():
    slots.check_name("db")
    with pytest.raises(InvalidInput, match="that of a flow"):
        slots.check_name("flow:etl")


NAMES = ["a", "b", "c"]


class Slots(RuleBasedStateMachine):
    """Askers come and go; what is decided is appended to a log, and a second fold of the log is compared."""

    def __init__(self):
        super().__init__()
        self.limits: dict[str, Limit] = {}
        self.log: list = []
        self.queue: list[Asker] = []
        self.inside: list[Asker] = []
        self.numbers = 0

    def say(self, name, events):
        for event in events:
            self.log.append((name, event))
            self.limits[name] = slots.evolve(self.limits.get(name), event, len(self.log))

    @rule(name=st.sampled_from(NAMES), count=st.integers(0, 3))
    def set_limit(self, name, count):
        self.say(name, slots.set_limit(self.limits.get(name), name, count, "ann", STAMP))
        self.let_in()

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name):
        self.say(name, slots.remove_limit(self.limits.get(name), name, "ann", STAMP))
        self.let_in()

    @rule(
        names=st.sets(st.sampled_from(NAMES), min_size=1), occupy=st.integers(1, 2), rank=st.integers(-1, 0)
    )
    def ask(self, names, occupy, rank):
        self.numbers += 1
        self.queue.append(asker(self.numbers, *names, rank=rank, occupy=occupy))
        self.let_in()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data):
        self.release(data.draw(st.sampled_from(self.inside)))
        self.let_in()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def give_up(self, data):
        self.queue.remove(data.draw(st.sampled_from(self.queue)))
        self.let_in()

    def release(self, one):
        self.inside.remove(one)
        for name in one.names:
            self.say(name, slots.release(self.limits.get(name), one.holder, "released", STAMP))

    def let_in(self):
        before = {name: one.free for name, one in self.limits.items()}
        for one in next_grants(sorted(self.queue), self.limits):
            for name in one.names:
                events = slots.grant(self.limits.get(name), name, one.holder, one.occupy, STAMP)
                self.say(name, events)
                held = self.limits.get(name)
                assert held is None or held.slots is None or held.holds(one.holder)
                assert not events or held.free >= 0  # nobody is let in beyond the slots
            self.queue.remove(one)
            self.inside.append(one)
        for name, free in before.items():  # a lowered limit throws nobody out, and lets nobody in
            now = self.limits[name]
            if free is not None and free < 0:
                assert now.free == free

    @invariant()
    def whoever_could_come_in_is_in(self):
        assert next_grants(sorted(self.queue), self.limits) == []

    @invariant()
    def replay_is_live(self):
        again: dict[str, Limit] = {}
        for seq, (name, event) in enumerate(self.log):
            again[name] = slots.evolve(again.get(name), event, seq)
        assert again == self.limits

    def teardown(self):
        """When everybody leaves in turn, everybody comes in who asks for no more than there is."""
        for name in list(self.limits):
            self.say(name, slots.set_limit(self.limits[name], name, 3, "ann", STAMP))
        self.let_in()
        while self.inside:
            self.release(self.inside[0])
            self.let_in()
        assert self.queue == []


Slots.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSlots = Slots.TestCase


def test_a_condensed_limit_is_the_limit() -> None:
    """Folded on top of what led there, and folded alone."""
    assert slots.condense(None, STAMP) == ()
    for state in (
        limit("db", 3),
        limit("db", 3, "x", "y"),
        Limit(name="db", slots=None, grants=limit("db", 3, "x").grants),
    ):
        [event] = slots.condense(state, STAMP)
        again = codec.decode(codec.encode(event))
        assert slots.evolve(None, again, 9) == slots.evolve(state, again, 9) == state
