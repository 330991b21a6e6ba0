"""The process of one query, from outside: started, read up to a bound, killed at the deadline."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import BinaryIO

import msgspec

from perfect_projector.sandbox.wire import Order, Verdict, split

GRACE_S = 1.0  # to start, and to end by itself at the deadline with a better sentence than ours
SLACK_BYTES = 1024 * 1024
READ_BYTES = 256 * 1024
_KEPT = ("PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "SYSTEMROOT")


async def run(order: Order) -> tuple[bytes, Verdict]:
    """(body, verdict). Never raises for what the query does; cancelled, it kills the process."""
    output = bytearray()
    async with _output() as (reader, write_end):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "perfect_projector.sandbox",
            stdin=asyncio.subprocess.PIPE,
            stdout=write_end,
            cwd="/",
            env=_environment(),
        )
        write_end.close()  # only the process writes: its end is the end of the stream
        try:
            async with asyncio.timeout(order.deadline_s + GRACE_S):
                whole = await _exchange(process, reader, order, output)
                if whole:
                    await process.wait()
        except TimeoutError:
            return b"", Verdict(outcome="exceeded", message=order.too_long)
        finally:
            await _end(process)
    if not whole:
        return b"", Verdict(
            outcome="exceeded",
            message=f"the result is larger than {order.max_bytes / 2**20:g} MB: narrow it, or read a snapshot "
            "with a DuckDB client (`perfect snapshot` says where it is)",
        )
    return split(bytes(output)) or (b"", _fallen(process.returncode))


@contextlib.asynccontextmanager
async def _output() -> AsyncIterator[tuple[asyncio.StreamReader, BinaryIO]]:
    """A real pipe: uvloop would make a socket, which DuckDB cannot open as /dev/stdout."""
    read_number, write_number = os.pipe()
    write_end = os.fdopen(write_number, "wb", 0)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES)
    try:
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_number, "rb", 0)
        )
    except BaseException:
        write_end.close()
        raise
    try:
        yield reader, write_end
    finally:
        write_end.close()
        transport.close()


async def _exchange(
    process: asyncio.subprocess.Process, reader: asyncio.StreamReader, order: Order, output: bytearray
) -> bool:
    """Send the order, gather what comes. Returns False when it is more than was asked for."""
    if process.stdin is None:
        raise RuntimeError("the process has no stdin")
    with contextlib.suppress(ConnectionError):  # it died at once: its exit code says more
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        await process.stdin.drain()
    while data := await reader.read(READ_BYTES):
        output += data
        if len(output) > order.max_bytes + SLACK_BYTES:
            return False
    return True


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.kill()
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


def _fallen(code: int | None) -> Verdict:
    """A process that ended without a word: the operating system or a crash in the engine ended it."""
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return Verdict(
        outcome="exceeded", message=f"the query's process was ended by its limits ({how}): narrow the query"
    )


def _environment() -> dict[str, str]:
    """No address and no password of the system is in it."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
