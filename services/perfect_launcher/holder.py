"""The process that holds one client process, so that neither its output nor its end nor its lock depends on the launcher.

    python -P -m perfect_launcher.holder '{"log": …, "listener": fd, "lock": fd, "folder": …, "alone_s": …, "command": […]}'

It starts the client process, writes what that says into a file of bounded size, and tells whoever is connected to its
socket: the launcher. A launcher that dies changes nothing; the next one connects, and hears the last lines first. When
none comes for `alone_s` seconds, the client process is ended. On Linux it dies with its holder.

Messages are JSON, one a line. To the launcher: first `{"pid", "holder", "age_s", "lines"}`, or `{"failed"}` when the client
process could not be started; then `{"lines"}`; at last `{"code"}` (-n: signal n). From the launcher: `{"end": grace_s, "hurry"}`.
What reads too slowly is disconnected. Imports little: there is one for each client process.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfect_launcher.output import Cutter, Output
from perfect_runtime.parent_death import die_with_parent

ALONE_S = 60.0
ALONE_GRACE_S = 6.0
DRAIN_S = 0.5  # children of the client process may hold its output for longer than it lives
READ_BYTES = 65536
MOST_UNSENT = 4 * 1024 * 1024


class Holder:
    """One life of one client process: `run()` returns when it is over and somebody was told, or nobody came."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._lock = int(spec["lock"])
        self._alone_s = float(spec["alone_s"])
        self._output = Output(Path(spec["log"]))
        self._cutter = Cutter()
        self._selector = selectors.DefaultSelector()
        self._launcher: socket.socket | None = None
        self._unsent = bytearray()
        self._unread = b""
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}
        self._began = time.monotonic()
        self._code: int | None = None
        self._failed = ""
        self._is_read = False
        self._is_told = False
        self._is_given_up = False
        self._signals, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for sig in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, lambda *_: None)
        self._selector.register(self._signals, selectors.EVENT_READ, self._signalled)
        self._listener = socket.socket(fileno=spec["listener"])
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._met)
        self._after("alone", self._alone_s, self._alone)
        self._client = self._start(spec)

    def _start(self, spec: dict[str, Any]) -> subprocess.Popen[bytes] | None:
        read, write = os.pipe()
        try:
            client = subprocess.Popen(
                spec["command"],
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=subprocess.STDOUT,
                pass_fds=(spec["lock"],),
                cwd=spec["folder"],
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509  # there are no other threads here
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(read)
            self._failed, self._code, self._is_read = str(error), 1, True
            return None
        finally:
            os.close(write)
        self._selector.register(read, selectors.EVENT_READ, lambda: self._read(read))
        return client

    def run(self) -> None:
        while not self._is_over():
            due = min((when for when, _ in self._timers.values()), default=None)
            timeout = None if due is None else max(due - time.monotonic(), 0.0)
            for key, ready in self._selector.select(timeout):
                if key.fileobj is self._launcher:
                    self._talk(ready)
                else:
                    key.data()
            now = time.monotonic()
            for name, (when, then) in list(self._timers.items()):
                if when <= now:
                    self._timers.pop(name, None)
                    then()
        self._output.close()
        self._listener.close()
        os.close(self._lock)
        if self._launcher is not None:  # last: who hears it may start anew
            self._launcher.close()

    def _is_over(self) -> bool:
        if self._code is None or not self._is_read:
            return False
        if not self._is_told and self._launcher is not None:
            self._tell({"code": self._code})
            self._is_told = True
        return (self._is_told and not self._unsent) or self._is_given_up

    # -- the client process

    def _read(self, read: int) -> None:
        data = os.read(read, READ_BYTES)
        lines = self._cutter.feed(data) if data else self._cutter.end()
        texts = [self._output.add(line) for line in lines]
        if texts:
            self._tell({"lines": texts})
        if not data:
            self._selector.unregister(read)
            os.close(read)
            self._is_read = True

    def _drained(self) -> None:
        for line in self._cutter.end():
            self._tell({"lines": [self._output.add(line)]})
        self._is_read = True

    def _signalled(self) -> None:
        if {signal.SIGTERM, signal.SIGINT} & set(os.read(self._signals, 1024)):
            self._end(ALONE_GRACE_S)
        if self._client is not None and self._code is None and self._client.poll() is not None:
            self._code = self._client.returncode
            self._timers = {name: timer for name, timer in self._timers.items() if name == "alone"}
            self._after("drain", DRAIN_S, self._drained)

    def _end(self, grace_s: float, *, hurry: bool = False) -> None:
        """SIGTERM, SIGKILL after `grace_s`. hurry: a second SIGTERM in between, after which a worker waits for nothing."""
        self._send(signal.SIGTERM)
        if hurry:
            self._after("hurry", grace_s / 2, lambda: self._send(signal.SIGTERM))
        self._after("kill", grace_s, lambda: self._send(signal.SIGKILL))

    def _send(self, sig: signal.Signals) -> None:
        if self._client is not None and self._code is None:
            self._client.send_signal(sig)

    # -- the launcher

    def _met(self) -> None:
        try:
            launcher, _ = self._listener.accept()
        except OSError:  # it went away again
            return
        self._lose()
        self._timers.pop("alone", None)
        launcher.setblocking(False)
        self._launcher = launcher
        self._selector.register(launcher, selectors.EVENT_READ)
        self._is_told = False
        if self._client is None:
            self._tell({"failed": self._failed})
            return
        self._tell(
            {
                "pid": self._client.pid,
                "holder": os.getpid(),
                "age_s": time.monotonic() - self._began,
                "lines": self._output.tail(),
            }
        )

    def _lose(self) -> None:
        if self._launcher is not None:
            self._selector.unregister(self._launcher)
            self._launcher.close()
            self._launcher = None
            self._is_told = self._is_told and not self._unsent
            self._unsent.clear()
            self._unread = b""
            self._after("alone", self._alone_s, self._alone)

    def _alone(self) -> None:
        self._is_given_up = True
        if self._code is None:
            self._output.say(f"no launcher came back within {self._alone_s:g} s; it is ended")
            self._end(ALONE_GRACE_S)

    def _talk(self, ready: int) -> None:
        assert self._launcher is not None
        try:
            if ready & selectors.EVENT_WRITE:
                del self._unsent[: self._launcher.send(self._unsent)]
                self._watch()
            if ready & selectors.EVENT_READ:
                self._hear(self._launcher.recv(READ_BYTES))
        except BlockingIOError:
            return
        except OSError:
            self._lose()

    def _hear(self, data: bytes) -> None:
        if not data:
            self._lose()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            self._end(float(asked["end"]), hurry=bool(asked["hurry"]))

    def _tell(self, message: dict[str, Any]) -> None:
        if self._launcher is None:
            return
        self._unsent += json.dumps(message).encode() + b"\n"
        if len(self._unsent) > MOST_UNSENT:
            self._lose()
        else:
            self._watch()

    def _watch(self) -> None:
        if self._launcher is not None:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            self._selector.modify(self._launcher, wanted)

    def _after(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        self._timers[name] = (time.monotonic() + seconds, then)


def main() -> None:
    spec = json.loads(sys.argv[1])
    for name in ("listener", "lock"):
        os.set_inheritable(spec[name], False)  # takes no keyword
    with contextlib.suppress(KeyboardInterrupt):
        Holder(spec).run()


if __name__ == "__main__":
    main()
