from datetime import UTC, datetime

from perfect_schemas.events import FlowRegistered, FlowRemoved, RunQueued, TaskDefinition
from perfect_schemas.folds.flow import evolve

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)


def registered(version: str, at: datetime) -> FlowRegistered:
    return FlowRegistered(
        id=version,
        at=at,
        source="registry",
        flow_id="f",
        name="etl",
        flow_version=version,
        tasks=[TaskDefinition(id="t", name="extract", weight=5, estimated_time=3000)],
    )


def test_the_newest_version_counts_and_the_first_registration_stays_known() -> None:
    flow = evolve(evolve(None, registered("v1", FIRST), 1), registered("v2", LATER), 2)
    assert (flow.version, flow.created_at, flow.registered_at, flow.last_seq) == ("v2", FIRST, LATER, 2)
    assert flow.tasks[0].weight == 5


def test_a_removed_flow_is_hidden_until_it_is_registered_again() -> None:
    flow = evolve(None, registered("v1", FIRST), 1)
    removed = FlowRemoved(id="x", at=LATER, source="registry", flow_id="f")
    hidden = evolve(flow, removed, 2)
    assert (hidden.hidden, hidden.name) == (True, "etl")
    assert evolve(hidden, registered("v1", LATER), 3).hidden is False
    assert evolve(None, removed, 1) is None


def test_other_events_change_nothing() -> None:
    flow = evolve(None, registered("v1", FIRST), 1)
    assert evolve(flow, RunQueued(id="q", at=FIRST, source="engine"), 2) is flow
