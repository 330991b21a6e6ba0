"""Several hosts on one bus, each with its launcher, its folder and its client processes."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from eventually import eventually
from launching import GATED, WITHOUT, Site, is_alive
from running import running

from perfect_bus.settings import Settings
from perfect_launcher.service import LauncherService
from perfect_schemas.errors import PerfectError
from perfect_schemas.events import ProcessStarted

SAME = GATED.format(name="same")


@pytest.fixture
async def site(settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    settings = msgspec.structs.replace(settings, launcher_host="gateway")
    async with (
        running(settings, groups=WITHOUT) as system,
        httpx.AsyncClient(base_url=system.system.url, timeout=30) as http,
    ):
        site = Site(system, http, tmp_path / "hosts")
        try:
            yield site
        finally:
            for one in site.launchers:
                await one.stop()


async def test_each_runs_only_its_own_and_one_that_is_away_leaves_them_unknown(site: Site) -> None:
    assert (await site.command("start", 503, file="same.py"))["detail"].startswith("no launcher is here")
    one = await site.launcher("one", same=SAME, only=SAME)
    alone = await site.command("start", 202, file="only.py")  # there is no other host
    assert alone["host"] == "one"
    two = await site.launcher("two.lan", same=SAME)
    for verb in ("start", "stop"):
        unsaid = await site.command(verb, 422, file="same.py")
        assert [error["field"] for error in unsaid["errors"]] == ["host"]
        assert "one, two.lan" in unsaid["detail"]
    assert (await site.http.get("/api/client/files")).status_code == 422
    for host, files in (("one", ["only.py", "same.py"]), ("two.lan", ["same.py"])):
        found = (await site.http.get("/api/client/files", params={"host": host})).json()
        assert (found["host"], found["files"]) == (host, files)
    first = await site.command("start", 202, file="same.py", host="one")
    second = await site.command("start", 202, file="same.py", host="two.lan")
    assert first["pid"] != second["pid"]
    assert (await site.command("stop", 200, file="only.py"))["wanted"] is False  # only one host has it
    status = await site.status()
    assert [(host["name"], host["here"]) for host in status["hosts"]] == [("one", True), ("two.lan", True)]
    assert [(one["host"], one["file"], one["running"]) for one in status["clients"]] == [
        ("one", "only.py", False), ("one", "same.py", True), ("two.lan", "same.py", True),
    ]  # fmt: skip
    two.kill()

    async def is_away() -> bool:
        hosts = {host["name"]: host for host in (await site.status())["hosts"]}
        return not hosts["two.lan"]["here"] and hosts["two.lan"]["away_since"] is not None

    await eventually(is_away)
    unknown = await site.until(lambda found: found["unknown_since"] is not None, host="two.lan")
    assert (unknown["known"], unknown["running"], unknown["wanted"]) == (False, False, True)
    assert "unknown" in unknown["detail"]
    assert is_alive(second["pid"])
    assert (await site.command("stop", 503, file="same.py", host="two.lan"))["detail"].startswith(
        "the launcher of the host 'two.lan' is away"
    )
    (known,) = (await site.status(host="one", file="same.py"))["clients"]
    assert (known["pid"], known["running"]) == (first["pid"], True)
    await two.start()
    back = await site.until(lambda found: found["running"], host="two.lan")
    assert back["pid"] == second["pid"]
    assert (await site.command("stop", 200, file="same.py", host="two.lan"))["running"] is False
    assert is_alive(first["pid"])
    for host, pid in (("one", first["pid"]), ("two.lan", second["pid"])):
        started = [e for e in await site.events(host, "same.py") if isinstance(e, ProcessStarted)]
        assert [(e.host, e.pid) for e in started] == [(host, pid)]
    assert one.host == "one"


async def test_the_gateways_own_host_is_meant_when_none_is_said(site: Site) -> None:
    await site.launcher("other", same=SAME)
    await site.launcher("gateway", same=SAME)
    assert (await site.command("start", 202, file="same.py"))["host"] == "gateway"
    assert (await site.http.get("/api/client/files")).json()["host"] == "gateway"


async def test_hosts_and_files_that_are_not_there_are_refused_on_every_host(site: Site) -> None:
    for host in ("one", "two"):
        launcher = await site.launcher(host, same=SAME)
        (launcher.folder / "link.py").symlink_to(site.folder / "outside.py")
    (site.folder / "outside.py").write_text(SAME)
    refused = await site.command("start", 422, file="same.py", host="three")
    assert "'three' has no launcher; there are one, two" in refused["detail"]
    for host in ("", ">", "*", "a b", "one.*", "x" * 500, "one/../two"):
        await site.command("start", 422, file="same.py", host=host)
    for host in ("one", "two"):
        other = "two" if host == "one" else "one"
        for file in (
            "../outside.py",
            "link.py",
            f"../{other}/same.py",
            str(site.folder / other / "same.py"),
            "same.txt",
        ):
            assert "file" in (await site.command("start", 422, file=file, host=host))["detail"]
        await site.command("start", 404, file="none.py", host=host)
    assert (await site.status())["clients"] == []


async def test_a_second_launcher_of_one_host_starts_nothing_and_says_why(site: Site) -> None:
    first = await site.launcher("one", same=SAME)
    second = site.prepare("one", same=SAME)
    began = await site.command("start", 202, file="same.py")
    second.spawn()
    await eventually(
        lambda: "another launcher runs the client processes of the host 'one'" in second.log.read_text()
    )
    assert f"pid {first.pid}" in second.log.read_text()
    assert second.process is not None
    assert second.process.poll() is None
    assert len((await site.status())["clients"]) == 1
    first.kill()
    await eventually(second.is_here)  # once the first is gone, it takes over
    found = await site.until(lambda one: one["running"])
    assert found["pid"] == began["pid"]
    second.process.send_signal(signal.SIGTERM)
    await eventually(lambda: not is_alive(began["pid"]))


@pytest.mark.parametrize("name", ["", "a b", "a..b", "ü", "*", "x" * 129])
async def test_a_name_that_no_host_can_have(start_service, settings: Settings, name: str) -> None:
    chosen = msgspec.structs.replace(settings, launcher_host=name or " ")
    with pytest.raises(PerfectError, match="cannot be the name of a host"):
        await start_service(LauncherService, settings=chosen)
