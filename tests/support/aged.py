"""A file of the read model as an older version has left it: by its tables, and with what they hold."""

from pathlib import Path

from perfect_projector.database import connect, log_file, quoted

FOLDER = Path(__file__).parent
LOST = {  # what version 1 did not read from the events
    1: ("UPDATE runs SET name = NULL WHERE flow_name IN ('shows', 'steps')",),
}


def ddl(version: int, month: str = "none") -> list[str]:
    """The tables, those of a month's log last."""
    return [
        (FOLDER / f"version_{version}" / f"{name}.sql").read_text().replace("{month}", month)
        for name in ("tables", "events_month", "logs_month")
    ]


def age(file: Path, version: int = 1) -> None:
    """Put such a file in its place. Its log says all that it said: an older version keeps events that it does not know."""
    aged = file.with_name("aged.duckdb")
    with connect(aged) as connection:
        connection.execute(f"ATTACH {quoted(file)} AS newer (READ_ONLY)")
        months = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'newer' AND table_name SIMILAR TO "
            r"'(events|logs)_(\d{4}_\d{2}|none)'"
        ).fetchall()
        tables, events, logs = ddl(version, "{month}")
        connection.execute(tables)
        for (table,) in months:
            name, _, month = table.partition("_")
            connection.execute({"events": events, "logs": logs}[name].replace("{month}", month))
        made = connection.execute(
            "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
            "WHERE database_name = current_database() GROUP BY table_name"
        ).fetchall()
        for table, columns in made:
            connection.execute(f"INSERT INTO {table} BY NAME SELECT {', '.join(columns)} FROM newer.{table}")
        connection.execute("DELETE FROM schema_version")
        connection.execute("INSERT INTO schema_version VALUES ($1, '2026-01-01')", [version])
        for statement in LOST[version]:
            connection.execute(statement)
        connection.execute("DETACH newer")
    aged.replace(file)
    log_file(file).unlink(missing_ok=True)
