"""Weather: extract, clean, aggregate and load four years of daily measurements.

The data is Seattle's daily weather from 2012 to 2015 as the package vega_datasets carries it; nothing is downloaded.
What each task returns is stored as JSON and comes back as the dataclass it was, also when a run is resumed: tasks
that had completed are not executed again.
"""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from statistics import fmean

import duckdb
from vega_datasets import local_data

from perfect_sdk import flow, get_run_logger, task

KINDS = ("drizzle", "fog", "rain", "snow", "sun")


@dataclass
class Day:
    """Temperatures in °C, precipitation in mm, wind in m/s."""

    date: date
    precipitation: float
    temp_max: float
    temp_min: float
    wind: float
    weather: str


@dataclass
class Month:
    year: int
    month: int
    days: int
    wet_days: int
    precipitation: float
    temp_mean: float
    temp_max: float
    temp_min: float


@dataclass
class Loaded:
    file: str
    days: int
    months: int
    wettest: str


@task(weight=2, estimated_time=300)
def extract() -> list[dict[str, str]]:
    """The rows as they stand in the file."""
    with Path(local_data.seattle_weather.filepath).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    get_run_logger().info("read %d rows", len(rows))
    return rows


@task(weight=2, estimated_time=100)
def clean(rows: list[dict[str, str]]) -> list[Day]:
    """Typed rows, one a day, in order. Rows that cannot be right are left out, each with a warning."""
    log = get_run_logger()
    days: dict[date, Day] = {}
    for number, row in enumerate(rows, start=2):
        try:
            day = parse(row)
        except ValueError as error:
            log.warning("line %d is left out: %s", number, error)
            continue
        if day.date in days:
            log.warning("line %d is left out: %s was there before", number, day.date)
            continue
        days[day.date] = day
    if not days:
        raise ValueError("no usable row is left")
    return [days[one] for one in sorted(days)]


def parse(row: dict[str, str]) -> Day:
    day = Day(
        date=datetime.strptime(row["date"], "%Y/%m/%d").date(),  # noqa: DTZ007 - a calendar day
        precipitation=float(row["precipitation"]),
        temp_max=float(row["temp_max"]),
        temp_min=float(row["temp_min"]),
        wind=float(row["wind"]),
        weather=row["weather"],
    )
    if day.precipitation < 0 or day.wind < 0:
        raise ValueError(f"{day.date} has a negative amount")
    if day.temp_min > day.temp_max:
        raise ValueError(f"{day.date} is colder at its warmest than at its coldest")
    if day.weather not in KINDS:
        raise ValueError(f"{day.date} has the unknown weather {day.weather!r}")
    return day


@task(weight=1, estimated_time=50)
def aggregate(days: list[Day]) -> list[Month]:
    """The months of one year."""
    by_month: dict[tuple[int, int], list[Day]] = {}
    for day in days:
        by_month.setdefault((day.date.year, day.date.month), []).append(day)
    return [summary(year, month, those) for (year, month), those in sorted(by_month.items())]


def summary(year: int, month: int, days: list[Day]) -> Month:
    return Month(
        year=year,
        month=month,
        days=len(days),
        wet_days=sum(day.precipitation > 0 for day in days),
        precipitation=round(sum(day.precipitation for day in days), 1),
        temp_mean=round(fmean((day.temp_max + day.temp_min) / 2 for day in days), 2),
        temp_max=max(day.temp_max for day in days),
        temp_min=min(day.temp_min for day in days),
    )


@task(weight=5, estimated_time=500, retries=2, retry_delay_seconds=[0.2, 1])
def load(days: list[Day], months: list[Month], file: str) -> int:
    """Both tables into a DuckDB file, in one transaction. Returns the number of rows that are in it.

    Doing it twice gives the same file: a task may run again when the machine fails between its work and its record.
    """
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(file) as database:
        database.begin()
        write(database, "days", Day, days)
        write(database, "months", Month, months)
        database.commit()
        (rows,) = database.execute(
            "SELECT (SELECT count(*) FROM days) + (SELECT count(*) FROM months)"
        ).fetchone()
    return rows


TYPES = {int: "INTEGER", float: "DOUBLE", str: "VARCHAR", date: "DATE"}


def write(database: duckdb.DuckDBPyConnection, table: str, kind: type, rows: Iterable[Day | Month]) -> None:
    fields = kind.__dataclass_fields__.values()
    columns = ", ".join(f"{field.name} {TYPES[field.type]}" for field in fields)
    lists = [[getattr(row, field.name) for row in rows] for field in fields]
    values = ", ".join(f"unnest(?::{TYPES[field.type]}[])" for field in fields)
    database.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
    database.execute(f"INSERT INTO {table} SELECT {values}", lists)


@task(weight=1)
def check(file: str, days: int, months: int) -> str:
    """Read back what was loaded: nothing may be missing. Returns the wettest month."""
    with duckdb.connect(file, read_only=True) as database:
        stored = database.execute("SELECT count(*), sum(days) FROM months").fetchone()
        (wettest,) = database.execute(
            "SELECT format('{}-{:02}', year, month) FROM months ORDER BY precipitation DESC LIMIT 1"
        ).fetchone()
    if stored != (months, days):
        raise ValueError(f"{file} has (months, days) {stored}, expected {(months, days)}")
    return wettest


def default_folder() -> Path:
    return Path(os.environ.get("PERFECT_DATA_DIR", ".perfect")) / "examples"


@flow(name="Seattle weather", tags=["etl", "example"])
def weather(since: int = 2012, until: int = 2015, folder: str | None = None) -> Loaded:
    """Turns daily weather into monthly figures in a DuckDB file.

    since, until: years, both included.
    """
    days = [day for day in clean(extract()) if since <= day.date.year <= until]
    if not days:
        raise ValueError(f"there are no measurements between {since} and {until}")
    years = [
        [day for day in days if day.date.year == year] for year in sorted({day.date.year for day in days})
    ]
    months = [month for part in aggregate.map(years) for month in part.result()]
    file = str(Path(folder) / "weather.duckdb" if folder else default_folder() / "weather.duckdb")
    rows = load(days, months, file)
    get_run_logger().info("loaded %d rows into %s", rows, file)
    return Loaded(file, len(days), len(months), wettest=check(file, len(days), len(months)))


if __name__ == "__main__":
    print(weather())
