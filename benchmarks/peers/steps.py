"""What the steps of a run wrote down, one line each: step, process, instant in ns. The code that says so survives kills."""

from pathlib import Path

from peers.side import until

Step = tuple[int, int, int]


def read(said: Path) -> list[Step]:
    text = said.read_text() if said.exists() else ""
    lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(step), int(pid), int(at_ns)) for step, pid, at_ns in lines]


def reached(said: Path, count: int) -> list[Step]:
    return until(f"{count} steps", lambda: found if len(found := read(said)) >= count else None)


def resumed_after_s(said: Path, killed: int, killed_ns: int, patience_s: float) -> float:
    """From the kill of the process `killed` until the code went on in another. Raises NotDone."""

    def went_on() -> float | None:
        return next(((at - killed_ns) / 1e9 for _, pid, at in read(said) if pid != killed), None)

    return until("user code did not go on after the kill", went_on, patience_s)
