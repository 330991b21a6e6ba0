"""The tables of the read model by version. Files of every version stay in use: whoever changes a table raises the version.

`snapshots/tables.json` has the columns of each version. After adding a `Change` to perfect_projector/versions.py run
`just snapshots`: it takes the new version up, and refuses a change of one that is there already (that needs
PERFECT_SNAPSHOTS=break, and is right only while nobody has files of it).
"""

import json
import os
from pathlib import Path

import pytest
from aged import ddl

from perfect_projector import shape
from perfect_projector.database import connect
from perfect_projector.duck import Duck
from perfect_projector.rebuild import KEYS
from perfect_projector.versions import CHANGES, SCHEMA_VERSION

FILE = Path(__file__).parent / "snapshots" / "tables.json"
MODE = os.environ.get("PERFECT_SNAPSHOTS", "check")
TODO = (
    "add a Change({next}, …) with a sentence about it to CHANGES in services/perfect_projector/versions.py, which says whether "
    "the read models are made anew from the log (is_anew) or only get what is missing, then run `just snapshots`"
)

Tables = dict[str, dict[str, str]]


def told(tables: shape.Shape) -> Tables:
    return {
        table: {name: str(column) for name, column in columns.items()} for table, columns in tables.items()
    }


def recorded() -> dict[int, Tables]:
    return {int(version): tables for version, tables in json.loads(FILE.read_text()).items()}


def differences(old: Tables, new: Tables) -> list[str]:
    """In sentences. The order of columns says nothing."""
    found = [f"{table} is gone" for table in old if table not in new]
    found += [f"{table} is new" for table in new if table not in old]
    for table in old.keys() & new.keys():
        before, after = old[table], new[table]
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                found.append(
                    f"{table}.{name} was {before.get(name, 'not there')}, is {after.get(name, 'gone')}"
                )
    return found


def test_a_change_of_the_tables_raises_their_version() -> None:
    known, now = recorded(), told(shape.wanted())
    todo = TODO.format(next=SCHEMA_VERSION + 1)
    if MODE == "break" or (MODE == "update" and SCHEMA_VERSION not in known):
        known[SCHEMA_VERSION] = now
        FILE.write_text(json.dumps(known, indent=1) + "\n")
    assert SCHEMA_VERSION in known, (
        f"version {SCHEMA_VERSION} of the tables is not recorded: run `just snapshots`"
    )
    changed = differences(known[SCHEMA_VERSION], now)
    assert not changed, (
        f"the tables are not those of version {SCHEMA_VERSION} any more ({'; '.join(changed)}): {todo}"
    )


def test_the_comparison_sees_what_it_must_see() -> None:
    old = {"a": {"x": "INTEGER", "y": "JSON"}}
    assert differences(old, {"a": {"y": "JSON", "x": "INTEGER"}}) == []
    assert differences(old, {"a": {"x": "BIGINT", "y": "JSON"}}) == ["a.x was INTEGER, is BIGINT"]
    assert differences(old, {"a": {"x": "INTEGER"}}) == ["a.y was JSON, is gone"]
    assert differences(old, {**old, "b": {}}) == ["b is new"]
    assert differences(old, {}) == ["a is gone"]


def test_each_version_says_what_it_changed() -> None:
    assert [change.version for change in CHANGES] == [*range(1, SCHEMA_VERSION + 1)]
    assert list(recorded()) == [change.version for change in CHANGES]
    assert all(change.what for change in CHANGES)


def test_the_first_version_is_that_of_its_fixture() -> None:
    assert differences(recorded()[1], told(shape.of_ddl(*ddl(1)))) == []


@pytest.mark.parametrize("version", recorded())
def test_a_file_of_each_version_gets_the_columns_of_this_one(version: int, tmp_path: Path) -> None:
    """With a row in every table: a column that must not be NULL has to have a default."""
    file = tmp_path / "perfect.duckdb"
    with connect(file) as connection:
        for table, columns in recorded()[version].items():
            name = table.replace(f"_{shape.NO_MONTH}", "_2026_05")
            connection.execute(f"CREATE TABLE {name} ({', '.join(' '.join(one) for one in columns.items())})")
            values = [a_value(column) for column in columns.values()]
            connection.execute(f"INSERT INTO {name} VALUES ({', '.join(values)})")
        connection.execute(
            "DELETE FROM schema_version; INSERT INTO schema_version VALUES ($1, now())", [version]
        )
    duck = Duck(file)
    for table, columns in shape.wanted().items():
        name = table.replace(f"_{shape.NO_MONTH}", "_2026_05")
        found = shape.columns(duck.connection, name)
        assert {column: found[column] for column in columns} == columns, name
        if table in KEYS and table in recorded()[version]:
            assert duck.connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (1,)
    duck.close()


def a_value(column: str) -> str:
    if "NOT NULL" not in column:
        return "NULL"
    kind = column.partition(" NOT NULL")[0]
    values = {"JSON": "'{}'", "VARCHAR": "'a'", "UUID": "uuid()", "BOOLEAN": "true", "DATE": "'2026-05-01'"}
    return values.get(
        kind, "['a']" if kind.endswith("[]") else "now()::TIMESTAMP" if kind == "TIMESTAMP" else "1"
    )
