"""The processes that `perfect up` forks before it does anything else: told what to do, ended, and made anew when they die."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import alive, start, tree, until_says
from eventually import eventually

from perfect_bus.forked import is_possible
from perfect_runtime.forked import fork_services
from perfect_runtime.natsd import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every process is a new Python")

ALONE = """
import sys, json
from perfect_runtime.forked import fork_services as fork
from perfect_runtime.child import end
made = fork([("registry",), ("engine", "launcher")])
print(json.dumps({"+".join(names): one.pid for names, one in made.items()}), flush=True)
"""


def run(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ALONE + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


async def test_they_are_shown_as_what_they_are_and_wait_for_an_order():
    parent = run("sys.stdin.read()")
    assert parent.stdout is not None
    pids = json.loads(parent.stdout.readline())
    for label, pid in pids.items():
        wanted = ["perfect", "service", *label.split("+")]
        await eventually(lambda pid=pid, wanted=wanted: command_line(pid) == wanted)
        assert os.getsid(pid) == pid  # Ctrl-C in a terminal does not reach it
    assert len(alive(list(pids.values()))) == 2
    parent.kill()
    parent.communicate()
    await eventually(lambda: not alive(list(pids.values())))


def test_one_that_is_ended_before_it_begins_leaves_nothing():
    parent = run("print([end(one, 5) for one in made.values()], flush=True)")
    said, _ = parent.communicate(timeout=60)
    pids, codes = said.splitlines()
    assert not alive(list(json.loads(pids).values()))
    assert json.loads(codes) == [-signal.SIGTERM] * 2


def test_one_that_died_is_heard_of_by_its_end():
    parent = run(
        "one = made['registry',]; one.kill(); one.wait(60); one.begin({'A': 'x' * 200_000}, None)\n"
        "print(one.poll(), one.wait(), end(one, 1), flush=True); [end(other, 5) for other in made.values()]"
    )
    assert parent.communicate(timeout=60)[0].splitlines()[1] == "-9 -9 -9"


def test_a_service_that_cannot_be_loaded_says_so_in_its_log(tmp_path):
    code = (
        "one = fork([('nonsense',)])['nonsense',]\n"
        f"one.begin({{}}, __import__('pathlib').Path({str(tmp_path / 'log')!r}))\n"
        "print(one.wait(), flush=True); [end(other, 5) for other in made.values()]"
    )
    assert run(code).communicate(timeout=60)[0].splitlines()[1] == "2"
    assert "there is no service 'nonsense'" in (tmp_path / "log").read_text()


def test_nothing_is_forked_beside_another_thread():
    code = (
        "import threading; threading.Thread(target=sys.stdin.read, daemon=True).start()\n"
        "print(fork([('registry',)]), flush=True); [end(one, 5) for one in made.values()]"
    )
    parent = run(code)
    assert parent.stdout is not None
    assert [parent.stdout.readline() for _ in range(2)][1] == "{}\n"
    parent.communicate()


def test_nothing_is_forked_where_the_kernel_cannot_tell_of_ends(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    assert not is_possible()
    assert fork_services([("registry",)]) == {}


async def test_what_up_has_forked_comes_back_as_a_new_python(tmp_path):
    up = await start("up", "--port", str(free_port("127.0.0.1")), cwd=tmp_path)
    await until_says(up, "stop with Ctrl-C")
    below = {label(pid): pid for pid in tree(up.pid)}
    assert below.keys() >= {"gateway", "projector", "registry+engine+launcher"}
    for service in ("projector", "registry+engine+launcher", "gateway"):
        assert "ready" in (tmp_path / ".perfect" / "logs" / f"{service}.log").read_text()
        os.kill(below[service], signal.SIGKILL)
        await until_says(up, f"{service} ended (signal 9); it is started again")
    for service in ("projector", "registry+engine+launcher", "gateway"):
        again = await eventually(lambda service=service: by_label(up.pid).get(service))
        assert again != below[service]
        assert "perfect_runtime" in command_line(again)
    pids = tree(up.pid)
    up.terminate()
    assert await up.wait() == 0
    assert not alive(pids)


def label(pid: int) -> str:
    words = command_line(pid)
    return "+".join(words[words.index("service") + 1 :]) if "service" in words else words[0]


def by_label(pid: int) -> dict[str, int]:
    return {label(one): one for one in tree(pid)}
