"""What should run, decided and folded."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_launcher import process
from perfect_launcher.output import FILE_BYTES, LINE_BYTES, LINES, TAIL_BYTES, Cutter, Output
from perfect_launcher.process import Stamp
from perfect_launcher.workflows import Workflows
from perfect_schemas.envelope import Event
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.folds.process import Process, evolve

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
STAMP = Stamp("e", NOW)


def fold(*events: Event, known: Process | None = None) -> Process | None:
    for seq, event in enumerate(events, 1):
        known = evolve(known, event, seq)
    return known


def wanted() -> Process:
    known = fold(*process.request(None, "p", "a/b.py", "here", "me", STAMP))
    assert known is not None
    return known


def test_requested_started_crashed_stopped() -> None:
    known = wanted()
    assert (known.wanted, known.name, known.pid) == (True, "a/b", None)
    assert process.request(known, "p", "a/b.py", "here", "you", STAMP) == ()
    assert process.ending(known, NOW) == ""
    known = fold(*process.started(known, 7, "here", STAMP), known=known)
    assert (known.pid, known.started_at, known.restarts) == (7, NOW, 0)
    assert process.started(known, 7, "here", STAMP) == ()
    assert process.exited(known, 8, 1, 0.5, STAMP) == ()  # another one
    known = fold(*process.exited(known, 7, -9, 0.5, STAMP), known=known)
    assert (known.pid, known.code, known.restart_at) == (None, -9, NOW + timedelta(seconds=0.5))
    assert process.ending(known, NOW) == "ended by signal 9; it is started again in 0.5 s"
    known = fold(*process.started(known, 8, "here", STAMP), known=known)
    assert known.restarts == 1
    known = fold(*process.stop(known, "a/b.py", "me", STAMP), known=known)
    assert (known.wanted, known.pid) == (False, 8)
    assert process.stop(known, "a/b.py", "me", STAMP) == ()
    known = fold(*process.exited(known, 8, 0, 0.5, STAMP), known=known)
    assert (known.restart_at, process.ending(known, NOW)) == (None, "ended with exit code 0")
    again = fold(*process.request(known, "p", "a/b.py", "here", "me", STAMP), known=known)
    assert again == wanted()


def test_what_an_earlier_launcher_started_and_is_not_there_has_ended() -> None:
    known = wanted()
    assert process.recover(known, STAMP) == ()
    known = fold(*process.started(known, 7, "here", STAMP), known=known)
    known = fold(*process.recover(known, STAMP), known=known)
    assert (known.wanted, known.pid, known.code) == (True, None, None)
    assert process.ending(known, NOW) == "ended while no launcher saw it"
    assert process.recover(None, STAMP) == ()


def test_what_was_never_asked_for_cannot_be_stopped() -> None:
    with pytest.raises(NotFound, match="no client process was ever started"):
        process.stop(None, "x.py", "me", STAMP)


def test_a_process_belongs_to_the_host_that_was_asked_or_started_it_first() -> None:
    assert wanted().host == "here"
    asked = fold(*process.request(None, "p", "a/b.py", "", "me", STAMP))
    old = fold(
        *process.started(asked, 7, "before", STAMP), known=asked
    )  # of a version that knew one host only
    assert old is not None
    assert old.host == "before"
    moved = fold(*process.started(old, 8, "elsewhere", STAMP), known=old)
    assert moved is not None
    assert moved.host == "before"


def test_pauses_grow_to_half_a_minute_and_a_long_life_forgets_them() -> None:
    pauses = [0.0]
    for _ in range(9):
        pauses.append(process.next_pause(pauses[-1], 0.1))
    assert pauses[1:] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert process.next_pause(30, 10) == 0.5


@given(st.lists(st.sampled_from(["request", "start", "exit", "stop", "recover"]), max_size=30))
def test_whatever_happens_only_request_and_stop_change_what_is_wanted(moves: list[str]) -> None:
    known: Process | None = None
    is_wanted = False
    for n, move in enumerate(moves, 1):
        events: tuple[Event, ...] = ()
        if move == "request":
            events, is_wanted = process.request(known, "p", "f.py", "here", "me", STAMP), True
        elif move == "start":
            events = process.started(known, n, "here", STAMP)
        elif move == "exit" and known is not None and known.pid is not None:
            events = process.exited(known, known.pid, 1, 0.5, STAMP)
        elif move == "stop" and known is not None:
            events, is_wanted = process.stop(known, "f.py", "me", STAMP), False
        elif move == "recover":
            events = process.recover(known, STAMP)
        assert len(events) <= 1
        known = fold(*events, known=known)
        assert (known is not None and known.wanted) == is_wanted


# -- which files


def test_only_python_files_below_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "flows", tmp_path / "secret.py"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.py").touch()
    (folder / "b.py").touch()
    (folder / "notes.txt").touch()
    (folder / "dir.py").mkdir()
    outside.touch()
    (folder / "link.py").symlink_to(outside)
    (folder / "loop.py").symlink_to(folder / "loop.py")
    (folder / "alias.py").symlink_to(folder / "b.py")
    (tmp_path / "elsewhere").symlink_to(folder)
    files = Workflows(tmp_path / "elsewhere")
    assert files.find("sub/a.py") == folder / "sub" / "a.py"
    assert files.name_of("./sub/../sub/a.py") == "sub/a.py"
    assert files.name_of(str(folder / "b.py")) == "b.py"
    assert files.name_of("alias.py") == "b.py"
    for wrong in (
        "", "../secret.py", "sub/../../secret.py", str(outside), "link.py", "loop.py", "notes.txt", "b", ".",
        "b.py\0", "b.py\n", "b.py:flow", "x" * 5000 + ".py", "x" * 500 + ".py", "/etc/passwd",
    ):  # fmt: skip
        with pytest.raises((InvalidInput, NotFound), match=r"^file|^there is no file"):
            files.find(wrong)
    for missing in ("nothing.py", "dir.py"):
        with pytest.raises(NotFound, match="there is no file"):
            files.find(missing)


# -- what they say


def test_lines_come_whole_and_long_ones_in_pieces() -> None:
    lines: list[bytes] = []
    cutter = Cutter()
    for part in (b"a", b"b\nc\n", b"\nx" * 2, b"y" * (LINE_BYTES * 2)):
        lines += cutter.feed(part)
    lines += cutter.end()
    assert cutter.end() == []
    assert lines[:4] == [b"ab", b"c", b"", b"x"]
    assert [len(line) for line in lines[4:]] == [LINE_BYTES, LINE_BYTES, 1]


def test_output_is_bounded_and_outlives_the_launcher(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "client-x.log"
    output = Output(file)
    for n in range(LINES + 5):
        output.add(b"line %d" % n)
    output.add(b"\xff\r")
    assert len(output.lines) == LINES
    assert output.last(2) == [f"line {LINES + 4}", "\ufffd"]
    assert output.last(0) == []
    assert output.tail() == list(output.lines)
    output.close()
    again = Output(file)
    assert list(again.lines) == list(output.lines)
    line = b"z" * 8000
    for _ in range(FILE_BYTES // len(line) + 10):
        again.add(line)
    again.close()
    assert sum(map(len, again.tail())) <= TAIL_BYTES
    assert file.stat().st_size < FILE_BYTES
    assert file.with_suffix(".log.1").stat().st_size <= FILE_BYTES
