"""Files that the projector's DuckDB cannot open, or should not: what is set aside, and what is refused and left alone."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from perfect_projector.batch import Batch
from perfect_projector.duck import Duck
from perfect_projector.opening import HEADER_BYTES
from perfect_projector.versions import SCHEMA_VERSION
from perfect_schemas.errors import Failed

MONTH = "2026_05"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """With 2,000 events in it, and no write-ahead log."""
    duck = Duck(tmp_path / "perfect.duckdb")
    payload = '"' + "of some length " * 100 + '"'
    for n in range(10):
        rows = [
            (
                "EVENTS",
                n * 200 + i,
                datetime(2026, 5, 1),
                "run.started",
                None,
                None,
                payload[:-1] + f'{n}{i}"',
            )
            for i in range(200)
        ]
        duck.write(Batch(events={MONTH: rows}, offsets={"EVENTS": n * 200 + 199}))
    duck.close()
    assert [one.name for one in tmp_path.iterdir()] == ["perfect.duckdb"]
    return tmp_path / "perfect.duckdb"


def everything(duck: Duck) -> list[tuple[object, ...]]:
    return duck.connection.execute("FROM events ORDER BY seq").fetchall()


def place_of_a_payload(file: Path) -> int:
    """In bytes, by what DuckDB says of its storage."""
    with duckdb.connect(str(file), read_only=True) as connection:
        block, offset = connection.execute(
            f"SELECT block_id, block_offset FROM pragma_storage_info('events_{MONTH}') "
            "WHERE column_name = 'payload' AND block_id IS NOT NULL AND segment_type <> 'VALIDITY' LIMIT 1"
        ).fetchall()[0]
    return HEADER_BYTES + block * 262_144 + 8 + offset + 64


def test_damage_that_is_met_in_use_is_looked_for_at_the_next_start(file: Path) -> None:
    place = place_of_a_payload(file)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    duck = Duck(file)
    assert duck.file_aside is None, "it opens: nobody has read that block"
    with pytest.raises(duckdb.Error, match="checksum"), duck.transaction():
        duck.connection.execute(f"UPDATE events_{MONTH} SET payload = payload || ' '").fetchall()
    duck.close()
    duck = Duck(file)
    assert duck.file_aside is not None
    assert "checksum" in duck.damage
    assert everything(duck) == []
    assert {seq for seq, _ in duck.offsets().values()} == {0}
    duck.close()
    duck = Duck(file)
    assert duck.file_aside is None
    duck.close()
    assert sorted(one.name.partition(".damaged")[0] for one in file.parent.iterdir()) == [
        file.name,
        file.name,
    ]


def test_a_false_suspicion_costs_nothing_but_reading(file: Path) -> None:
    file.with_name(f"{file.name}.suspect").write_text("somebody met a checksum that was wrong")
    duck = Duck(file)
    assert (duck.file_aside, duck.set_aside) == (None, None)
    assert len(everything(duck)) == 2000
    duck.close()
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_newer_version_is_refused_and_left_alone(file: Path) -> None:
    duck = Duck(file)
    duck.connection.execute("INSERT INTO schema_version VALUES ($1, now()::TIMESTAMP)", [SCHEMA_VERSION + 1])
    duck.connection.execute("ALTER TABLE runs RENAME TO things")  # a newer one may have other tables
    duck.close()
    before = file.read_bytes()
    with pytest.raises(
        Failed, match=rf"newer version of Perfect \(schema {SCHEMA_VERSION + 1}.*update Perfect"
    ):
        Duck(file)
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "perfect.duckdb").mkdir()
    with pytest.raises(Failed, match="there is a folder of that name"):
        Duck(tmp_path / "perfect.duckdb")


WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from perfect_projector.duck import Duck
from perfect_schemas.errors import Failed
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.chdir(sys.argv[1])  # whoever may not enter the folders above it can still be in it
try:
    Duck(Path("perfect.duckdb"))
except Failed as error:
    print(error.detail)
"""


@pytest.mark.parametrize("with_log", [False, True])
def test_a_file_without_rights_is_refused_and_left_alone(file: Path, with_log: bool) -> None:
    if with_log:
        file.with_name(f"{file.name}.wal").write_bytes(b"what has not been read is not damaged")
    file.chmod(0)
    if os.geteuid() == 0:
        for folder in (file.parent, *file.parent.parents):
            if folder.stat().st_mode & 0o001 == 0:
                folder.chmod(folder.stat().st_mode | 0o011)
        os.chown(file.parent, 65534, 65534)
        os.chown(file, 65534, 65534)
    before = sorted(one.name for one in file.parent.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RIGHTS, str(file.parent)], capture_output=True, timeout=30, check=False
    )
    assert b"this user may not read and write it" in done.stdout, done.stderr
    assert b"chmod u+rw" in done.stdout
    assert sorted(one.name for one in file.parent.iterdir()) == before
