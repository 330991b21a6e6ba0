"""A flow that leaves a line for every body that ran, and fails until somebody writes a file."""

from pathlib import Path

from perfect_sdk import flow, task


def ran(place: str, what: str) -> None:
    with (Path(place) / "ran").open("a") as out:
        out.write(f"{what}\n")


@task
def extract(place: str, n: int) -> int:
    ran(place, f"extract {n}")
    return n * 10


@task
def shape(place: str, value: int, factor: int) -> int:
    ran(place, f"shape {value} {factor}")
    return value * factor


@flow(name="part")
def part(place: str, value: int) -> int:
    ran(place, f"part {value}")
    if not (Path(place) / "mended").exists():
        raise ValueError("not mended yet")
    return value + 1


@task
def load(place: str, values: list[int]) -> int:
    ran(place, f"load {values}")
    return sum(values)


@flow(name="mended")
def mended(place: str, factor: int = 1) -> int:
    shaped = [shape(place, extract(place, n), factor) for n in range(3)]
    last = part(place, shaped[-1])
    return load(place, [*shaped, last])
