"""Deployments and versions of flows: what is registered, decided and compared."""

from datetime import UTC, datetime, timedelta

import pytest

from perfect_engine import deployment as applied_deployment
from perfect_engine.deployment_room import Room
from perfect_engine.placement import Waiting, Worker, admit
from perfect_gateway import version_diff
from perfect_gateway.pages.versions import shown
from perfect_registry import deployments, flows, versions
from perfect_schemas import ids
from perfect_schemas.commands import FlowVersion, RegisterFlow, TriggerRun
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.events.flow import Deployment, FlowRegistered, FlowRemoved, TaskDefinition
from perfect_schemas.folds.flow import Flow, evolve
from perfect_schemas.views import StatisticsView, StatisticView
from perfect_sdk import Cron, Interval, flow, serve
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.serving.serve import target_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FLOW = ids.flow_id("etl")


@flow
def etl(day: str = "today", n: int = 1) -> str:
    return day * n


def registered(version: str = "v1", at: datetime = NOW, **given: object) -> FlowRegistered:
    return FlowRegistered(
        id=ids.uuid7(), at=at, source="registry", flow_id=FLOW, name="etl", flow_version=version, **given
    )  # type: ignore[arg-type]


def known(*wanted: Deployment) -> Flow:
    state = evolve(None, registered(), 1)
    for seq, one in enumerate(wanted, 2):
        [event] = deployments.deploy(state, FLOW, one, event_id=ids.uuid7(), now=NOW)
        state = evolve(state, event, seq)
    assert state is not None
    return state


# -- what the registry keeps


def test_a_deployment_is_said_once_and_again_when_it_changes():
    nightly = Deployment(name="nightly", parameters={"n": 2})
    state = known(nightly)
    assert deployments.deploy(state, FLOW, nightly, event_id="e", now=NOW) == ()
    [event] = deployments.deploy(state, FLOW, Deployment(name="nightly"), event_id="e", now=NOW)
    state = evolve(state, event, 9)
    assert state is not None
    assert state.deployments == {"nightly": Deployment(name="nightly")}
    assert state.last_seq == 9


def test_a_new_version_keeps_the_deployments_and_a_removal_ends_them():
    state = evolve(known(Deployment(name="a"), Deployment(name="b")), registered("v2"), 9)
    assert state is not None
    assert sorted(state.deployments) == ["a", "b"]
    [gone] = deployments.undeploy(state, "a", event_id="e", now=NOW)
    state = evolve(state, gone, 10)
    assert state is not None
    assert list(state.deployments) == ["b"]
    with pytest.raises(NotFound, match="it has: b"):
        deployments.undeploy(state, "a", event_id="e", now=NOW)
    state = evolve(state, FlowRemoved(id="e", at=NOW, source="registry", flow_id=FLOW), 11)
    assert state is not None
    assert state.deployments == {}


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ([Deployment(name="")], "deployments.0.name"),
        ([Deployment(name="a/b")], "deployments.0.name"),
        ([Deployment(name="a"), Deployment(name="a")], "deployments.1.name"),
        ([Deployment(name="a", concurrency_limit=0)], "deployments.0.concurrency_limit"),
        ([Deployment(name="a", tags=[" "])], "deployments.0.tags"),
        ([Deployment(name=str(n)) for n in range(deployments.MOST + 1)], "deployments"),
    ],
)
def test_a_wrong_deployment_is_refused_by_name(wanted: list[Deployment], field: str):
    with pytest.raises(InvalidInput) as caught:
        flows.check(RegisterFlow(name="etl", deployments=wanted))
    assert field in [error.field for error in caught.value.errors]


# -- what a run gets of it


def test_defaults_of_a_deployment_give_way_to_the_trigger():
    state = known(Deployment(name="nightly", parameters={"n": 2, "day": "x"}, tags=["prod"]))
    command = TriggerRun(
        run_id=ids.uuid7(), flow="etl", deployment="nightly", parameters={"n": 5}, tags=["me", "prod"]
    )
    got = applied_deployment.applied(command, state)
    assert got.parameters == {"n": 5, "day": "x"}
    assert got.tags == ["prod", "me"]
    assert applied_deployment.checks_parameters(command, state)
    with pytest.raises(NotFound, match="has no deployment 'x'; it has: nightly"):
        applied_deployment.applied(TriggerRun(run_id=ids.uuid7(), flow="etl", deployment="x"), state)


def test_a_deployment_may_take_any_parameters():
    state = known(Deployment(name="loose", enforce_parameter_schema=False))
    command = TriggerRun(run_id=ids.uuid7(), flow="etl", deployment="loose")
    assert not applied_deployment.checks_parameters(command, state)
    assert applied_deployment.checks_parameters(TriggerRun(run_id="r", flow="etl"), state)


def test_the_last_slash_parts_flow_and_deployment():
    assert applied_deployment.split("a/b/c") == ("a/b", "c")
    assert [applied_deployment.split(text) for text in ("a", "/a", "a/")] == [None, None, None]


# -- what the SDK makes


def test_to_deployment_says_all_of_it():
    made = etl.to_deployment(
        "My Nightly",
        schedules=[Cron("0 9 * * *", timezone="Europe/Rome"), Interval(60, slug="often", active=False)],
        parameters={"n": 3},
        tags=["a", "b", "a"],
        description="does it",
        version="7",
        concurrency_limit=2,
        enforce_parameter_schema=False,
    )
    assert made.full_name == "etl/My Nightly"
    assert made.deployment == Deployment(
        name="My Nightly",
        parameters={"n": 3},
        tags=["a", "b"],
        description="does it",
        version="7",
        concurrency_limit=2,
        enforce_parameter_schema=False,
    )
    assert [(one.name, one.deployment, one.active) for one in made.schedules] == [
        ("my-nightly-1", "My Nightly", True),
        ("my-nightly-often", "My Nightly", False),
    ]


def test_rules_may_be_texts_and_numbers_and_paused():
    assert [one.cron for one in etl.to_deployment("a", cron=["0 1 * * *", "0 2 * * *"]).schedules] == [
        "0 1 * * *",
        "0 2 * * *",
    ]
    [one] = etl.to_deployment("a", interval=timedelta(minutes=2), paused=True).schedules
    assert (one.name, one.interval_ms, one.active) == ("a", 120_000, False)
    [one] = etl.to_deployment("a", rrule="FREQ=DAILY").schedules
    assert one.rrule == "FREQ=DAILY"
    assert etl.to_deployment("folder/nightly.py").name == "nightly"


async def test_async_code_makes_one_as_well():
    assert (await etl.ato_deployment("a")).full_name == "etl/a"
    assert (await etl.to_deployment("a")).full_name == "etl/a"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"work_pool_name": "p"}, "perfect worker FILE"),
        ({"job_variables": {"a": 1}}, "environment"),
        ({"triggers": [1]}, "schedule"),
        ({"concurrency_limit": 0}, "whole number"),
        ({"parameters": {"x": 1}}, "no parameter x; it takes: day, n"),
    ],
)
def test_what_is_not_supported_says_what_to_use(options: dict[str, object], says: str):
    with pytest.raises(NotSupported, match=says):
        etl.to_deployment("a", **options)  # type: ignore[arg-type]


def test_two_kinds_of_rules_are_one_too_many():
    with pytest.raises(ValueError, match="not interval and cron"):
        etl.to_deployment("a", cron="0 0 * * *", interval=5)


def test_other_ways_to_deploy_say_what_to_use():
    for call in (etl.deploy, etl.from_source, etl.visualize):
        with pytest.raises(NotSupported, match="perfect"):
            call("x")
    with pytest.raises(NotSupported, match="to_deployment"):
        serve(etl)  # type: ignore[arg-type]
    with pytest.raises(NotSupported, match="needs deployments"):
        serve()


async def test_serve_in_async_code_names_its_twin():
    with pytest.raises(NotSupported, match="await aserve"):
        serve(etl.to_deployment("a"))


def test_a_flow_is_found_by_its_file_and_variable():
    assert target_of(etl).endswith("test_deployments.py:etl") or target_of(etl).endswith(
        ".test_deployments:etl"
    )
    with pytest.raises(NotSupported, match="top level"):
        target_of(etl.with_options(name="other"))


# -- versions


def test_versions_say_when_and_by_whom():
    task = TaskDefinition(id=ids.task_id(FLOW, "load"), name="load")
    schema = {"properties": {"n": {"type": "integer", "default": 1}, "x": {"type": ["string", "null"]}}}
    hour = timedelta(hours=1)
    events = [
        registered("v1", client_name="w1"),
        registered("v2", NOW + hour, client_name="w2", tasks=[task], parameters=schema),
        registered("v3", NOW + 2 * hour, tasks=[task], parameters=schema),
        registered("v2", NOW + 3 * hour, tasks=[task], parameters=schema),
    ]
    found = versions.versions(events)
    assert [one.version for one in found] == ["v2", "v3", "v1"]
    assert [one.is_current for one in found] == [True, False, False]
    assert (found[0].first_seen_at, found[0].last_seen_at) == (NOW + hour, NOW + 3 * hour)
    assert found[0].client_name == "w2"
    assert found[0].changed == ["tasks", "parameters"]
    assert found[0].parameters == ["n: integer = 1", "x: string | null"]
    assert found[1].changed == ["code"]
    assert found[2].changed == []


def version(name: str) -> FlowVersion:
    return FlowVersion(version=name, first_seen_at=NOW, last_seen_at=NOW, is_current=False)


def statistic(name: str, mean: float, count: int = 10, m2: float = 90.0, task: str | None = None):
    return StatisticView(
        id=FLOW,
        flow_name="etl",
        task_name=task,
        avg_duration_ms=mean,
        m2=m2,
        std_dev_ms=1.0,
        sample_count=count,
        min_duration_ms=mean,
        max_duration_ms=mean,
        last_updated=NOW,
        flow_version=name,
    )


def test_two_versions_compared():
    statistics = StatisticsView(
        flows=[statistic("v1", 100.0), statistic("v2", 150.0), statistic("v3", 7.0)],
        tasks=[
            statistic("v1", 10.0, task="load"),
            statistic("v2", 12.0, m2=90_000.0, task="load"),
            statistic("v2", 99.0, task="new"),
            statistic("v3", 1.0, task="load"),
        ],
    )
    found = version_diff.diff(FLOW, "etl", version("v1"), version("v2"), statistics)
    assert (found.run.delta_ms, found.run.delta_percent, found.run.is_clear) == (50.0, 50.0, True)
    load, new = found.tasks
    assert (load.name, load.delta_ms, load.is_clear) == ("load", 2.0, False)
    assert (new.name, new.a, new.delta_ms) == ("new", None, None)


def test_a_single_sample_is_never_clear():
    assert not version_diff.compare("x", statistic("a", 1.0, 1, 0.0), statistic("b", 9.0, 1, 0.0)).is_clear
    assert not version_diff.compare("x", statistic("a", 5.0, m2=0.0), statistic("b", 5.0, m2=0.0)).is_clear
    assert (
        version_diff.compare("x", statistic("a", 0.0, m2=0.0), statistic("b", 5.0, m2=0.0)).delta_percent
        is None
    )


def test_versions_are_named_by_their_beginning_or_place():
    known_ones = [version("abc1"), version("abd2"), version("abd")]
    assert version_diff.chosen(known_ones, "current").version == "abc1"
    assert version_diff.chosen(known_ones, "previous").version == "abd2"
    assert version_diff.chosen(known_ones, "abd").version == "abd"
    assert version_diff.chosen(known_ones, "abc").version == "abc1"
    with pytest.raises(InvalidInput, match="3 versions"):
        version_diff.chosen(known_ones, "ab")
    with pytest.raises(NotFound, match="there are abc1"):
        version_diff.chosen(known_ones, "zz")
    with pytest.raises(NotFound, match="the only one"):
        version_diff.chosen(known_ones[:1], "previous")


def test_the_page_compares_each_version_with_the_one_before_that_ran():
    statistics = [statistic("v1", 100.0), statistic("v3", 40.0)]
    newest, middle, oldest = shown([version("v3"), version("v2"), version("v1")], statistics)
    assert newest.run.delta_ms == -60.0
    assert (middle.run.b, middle.run.delta_ms) == (None, None)
    assert (oldest.run.a, oldest.run.delta_ms) == (None, None)


# -- how many of a deployment's runs may go


def test_what_is_full_does_not_hold_up_its_lane():
    lane = ("default", FLOW)
    full = {"a": "d", "b": "d", "c": None}
    pending = {lane: [Waiting(rank=0, queued_seq=n, run_id=run) for n, run in enumerate("abc")]}
    worker = Worker(client_id="w", slots=10, held=0, flows=frozenset({FLOW}), queues=frozenset({"default"}))

    def admitted(left: int) -> list[str]:
        room = Room({(FLOW, "d"): left}, lambda run: (FLOW, full[run]) if full[run] else None)
        return [one.run_id for _, one in admit(pending, [worker], {}, {}, None, room)]

    assert admitted(2) == ["a", "b", "c"]
    assert admitted(1) == ["a", "c"]
    assert admitted(0) == ["c"]
