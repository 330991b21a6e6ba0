from datetime import UTC, datetime

import msgspec
import pytest

from perfect_registry import clients, flows
from perfect_registry.clients import Client
from perfect_schemas import ids
from perfect_schemas.commands import Presence, RegisterFlow
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.events.client import ClientDisconnected
from perfect_schemas.events.flow import TaskDefinition
from perfect_schemas.folds.flow import evolve

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AT = {"event_id": "e", "now": NOW}


def given(*commands):
    flow = None
    for seq, command in enumerate(commands, 1):
        for event in flows.register(flow, command, **AT):
            flow = evolve(flow, event, seq)
    return flow


def command(version="v1", **fields):
    return RegisterFlow(name="etl", flow_version=version, **fields)


def test_new_again_newer_and_back():
    assert len(flows.register(None, command(), **AT)) == 1
    assert flows.register(given(command()), command(), **AT) == ()
    assert len(flows.register(given(command()), command("v2"), **AT)) == 1
    assert len(flows.register(given(command(), command("v2")), command(), **AT)) == 1  # a rollback


def test_remove_and_back():
    flow = given(command())
    [event] = flows.remove(flow, flow.id, **AT)
    hidden = evolve(flow, event, 2)
    assert hidden.hidden
    assert flows.remove(hidden, flow.id, **AT) == ()
    assert len(flows.register(hidden, command(), **AT)) == 1
    with pytest.raises(NotFound):
        flows.remove(None, flow.id, **AT)


def test_task_ids_follow_from_names():
    tasks = [
        TaskDefinition(id="", name="a"),
        TaskDefinition(id="x", name="b"),
        TaskDefinition(id="", name="a", weight=9),
    ]
    flow = given(command(tasks=tasks))
    assert [(task.id, task.name, task.weight) for task in flow.tasks] == [
        (ids.task_id(flow.id, "a"), "a", 1.0),
        (ids.task_id(flow.id, "b"), "b", 1.0),
    ]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "ok", "flow_version": "v" * 65}, "flow_version"),
        ({"name": "ok", "tags": ["a", ""]}, "tags.1"),
        ({"name": "ok", "tasks": [TaskDefinition(id="", name="t", weight=-1)]}, "tasks.0.weight"),
        ({"name": "ok", "tasks": [TaskDefinition(id="", name="t", weight=float("inf"))]}, "tasks.0.weight"),
        (
            {"name": "ok", "tasks": [TaskDefinition(id="", name="t", estimated_time=-1)]},
            "tasks.0.estimated_time",
        ),
        ({"name": "ok", "parameters": {"type": "array"}}, "parameters.type"),
        ({"name": "ok", "parameters": {"type": "object", "required": 3}}, "parameters.required"),
        (
            {"name": "ok", "parameters": {"properties": {"a": {"$ref": "http://127.0.0.1/x"}}}},
            "parameters",
        ),
    ],
)
def test_what_is_wrong_is_named(fields, wrong):
    with pytest.raises(InvalidInput) as caught:
        flows.check(RegisterFlow(**fields))
    assert [error.field for error in caught.value.errors] == [wrong]


def test_clients():
    presence = Presence(client_id="c", name="n", host="h", pid=1, slots=1)
    [lost] = clients.lose(Client(connected=True), "c", **AT)
    state = clients.evolve(Client(connected=True), lost, 1)
    assert state == Client(lost=True)
    assert clients.lose(state, "c", **AT) == ()
    [back] = clients.find_again(state, presence, **AT)
    assert clients.evolve(state, back, 2) == Client(connected=True)
    gone = clients.evolve(state, ClientDisconnected(id="x", at=NOW, source="w", client_id="c"), 3)
    assert clients.lose(gone, "c", **AT) == ()
    assert clients.find_again(gone, presence, **AT) == ()
    assert clients.lose(None, "c", **AT) == ()


def test_version_of_a_definition_is_stable():
    one = msgspec.structs.replace(command(""), parameters={"a": 1, "b": 2})
    other = msgspec.structs.replace(command(""), parameters={"b": 2, "a": 1})
    assert flows.version_of(one) == flows.version_of(other)
