"""The blocks of a page of documentation, and its console sessions carried out.

A `console` block is what somebody sees: `$ ` before a command, below it what it prints. A page's commands run in one folder of
their own; a Python block that begins with `# name.py` is that file in it. What serves until it is stopped (`perfect up`,
`demo`, `worker`, what ends with `&`) is left running until the page's end, once it has said what is expected of it. Of the
output, ids, times, durations, ports and versions may differ, `…` stands for anything, and lines may be left out.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SERVES = re.compile(r"^perfect (up|demo|worker)\b|--follow\b|&$")
WAIT_S = 40
ANY = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"[0-9a-f-]{36}"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"),
    (r"(< )?\d+(\.\d+)? m?s\b( \d+ s)?", r"(< )?\d+(\.\d+)? m?s\b"),
    (r"127\.0\.0\.1:\d+", r"127\.0\.0\.1:\d+"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b", r"[0-9a-f]{12}"),
    (r" ?… ?", r".*"),
)


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text()) if kind == language]


def steps(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block, with the lines that are expected of it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and line.strip() and line.strip() != "…":
            found[-1][1].append(line)
    return found


def pattern(line: str) -> re.Pattern[str]:
    """Of a line of output that is as good as the expected one."""
    text = " ".join(line.split())
    places = "|".join(f"(?P<_{n}>{form})" for n, (form, _) in enumerate(ANY))
    parts, end = [], 0
    for found in re.finditer(places, text):
        which = next(n for n in range(len(ANY)) if found[f"_{n}"] is not None)
        parts += [re.escape(text[end : found.start()]), ANY[which][1]]
        end = found.end()
    return re.compile("".join([*parts, re.escape(text[end:])]))


def missing(expected: list[str], output: str) -> str | None:
    """The first expected line that does not stand in the output behind the one before it."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    for line in expected:
        wanted = pattern(line)
        if not any(wanted.fullmatch(one) for one in lines):
            return line
    return None


class Session:
    """The commands of one page. port: where its `perfect up` shall listen."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        program = folder / "bin" / "perfect"
        program.parent.mkdir()
        code = "import sys; from perfect_sdk.cli import main; sys.exit(main())"
        program.write_text(f"#!{sys.executable}\n{code}\n")
        program.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join(
                [str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "HOME": str(folder),
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "PERFECT_PORT": str(port),
            "PERFECT_PRESENCE_EVERY_S": "0.5",
        }
        self.serving: list[subprocess.Popen[str]] = []

    def carry_out(self, page: Path) -> None:
        """Raises AssertionError for the first command that does not do what the page says."""
        for code in blocks(page, "python"):
            name = re.match(r"# (\w+\.py)\n", code)
            if name is not None:
                (self.folder / name[1]).write_text(code)
        for block in blocks(page, "console"):
            for command, expected in steps(block):
                (self._serve if SERVES.search(command) else self._run)(command, expected)

    def _start(self, command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["bash", "-c", f"exec {command.removesuffix('&')}" if SERVES.search(command) else command],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def _run(self, command: str, expected: list[str]) -> None:
        output, _ = (process := self._start(command)).communicate(timeout=WAIT_S)
        is_failure = any(re.match(r"perfect( \w+)*: ", line) for line in expected)
        assert (process.returncode != 0) == is_failure, (
            f"$ {command}\nended with {process.returncode}:\n{output}"
        )
        lost = missing(expected, output)
        assert lost is None, f"$ {command}\ndid not print\n{lost}\nbut\n{output}"

    def _serve(self, command: str, expected: list[str]) -> None:
        process = self._start(command)
        self.serving.append(process)
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(process, said), daemon=True).start()
        output = ""
        while (lost := missing(expected, output)) is not None:
            try:
                line = said.get(timeout=WAIT_S)
            except queue.Empty:
                line = ""
            assert line, f"$ {command}\ndid not print\n{lost}\nbut\n{output}"
            output += line

    def close(self, warn: Callable[[str], None] = print) -> None:
        """Ends what serves, the last one first, as Ctrl-C would."""
        for process in reversed(self.serving):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                warn(f"{process.args} did not end by itself")
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _listen(process: "subprocess.Popen[str]", said: "queue.SimpleQueue[str]") -> None:
    """To its last line, so that it never waits for a reader; an empty one says that there is no more."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            said.put(line)
    said.put("")
