"""Requests and what is answered to wrong ones."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from litestar.exceptions import NotFoundException, ValidationException

from perfect_gateway import metrics
from perfect_gateway.api.health import system_health
from perfect_gateway.api.logs import LogBody, lines_of
from perfect_gateway.api.runs import TriggerBody, states
from perfect_gateway.log_filter import level_number
from perfect_gateway.outermost import foreign, host_name
from perfect_gateway.pages.flows import form_problems, submitted_tags
from perfect_gateway.problems import invalid, problem_of
from perfect_schemas.commands import Health
from perfect_schemas.errors import FieldError, InvalidInput, ServiceUnavailable

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_problem_of() -> None:
    def of(error: Exception) -> Any:
        return problem_of(error, method="GET", path="/x")

    assert of(ServiceUnavailable("nobody")).status == 503
    assert of(NotFoundException()).detail == "there is nothing at /x; the routes are listed at /schema"
    inner = of(RuntimeError("the password is hunter2"))
    assert inner.status == 500
    assert "hunter2" not in inner.detail
    wrong = of(ValidationException("bad", extra=[{"key": "limit", "message": "too big"}]))
    assert (wrong.status, wrong.errors) == (422, [FieldError("limit", "too big")])


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b'{"configuration":"x"}', "configuration", "Invalid enum value 'x'"),
        (b'{"tags":[1]}', "tags[0]", "Expected str, got int"),
        (b'{"paramters":{}}', "paramters", "is not known"),
        (b"[]", "", "Expected object, got array"),
    ],
)
def test_invalid_names_the_field(body: bytes, field: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(body, type=TriggerBody)
    found = invalid(error.value)
    assert found.errors == [FieldError(field, message)]


def test_form_problems() -> None:
    error = InvalidInput(
        "x",
        [FieldError("parameters.day", "no"), FieldError("parameters.o.in", "no"), FieldError("tags", "no")],
    )
    assert form_problems(error) == [
        {"field": "day", "message": "no"},
        {"field": "o", "message": "in: no"},
        {"field": "tags", "message": "no"},
    ]
    assert form_problems(InvalidInput("all wrong")) == [{"field": "", "message": "all wrong"}]
    assert submitted_tags(" a, b,,a ") == ["a", "b"]


def test_host_name() -> None:
    assert host_name("LOCALHOST:3000") == "localhost"
    assert host_name("[::1]:3000") == "[::1]"
    assert host_name("") == ""


def test_foreign() -> None:
    host = {b"host": b"localhost:3000"}
    assert foreign("GET", {b"origin": b"https://evil"}) is None
    assert foreign("POST", host) is None
    assert foreign("POST", host | {b"origin": b"http://localhost:3000"}) is None
    assert foreign("POST", host | {b"origin": b"http://localhost:3001"}) == "http://localhost:3001"
    assert foreign("POST", host | {b"sec-fetch-site": b"cross-site"}) == "cross-site"


def test_lines() -> None:
    body = msgspec.convert({"logs": ["a", {"message": "b", "level": "error"}], "level": 30}, LogBody)
    assert [(line.message, line.level) for line in lines_of(body, NOW)] == [("a", 30), ("b", 40)]
    assert level_number("Warn") == 30
    for level in ("loud", -1, 101):
        with pytest.raises(InvalidInput):
            level_number(level)
    with pytest.raises(InvalidInput, match="is required"):
        lines_of(LogBody(), NOW)


def test_states() -> None:
    assert states(["problem", "FAILED"]) == ["FAILED", "CRASHED"]
    assert "COMPLETED" not in states(["active"])


def test_health_and_metrics() -> None:
    services = [
        Health(name="engine", status="ready", lag=3, lag_ms=1500, metrics={"live_runs": 2}),
        Health(name='pro"jector', status="degraded"),
    ]
    assert system_health(services[:1]).status == "ready"
    assert system_health(services).status == "degraded"
    text = metrics.text(services, {("GET", 200): 5}, 2)
    assert 'perfect_http_responses_total{method="GET",status="200"} 5\n' in text
    assert 'perfect_service_lag_seconds{service="engine"} 1.5\n' in text
    assert 'perfect_service_ready{service="pro\\"jector"} 0\n' in text
    assert 'perfect_service_metric{service="engine",name="live_runs"} 2' in text
