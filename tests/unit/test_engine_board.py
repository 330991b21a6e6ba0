"""The board's indexes always equal what a fresh look at its runs gives."""

from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from perfect_engine.board import HOLDING, Board, lane_of, waiting_of
from perfect_schemas import events as e
from perfect_schemas.events.run import RunScheduled
from perfect_schemas.states import RunState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FLOWS = ["a", "b"]
CLIENTS = ["c1", "c2"]
RUNS = [f"r{n}" for n in range(5)]


class BoardMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.seq = 0
        self.board = Board(lambda _run, _before: None)
        self.held_objects = {}

    def say(self, run_id, kind, event_id=None, **fields):
        self.seq += 1
        event = kind(id=event_id or str(self.seq), at=NOW, source="test", run_id=run_id, **fields)
        self.board.run(run_id).apply(event, self.seq)
        self.board.run(run_id).apply(event, self.seq)  # by the follower too

    @rule(run=st.sampled_from(RUNS), flow=st.sampled_from(FLOWS), child=st.booleans())
    def schedule(self, run, flow, child):
        if run not in self.board.runs:
            origin = {"origin": "child", "parent_run_id": "p"} if child else {}
            self.say(run, RunScheduled, flow_id=flow, flow_name=flow, **origin)

    @rule(run=st.sampled_from(RUNS), priority=st.integers(0, 2))
    def queue(self, run, priority):
        self.say(run, e.RunQueued, priority=priority)

    @rule(run=st.sampled_from(RUNS), flow=st.sampled_from(FLOWS), client=st.sampled_from(["", *CLIENTS]))
    def hand_ahead(self, run, flow, client):
        if self.board.run(run).state is None and run not in self.board.ahead:
            self.board.hand_ahead(run, ("default", flow), f"queued with {run}", client)

    @rule(run=st.sampled_from(RUNS), is_this=st.booleans())
    def withdraw(self, run, is_this):
        ahead, known = self.board.ahead.get(run), self.board.runs.get(run)
        queued_id = ahead.queued_id if ahead else known.queued_id if known else ""
        found = self.board.withdraw(run, queued_id if is_this else "another")
        assert found == (is_this and (run in self.board.ahead or run in self.board.handed))

    @rule(run=st.sampled_from(RUNS))
    def queue_as_handed(self, run):
        ahead = self.board.ahead.get(run)
        life = self.board.run(run).state
        if ahead is not None and life is not None:
            self.say(run, e.RunQueued, event_id=ahead.queued_id)
            assert (run in self.board.handed, run in self.board.ahead) == (True, False)

    @rule(run=st.sampled_from(RUNS))
    def drop_ahead(self, run):
        self.board.drop_ahead(run)

    @rule(run=st.sampled_from(RUNS), client=st.sampled_from(["", *CLIENTS]))
    def hand(self, run, client):
        life = self.board.run(run).state
        if life is not None and waiting_of(life) in self.board.pending.get(lane_of(life), []):
            assert self.board.hand(lane_of(life), waiting_of(life), client) is self.board.runs[run]

    @rule(run=st.sampled_from(RUNS))
    def take_back(self, run):
        self.board.take_back(run, "of another hand-over")
        if run in self.board.handed:
            self.board.take_back(run, self.board.runs[run].queued_id)

    @rule(run=st.sampled_from(RUNS), client=st.sampled_from(CLIENTS))
    def start(self, run, client):
        life = self.board.run(run).state
        self.say(run, e.RunStarted, client_id=client, epoch=(life.epoch if life else 0) + 1)

    @rule(
        run=st.sampled_from(RUNS),
        kind=st.sampled_from(
            ["lost", "suspended", "resumed", "pausing", "cancelling", "cancelled", "crashed", "completed"]
        ),
    )
    def move(self, run, kind):
        fields = {
            "lost": (e.RunLost, {"client_id": "c1", "reason": ""}),
            "suspended": (e.RunSuspended, {"waits_for": "input"}),
            "resumed": (e.RunResumed, {}),
            "pausing": (e.RunPausing, {"by": ""}),
            "cancelling": (e.RunCancelling, {"by": ""}),
            "cancelled": (e.RunCancelled, {}),
            "crashed": (e.RunCrashed, {"reason": ""}),
            "completed": (e.RunCompleted, {"duration_ms": 1}),
        }[kind]
        self.say(run, fields[0], **fields[1])

    @invariant()
    def indexes_follow_from_the_runs(self):
        board = self.board
        lives = [run.state for run in board.runs.values()]
        assert not any(life.state.is_final for life in lives)
        held, taken, flows, children = {}, {}, {}, {}
        for life in lives:
            flows.setdefault(life.flow_id, set()).add(life.id)
            if life.parent_run_id:
                children.setdefault(life.parent_run_id, set()).add(life.id)
            if life.state in HOLDING:
                held.setdefault(life.client_id, set()).add(life.id)
                if life.origin != "child":
                    taken[life.client_id] = taken.get(life.client_id, 0) + 1
        assert (board.held, board.slots_taken, board.flows, board.children) == (held, taken, flows, children)
        queued = {
            life.id for life in lives if life.state is RunState.PENDING and life.queued_seq == life.last_seq
        }
        waiting = [run.run_id for lane in board.pending.values() for run in lane]
        assert sorted([*waiting, *board.handed]) == sorted(queued)
        assert all(lane == sorted(lane) for lane in board.pending.values())
        offered = [one.client_id for one in (*board.handed.values(), *board.ahead.values()) if one.client_id]
        assert board.offered == {client: offered.count(client) for client in {*offered}}
        assert sum(board.unanswered.values()) == len(board.handed) + len(board.ahead)
        assert all(
            run not in board.runs or board.runs[run].state.state is RunState.SCHEDULED for run in board.ahead
        )


BoardMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBoard = BoardMachine.TestCase
