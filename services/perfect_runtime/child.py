"""Child processes that never outlive their parent.

On Linux the kernel signals them when the parent dies (PR_SET_PDEATHSIG), SIGKILL of the parent included. They run in
a session of their own, so that Ctrl-C in a terminal reaches the parent alone, which ends them in order.
"""

import asyncio
import contextlib
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from perfect_bus.forked import Forked
from perfect_runtime.parent_death import die_with_parent


def spawn(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    output: IO[Any] | int | None = None,
    pass_fds: Sequence[int] = (),
    death_signal: int = signal.SIGKILL,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child. Call it on the main thread: the kernel ties the child to the thread that made it.

    output: where stdout and stderr go; None: the parent's own.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        env=dict(env) if env is not None else None,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        pass_fds=tuple(pass_fds),
        cwd=cwd,
        start_new_session=True,
        preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509  # two libc calls; no other thread holds a lock
    )


async def exited(process: subprocess.Popen[bytes] | Forked) -> int:
    """Wait for the end of a child without polling. Returns its exit code (-n: signal n)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()

    def tell(code: int) -> None:
        if not done.done():
            done.set_result(code)

    def wait() -> None:
        code = process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, code)

    threading.Thread(target=wait, name=f"wait-{process.pid}", daemon=True).start()
    return await done


def end(process: subprocess.Popen[bytes] | Forked, grace_s: float) -> int:
    """SIGTERM, then SIGKILL after `grace_s`. Blocks. Returns the exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
