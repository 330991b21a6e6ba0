"""What the pages of limits and settings are made of."""

import msgspec
import pytest

from perfect_bus.settings import ORIGIN, Settings
from perfect_gateway import limits, system
from perfect_schemas.commands import Holder, LimitView, SlotView
from perfect_schemas.envelope import utc_now
from perfect_ui import formats


def held(n: int, occupy: int = 1) -> SlotView:
    holder = Holder(run_id=f"run-{n}", epoch=1, key=f"task-{n}")
    return SlotView(holder=holder, flow_name="flow", occupy=occupy, since=utc_now())


def test_a_limit_says_how_much_is_taken() -> None:
    shown = limits.shape(
        LimitView(name="db", slots=5, holders=[held(1), held(2, occupy=3)], waiting=[held(3)])
    )
    assert (shown["used"], shown["flow"], shown["is_rate"]) == (4, "", False)
    assert [one["run_id"] for one in shown["waiting"]] == ["run-3"]
    rate = LimitView(name="calls", slots=5, holders=[], waiting=[], slot_decay_per_second=2.0, spent=1.5)
    assert (limits.shape(rate)["used"], limits.shape(rate)["is_rate"]) == (1.5, True)
    assert limits.shape(LimitView(name="flow:Nightly", slots=1, holders=[], waiting=[]))["flow"] == "Nightly"


def test_a_crowd_is_counted_and_not_listed() -> None:
    crowd = [held(n) for n in range(limits.MOST_SHOWN + 7)]
    shown = limits.shape(LimitView(name="db", slots=100, holders=crowd, waiting=crowd))
    assert (len(shown["holders"]), shown["more_holders"], shown["more_waiting"]) == (limits.MOST_SHOWN, 7, 7)
    assert shown["used"] == len(crowd)


def test_settings_say_where_they_came_from_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFECT_NATS_URL", "nats://me:hush@bus.example:4222")
    monkeypatch.setenv("PERFECT_PORT", "3100")
    monkeypatch.setenv(ORIGIN, msgspec.json.encode({"port": "command line"}).decode())
    settings = Settings(nats_url="nats://me:hush@bus.example:4222", port=3100, lease_s=9.0)
    found = {row["name"]: (row["value"], row["origin"]) for row in system.effective(settings)}
    assert found["nats_url"] == ("nats://***@bus.example:4222", "PERFECT_NATS_URL")
    assert found["port"] == ("3100", "command line")
    assert found["lease_s"] == ("9.0", system.IN_CODE)
    assert found["host"] == ("127.0.0.1", "default")


def test_a_damaged_origin_is_left_alone() -> None:
    _, origin = Settings.load_with_origin(environ={"PERFECT_PORT": "3100", ORIGIN: "{"})
    assert origin["port"] == "PERFECT_PORT"


def test_retention_in_sentences() -> None:
    kept = " ".join(system.retention(Settings()))
    assert "leave the bus 24 h after its end" in kept
    assert "no archive folder is set" in kept
    for_ever = " ".join(system.retention(Settings(purge_after_s=0, keep_logs_days=0, keep_events_days=0)))
    assert "never leave the bus" in for_ever
    assert for_ever.count("for ever") == 2


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (3 * 1024**4, "3.0 TB")]
)
def test_sizes_as_people_read_them(count: int | None, text: str) -> None:
    assert formats.size(count) == text
