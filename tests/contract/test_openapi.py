"""The OpenAPI document: complete, and kept by the real system whatever is sent to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import requests
import schemathesis
from eventually import eventually
from hypothesis import HealthCheck, Phase, assume, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from running import FLOWS, Running, running
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS

SEED = 20_260_502
EXAMPLES = 5
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# They do not end; tests/service/test_gateway_live.py and test_listeners.py read them.
STREAMS = {"/api/events", "/api/client/executions"}
FLOW = "shows"
RULES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "shown.py")
        yield system


@pytest.fixture
async def http(system: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=system.system.url, timeout=20) as client:
        yield client


async def things(system: Running, http: httpx.AsyncClient) -> dict[str, str]:
    """One of each thing that a path can name, by the name of the path's parameter."""
    first, second = await system.trigger(FLOW), await system.trigger(FLOW)
    for run_id in (first, second):
        await system.until_final(run_id)
    made = {
        "schedule": await http.post(
            "/api/schedules",
            json={"flow": FLOW, "spec": {"name": "a", "kind": "cron", "cron": "0 3 1 1 *"}},
        ),
        "variable": await http.put("/api/variables/a", json={"value": 1}),
        "secret": await http.put("/api/secrets/a", json={"value": "hidden"}),
        "limit": await http.put("/api/engine/limits/a", json={"slots": 2}),
        "query": await http.put("/api/sql/queries/a", json={"text": "SELECT 1"}),
    }
    assert {name: answer.status_code // 100 for name, answer in made.items()} == dict.fromkeys(made, 2)
    shown: list[dict[str, Any]] = []

    async def is_shown() -> bool:
        answer = await http.get(f"/api/engine/runs/{first}/artifacts")
        shown[:] = answer.json() if answer.status_code == 200 else []
        return len(shown) > 2

    await eventually(is_shown)
    flow = (await http.get(f"/api/engine/flows/{FLOW}")).json()
    return {
        "run_id": first,
        "other_id": second,
        "flow_id": flow["id"],
        "task_id": flow["tasks"][0]["id"] if flow["tasks"] else "moves",
        "artifact_id": shown[0]["id"],
        "schedule_id": made["schedule"].json()["id"],
        "deployment": "none",
        "name": "a",
    }


async def test_the_document_says_everything(http: httpx.AsyncClient) -> None:
    """Of each operation what it does, what it takes within which bounds, what it answers, with examples that fit."""
    document = (await http.get("/schema")).json()
    operations = [
        (f"{method} {path}", one)
        for path, found in document["paths"].items()
        for method, one in found.items()
    ]
    assert len({one["operationId"] for _, one in operations}) == len(operations) > 60
    for label, one in operations:
        assert one["summary"], label
        assert one["description"], label
        assert one["tags"], label
        assert {"400", "500", "503"} <= one["responses"].keys(), label
        for parameter in one["parameters"]:
            assert parameter["description"], (label, parameter["name"])
            if parameter["name"] == "limit":
                assert {"minimum", "maximum", "default"} <= parameter["schema"].keys(), label
        contents = [answer.get("content", {}) for answer in one["responses"].values()]
        if "requestBody" in one:
            contents.append(one["requestBody"]["content"])
        for shown in [content["application/json"] for content in contents if "application/json" in content]:
            fits = jsonschema_rs.validator_for({**shown["schema"], "components": document["components"]})
            assert [str(error) for error in fits.iter_errors(shown["example"])] == [], label
            assert shown["example"] not in ({}, None), label


@pytest.mark.timeout(180)
async def test_every_answer_is_as_the_document_says(system: Running, http: httpx.AsyncClient) -> None:
    """What is sent fits the document, or does not: no fault of the server, and each answer of the described shape; what
    does not fit is refused. Of things that there are, and of things that there are not.
    """
    document = (await http.get("/schema")).json()
    named = await things(system, http)
    statuses: dict[str, set[int]] = {}
    wrong = await asyncio.to_thread(lambda: list(attacked(document, system.system.url, named, statuses)))
    assert not wrong, "\n\n".join(wrong)
    never = [label for label, seen in statuses.items() if not any(status < 300 for status in seen)]
    assert len(never) < len(statuses) / 3, never  # otherwise the attack has not come past the door
    assert len(statuses) > 60


def attacked(
    document: dict[str, Any], url: str, named: dict[str, str], statuses: dict[str, set[int]]
) -> Iterator[str]:
    """What is wrong, an entry an operation and mode. What deletes comes last."""
    found = [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]
    with requests.Session() as session:
        for operation in sorted(found, key=lambda one: one.method.lower() == "delete"):
            if operation.path in STREAMS:
                continue
            seen = statuses.setdefault(operation.label, set())
            own = {name: text for name, text in named.items() if f"{{{name}}}" in operation.path}
            takes = operation.query or operation.body
            for mode, given_path in ((RULES[0], {}), (RULES[0], own), (RULES[1], own)):
                if (mode is RULES[1] and not takes) or (mode is RULES[0] and given_path is own and not own):
                    continue
                strategy = operation.as_strategy(generation_mode=mode, path_parameters=given_path or None)
                try:
                    attack(strategy, send_to(url, session, seen, negative=mode is RULES[1]))
                except (Exception, BaseExceptionGroup) as error:
                    if not isinstance(error, Unsatisfiable):
                        yield f"{operation.label} ({mode.value}): {error}"


def send_to(url: str, session: requests.Session, seen: set[int], *, negative: bool) -> Callable[[Any], None]:
    def send(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=url).get("params") or {}
        assume(all(str(value) for value in sent.values()))  # a field of a form that is left empty is left out
        assume(
            all(value or value in (0, False) for value in (case.query or {}).values())
        )  # so is an empty object
        answer = case.call(base_url=url, session=session, timeout=60)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=[*CHECKS, negative_data_rejection] if negative else CHECKS)

    return send


def attack(strategy: Any, send: Callable[[Any], None]) -> None:
    @seed(SEED)
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def one(case: Any) -> None:
        send(case)

    one()
