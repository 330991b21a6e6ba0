"""What another site could make a visitor's browser send is refused on every route that changes something."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from perfect_bus import Bus
from perfect_gateway.delivery import accepts_gzip, is_known
from perfect_gateway.service import GatewayService

FORMS = ("/flows/x/runs", "/runs/x/cancel", "/schedules/x/pause", "/sql")


@pytest.fixture
async def http(bus: Bus, start_service: Any, settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "content-type": "text/plain"},
    ],
)
async def test_other_sites_change_nothing(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    document = (await http.get("/schema")).json()
    changing = [
        (method.upper(), path)
        for path, found in document["paths"].items()
        for method in found
        if method != "get"
    ]
    assert len(changing) > 25
    for method, path in [*changing, *(("POST", form) for form in FORMS)]:
        answer = await http.request(method, path.replace("{", "").replace("}", ""), headers=headers)
        assert (method, path, answer.status_code) == (method, path, 403)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""])
async def test_no_route_answers_to_another_name(http: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/runs", "/schema", "/api/docs", "/api/events", "/metrics", "/static/dist/app.js"):
        answer = await http.get(path, headers={"host": host})
        assert (path, answer.status_code) == (path, 400)


async def test_an_unchanged_answer_is_not_sent_again(http: httpx.AsyncClient) -> None:
    packed = await http.get("/schema", headers={"accept-encoding": "gzip"})
    plain = await http.get("/schema", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < len(plain.content) / 4
    assert packed.content == plain.content
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    tag = packed.headers["etag"]
    assert tag == plain.headers["etag"]
    same = await http.get("/schema", headers={"if-none-match": f'"another", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert "default-src 'self'" in same.headers["content-security-policy"]
    assert (await http.get("/schema", headers={"if-none-match": '"another"'})).status_code == 200
    docs = await http.get("/api/docs")
    assert docs.headers["content-encoding"] == "gzip"
    assert "etag" not in docs.headers  # pages are not stored
    async with http.stream("GET", "/api/events", headers={"accept-encoding": "gzip"}) as stream:
        assert "content-encoding" not in stream.headers
        assert "etag" not in stream.headers


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (b"gzip", True),
        (b"br, GZIP;q=0.5", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.0", False),
        (b"br", False),
        (b"", False),
    ],
)
def test_accepting_gzip(header: bytes, taken: bool) -> None:
    assert accepts_gzip(header) is taken


@pytest.mark.parametrize(
    ("header", "known"),
    [(b'W/"a"', True), (b'"a"', True), (b'"b", W/"a"', True), (b"*", True), (b'"b"', False), (b"", False)],
)
def test_known_tags(header: bytes, known: bool) -> None:
    assert is_known(header, b'W/"a"') is known
