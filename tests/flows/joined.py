"""A flow whose tasks get their inputs from each other in every way there is; one of them runs on another worker."""

from perfect_sdk import flow, task


@task
def split(count: int) -> list[int]:
    return list(range(count))


@task
def load(number: int) -> list[int]:
    return [number]


@task
def clean(rows: list[int]) -> list[int]:
    return [row + 1 for row in rows]


@task(queue="gpu")
def score(rows: list[list[int]]) -> dict[str, int]:
    return {"score": sum(map(sum, rows))}


@task
def note(text: str) -> str:
    return text


@task
def inside(rows: list[list[int]]) -> int:
    return len(rows)


@task
def report(rows: list[list[int]], scored: dict[str, int]) -> int:
    return inside(rows) + scored["score"]


@flow(name="Joined")
def joined(count: int = 2) -> int:
    """A chain of maps, whose ends come together on another worker and here: a diamond."""
    loaded = load.map(split(count))
    cleaned = clean.map(loaded)
    scored = score.submit(cleaned)
    told = note.submit("rows are clean", wait_for=cleaned)
    result = report(cleaned, scored, wait_for=[told])
    note("done")
    return result


@flow(name="Alone")
def alone(count: int = 2) -> list[int]:
    """The same without other workers, and without what the maps come together in."""
    cleaned = clean.map(load.map(split(count))).result()
    clean(cleaned[0])
    return cleaned[0]
