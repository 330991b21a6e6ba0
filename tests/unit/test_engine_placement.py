"""Admission: never more than fits, never against the turn, never nothing while there is room."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from perfect_engine.placement import AHEAD, Waiting, Worker, admit, offered_to

FLOWS = ["a", "b", "c"]


def lane(flow, queue="default"):
    return (queue, flow)


def worker(name="w", slots=1, held=0, flows=("a",), queues=("default",)):
    return Worker(name, slots, held, frozenset(flows), frozenset(queues))


def offers(name, **fields):
    return msgspec.structs.replace(worker(name, **fields), takes_offers=True)


def test_a_run_is_offered_to_whoever_has_the_most_room():
    workers = [offers("x", slots=4, held=3), offers("y", slots=4, held=1), worker("z", slots=9)]
    assert offered_to(lane("a"), workers, {}) == "y"
    assert offered_to(lane("a"), workers, {"y": 3}) == "x"
    assert (
        offered_to(lane("a"), workers, {"y": 4, "x": 2}) is None
    )  # each has one waiting that it has no slot for
    assert offered_to(lane("b"), workers, {}) is None


def waiting(*numbers, rank=0):
    return [Waiting(rank, n, f"r{n}") for n in numbers]


def ids(admitted):
    return [run.run_id for _, run in admitted]


def test_nobody_serves_it():
    assert admit({lane("a"): waiting(1)}, [], {}, {}) == []
    assert admit({lane("a"): waiting(1)}, [worker(flows=["b"])], {}, {}) == []
    assert admit({lane("a", "gpu"): waiting(1)}, [worker()], {}, {}) == []


def test_as_many_as_fit_and_one_ahead():
    assert ids(admit({lane("a"): waiting(1, 2, 3, 4)}, [worker(slots=2)], {}, {})) == ["r1", "r2", "r3"]
    assert ids(admit({lane("a"): waiting(1, 2, 3, 4)}, [worker(slots=2, held=2)], {}, {})) == ["r1"]


def test_unanswered_hand_overs_count():
    assert ids(admit({lane("a"): waiting(4, 5)}, [worker(slots=2)], {lane("a"): 2}, {})) == ["r4"]
    assert admit({lane("a"): waiting(4)}, [worker(slots=2)], {lane("a"): 3}, {}) == []


def test_round_robin_between_flows():
    pending = {lane("a"): waiting(1, 2, 3), lane("b"): waiting(4, 5)}
    found = admit(pending, [worker(slots=3, flows=["a", "b"])], {}, {})
    assert ids(found) == ["r1", "r4", "r2", "r5"]


def test_the_lane_served_longest_ago_is_next():
    pending = {lane("a"): waiting(1), lane("b"): waiting(2)}
    found = admit(pending, [worker(slots=0, flows=["a", "b"])], {}, {lane("a"): 7, lane("b"): 3})
    assert ids(found) == ["r2"]


def test_priority_first():
    pending = {lane("a"): waiting(1, 2), lane("b"): waiting(9, rank=-5)}
    assert ids(admit(pending, [worker(slots=1, flows=["a", "b"])], {}, {})) == ["r9", "r1"]


def test_a_full_lane_holds_up_no_other():
    pending = {lane("a"): waiting(1, 2), lane("b"): waiting(3, 4)}
    workers = [worker("one", slots=1, held=2, flows=["a"]), worker("two", slots=1, flows=["a", "b"])]
    assert set(ids(admit(pending, workers, {}, {}))) == {"r1", "r3"}
    only_b = [worker("one", slots=1, held=2, flows=["a"]), worker("two", slots=1, flows=["b"])]
    assert ids(admit(pending, only_b, {}, {})) == ["r3", "r4"]


def test_the_limit_of_a_flow_holds_back_that_flow_only():
    pending = {lane("a"): waiting(1, 2, 3), lane("b"): waiting(4, 5)}
    workers = [worker(slots=10, flows=["a", "b"])]
    assert ids(admit(pending, workers, {}, {}, {"a": 1})) == ["r1", "r4", "r5"]
    assert ids(admit(pending, workers, {}, {}, {"a": 0, "b": -1})) == []


workers_strategy = st.lists(
    st.builds(
        Worker,
        client_id=st.uuids().map(str),
        slots=st.integers(1, 4),
        held=st.integers(0, 5),
        flows=st.frozensets(st.sampled_from(FLOWS), min_size=1),
        queues=st.just(frozenset({"default"})),
    ),
    max_size=4,
)
pending_strategy = st.dictionaries(
    st.sampled_from([lane(flow) for flow in FLOWS]),
    st.lists(
        st.builds(Waiting, st.integers(-2, 2), st.integers(1, 10_000), st.uuids().map(str)), max_size=8
    ).map(sorted),
)
counts_strategy = st.dictionaries(st.sampled_from([lane(flow) for flow in FLOWS]), st.integers(0, 5))


@given(pending_strategy, workers_strategy, counts_strategy, counts_strategy)
def test_admission_is_bounded_ordered_and_busy(pending, workers, unanswered, served):
    admitted = admit(pending, workers, unanswered, served)
    assert len(set(ids(admitted))) == len(admitted)
    by_lane = {}
    for where, run in admitted:
        by_lane.setdefault(where, []).append(run)
    for where, runs in by_lane.items():  # within a lane: in order of turn, without a gap
        assert runs == pending[where][: len(runs)]
    room = sum(max(one.slots + AHEAD - one.held, 0) for one in workers)
    assert len(admitted) <= room
    for where, runs in pending.items():  # nothing is left waiting at an idle worker that serves it alone
        serving = [one for one in workers if one.serves(where)]
        if not any(unanswered.values()) and len(by_lane.get(where, [])) < len(runs) and serving:
            assert len(admitted) >= max(one.slots + AHEAD - one.held for one in serving)
