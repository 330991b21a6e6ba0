"""Tasks that run in processes of their own."""

import os
import signal
import threading
from pathlib import Path

from perfect_sdk import flow, get_run_logger, runtime, tags, task
from perfect_sdk.task_runners import ProcessPoolTaskRunner


@task
def tenfold(x: int) -> int:
    return 10 * x


@task(task_run_name="work on {x}")
def work(x: int) -> tuple[int, int, str]:
    get_run_logger().info("x is %s", x)
    return (
        os.getpid(),
        tenfold(x),
        f"{runtime.task_run.name}, {runtime.flow_run.name}, {runtime.task_run.tags}",
    )


@task
async def later(x: int) -> int:
    return tenfold(x) + os.getpid() * 0


@task(retries=1)
def dies_once(path: str) -> str:
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@task
def gives_up() -> None:
    os._exit(3)


@task(timeout_seconds=0.2)
def hangs() -> None:
    threading.Event().wait()


@task
def fails() -> None:
    raise KeyError("k")


@task
def unsendable() -> object:
    return threading.Lock()


@flow(name="in-processes", flow_run_name="of {path}", task_runner=ProcessPoolTaskRunner(max_workers=2))
def in_processes(path: str) -> dict[str, object]:
    with tags("blue"):
        made = work.map([1, 2, 3]).result()
    states = [one.submit(return_state=True) for one in (gives_up, hangs, fails, unsendable)]
    return {
        "elsewhere": all(pid != os.getpid() for pid, _, _ in made),
        "values": [value for _, value, _ in made],
        "said": made[0][2],
        "later": later.submit(4).result(),
        "dies_once": dies_once.submit(path).result(),
        "states": [state.name for state in states],
        "messages": [str(state.message) for state in states],
    }
