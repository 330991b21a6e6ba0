"""The form of a schedule, and changes of one."""

from datetime import UTC, datetime

import pytest

from perfect_gateway.pages.schedule_form import complete, fields_of, problems_of, spec_of
from perfect_gateway.schedule_change import changed, check_parameters, known_spec
from perfect_schemas.errors import InvalidInput
from perfect_schemas.events.flow import Deployment
from perfect_schemas.schedule import ScheduleSpec
from perfect_schemas.views import FlowView

AT = datetime(2026, 3, 29, 1, tzinfo=UTC)
SPECS = [
    ScheduleSpec(kind="cron", cron="30 2 * * *", timezone="Europe/Rome", tags=["a", "b"], jitter_ms=1500),
    ScheduleSpec(
        name="n", kind="interval", interval_ms=5_400_000, anchor=AT, timezone="Asia/Kolkata", catchup="all"
    ),
    ScheduleSpec(kind="interval", interval_ms=172_800_000, max_lateness_ms=60_000, overlap="queue"),
    ScheduleSpec(kind="rrule", rrule="FREQ=DAILY", anchor=AT, configuration="release", parameters={"a": [1]}),
    ScheduleSpec(kind="once", at=AT, timezone="America/New_York", deployment="d", active=False),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_a_spec_comes_back_from_its_form(spec: ScheduleSpec) -> None:
    assert spec_of(fields_of(spec), spec) == spec


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("every", "soon", "interval"), ("at", "yesterday", "once"), ("jitter", "x", "cron"), ("parameters", "[1]", "cron"),
        ("timezone", "Nowhere/Land", "once"), ("every", "1e999", "interval"), ("kind", "never", "cron"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_at_its_field(field: str, value: str, kind: str) -> None:
    fields = complete(
        {"kind": kind, "cron": "* * * * *", "every": "5", "at": "2026-05-01T12:00"} | {field: value}
    )
    with pytest.raises(InvalidInput) as refused:
        spec_of(fields)
    assert [one["field"] for one in problems_of(refused.value)] == [field]


def test_a_change_takes_the_place_of_what_it_went_by() -> None:
    spec = SPECS[1]
    assert changed(spec, {"cron": "0 0 * * *"}) == ScheduleSpec(
        name="n", kind="cron", cron="0 0 * * *", timezone="Asia/Kolkata", catchup="all"
    )
    assert changed(spec, {"catchup": None, "interval_ms": 60_000}).interval_ms == 60_000
    assert changed(spec, {"rrule": "FREQ=DAILY"}).anchor is None
    assert changed(spec, {}) == spec
    for wrong in ({"name": "m"}, {"crons": "x"}, {"jitter_ms": "x"}):
        with pytest.raises(InvalidInput) as refused:
            changed(spec, wrong)
        assert [one.field for one in refused.value.errors] == list(wrong)


def test_the_kind_may_be_left_out() -> None:
    assert known_spec({"rrule": "FREQ=DAILY"}).kind == "rrule"
    with pytest.raises(InvalidInput, match="kind"):
        known_spec({"rrule": "FREQ=DAILY", "cron": "* * * * *"})


def test_a_parameter_that_every_run_would_want() -> None:
    flow = FlowView(
        id="f", name="etl", description="", tags=[], version="1", tasks=[], schedules=[],
        parameters={"type": "object", "required": ["day", "n"]},
        deployments=[Deployment(name="d", parameters={"day": "mon"})],
    )  # fmt: skip
    with pytest.raises(InvalidInput) as refused:
        check_parameters(flow, ScheduleSpec(kind="cron", cron="* * * * *", parameters={"n": 1}))
    assert [one.field for one in refused.value.errors] == ["spec.parameters.day"]
    check_parameters(flow, ScheduleSpec(kind="cron", cron="* * * * *", parameters={"n": 1}, deployment="d"))
