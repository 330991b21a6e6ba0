"""Which runs may leave the bus, and which objects the store."""

from datetime import UTC, datetime, timedelta

import pytest

from perfect_projector.purge import Ended, Kin, Parent, choose, until_next
from perfect_projector.sweep import Object, object_of, unnamed
from perfect_schemas import ids

NOW = datetime(2026, 5, 2, 12, 0, tzinfo=UTC)
AFTER = timedelta(hours=24)


def run(
    name: str, hours: float = 25, *, state: str = "COMPLETED", parent: str | None = None, archived=False
) -> Ended:
    return Ended(name, parent, state, NOW - timedelta(hours=hours), 7, archived)


def chosen(one: Ended, kin: Kin) -> str:
    choice = choose([one], kin, now=NOW, after=AFTER)
    [kind] = [name for name in ("purge", "fence", "keep", "rest") if getattr(choice, name)]
    return kind


@pytest.mark.parametrize(
    ("one", "kin", "kind"),
    [
        (run("a"), Kin(), "purge"),
        (run("a", 24), Kin(), "purge"),
        (run("a", 23.9), Kin(), "rest"),
        (run("a", -5), Kin(), "rest"),
        *((run("a", state=state), Kin(), "fence") for state in ("FAILED", "CANCELLED", "CRASHED")),
        (run("a", state="FAILED", archived=True), Kin(), "purge"),
        (run("a", 1, state="FAILED", archived=True), Kin(callers={"a"}), "purge"),  # decided before
        (run("a"), Kin(callers={"a"}), "keep"),
        (run("a"), Kin(origins={"a"}), "keep"),
        (run("a", state="FAILED"), Kin(origins={"a"}), "keep"),
        (run("a", parent="p"), Kin(parents={"p": Parent(None, is_final=False)}), "keep"),
        (run("a", parent="p"), Kin(parents={"p": Parent(None, is_final=True)}), "purge"),
        (run("a", parent="p"), Kin(), "purge"),  # nobody knows the parent any more
        (run("a", parent="p"), Kin(parents={"p": Parent("g", True), "g": Parent(None, False)}), "keep"),
        (run("a", parent="p"), Kin(parents={"p": Parent("a", True), "a": Parent("p", True)}), "purge"),
    ],
)
def test_what_may_go(one: Ended, kin: Kin, kind: str) -> None:
    assert chosen(one, kin) == kind


def test_the_first_that_is_not_due_ends_the_round_a_wrong_clock_does_not() -> None:
    runs = [run("a", 30), run("future", -3), run("fenced", 1, archived=True), run("b", 2), run("c", 30)]
    ready, following = until_next(runs, now=NOW, after=AFTER)
    assert [one.run_id for one in ready] == ["a", "future", "fenced"]
    assert following is runs[3]
    assert until_next(runs[:3], now=NOW, after=AFTER) == (runs[:3], None)


def test_objects() -> None:
    kept, gone = ids.uuid7(), ids.uuid7()
    long_ago = NOW - timedelta(days=2)

    def stored(run_id: str, at: datetime, name: str) -> Object:
        found = object_of(f"{run_id}/{ids.uuid7_for(at, name)}")
        assert found is not None
        assert (found.run_id, found.stored_at) == (run_id, at)
        return found

    of_kept, of_gone = stored(kept, long_ago, "a"), stored(gone, long_ago, "b")
    named, young = stored(gone, long_ago, "c"), stored(gone, NOW - timedelta(hours=23), "d")
    objects = [of_kept, of_gone, named, young]
    assert unnamed(objects, {kept}, {named.name}, NOW) == [of_gone.name]
    for foreign in ("x", "x/y", f"{kept}/{ids.flow_id('a')}", f"{kept}/y"):
        assert object_of(foreign) is None
