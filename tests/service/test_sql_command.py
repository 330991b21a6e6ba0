"""`perfect sql` as people use it: in a pipe, in a terminal, and given up with Ctrl-C."""

import asyncio
import json
import os
import pty
import signal
import sys
from typing import Any

import msgspec
import pytest
from eventually import eventually

from perfect_bus.settings import Settings
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_sdk.cli.exits import INTERRUPTED, USAGE

LONG_S = 50.0
ENDLESS = "SELECT count(*) FROM range(100000000000) a, range(1000000) b"
PIPE = asyncio.subprocess.PIPE


@pytest.fixture
async def projector(start_service: Any, settings: Settings) -> ProjectorService:
    return await start_service(
        ProjectorService, settings=msgspec.structs.replace(settings, sql_timeout_s=LONG_S)
    )


@pytest.fixture
async def url(projector: ProjectorService, start_service: Any, settings: Settings) -> str:
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    return f"http://127.0.0.1:{gateway.port}"


async def perfect_sql(url: str, *arguments: str, out: Any = PIPE) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; from perfect_sdk.cli import main; sys.exit(main())", "sql", "--url", url, *arguments,
        stdout=out, stderr=PIPE, env={**os.environ, "COLUMNS": "60"},
    )  # fmt: skip


@pytest.mark.parametrize("rows", [1, 900])
@pytest.mark.parametrize("more", [(), ("--json",), ("--format", "csv")])
async def test_nobody_reads_the_rest(url: str, rows: int, more: tuple[str, ...]) -> None:
    """As in `perfect sql … | head -0`: no traceback, whether the output is short or long."""
    read_end, write_end = os.pipe()
    process = await perfect_sql(url, f"SELECT repeat('x', 200) FROM range({rows})", *more, out=write_end)
    os.close(write_end)
    os.close(read_end)
    _, said = await process.communicate()
    assert said == b""


async def test_ctrl_c_ends_the_command_and_the_query(url: str, projector: ProjectorService) -> None:
    def running() -> float:
        return projector.metrics()["sql_running"]

    process = await perfect_sql(url, ENDLESS)
    await eventually(lambda: running() == 1)
    process.send_signal(signal.SIGINT)
    out, said = await asyncio.wait_for(process.communicate(), LONG_S / 2)
    assert (process.returncode, out, said) == (INTERRUPTED, b"", b"")
    await eventually(lambda: running() == 0, timeout_s=LONG_S / 2)


async def test_json_is_exact(url: str) -> None:
    process = await perfect_sql(url, "SELECT 12345678901234567890.123456789 AS d, NULL AS n", "--json")
    out, _ = await process.communicate()
    found = json.loads(out, parse_float=str)
    assert found["rows"] == [["12345678901234567890.123456789", None]]


async def test_a_table_fits_the_terminal(url: str) -> None:
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    query = "SELECT range AS n, repeat('long ', 20) AS text, NULL AS nothing, 'short' AS word FROM range(3)"
    process = await perfect_sql(url, query, out=follower)
    os.close(follower)
    await process.communicate()
    lines = os.read(leader, 65536).decode().splitlines()
    os.close(leader)
    assert len(lines) == 4
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("0  long long")
    assert "…  NULL" in lines[1]
    assert lines[1].endswith("short")


async def test_wrong_sql_is_a_sentence(url: str) -> None:
    process = await perfect_sql(url, "SELEC 1")
    _, said = await process.communicate()
    assert process.returncode not in (0, USAGE)
    assert said.startswith(b"perfect: ")
    assert b"Traceback" not in said
