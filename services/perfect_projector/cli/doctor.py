"""`perfect doctor`: is this system sound? Checks of what it stands on, and proofs over its log."""

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from perfect_bus.settings import Settings
from perfect_runtime.cli.system import NONE, add_options, reached, settings_of
from perfect_schemas.errors import PerfectError
from perfect_schemas.queries import Integrity, IntegrityCheck, IntegrityReport

if TYPE_CHECKING:
    from perfect_bus import Bus

SAMPLE = 200
ALL_S = 3600.0
MEMORY_LIMIT = "512MB"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="check the system: what it stands on, and that its history holds together",
        description="Check programs, folder, disk, server, streams and clocks, and prove by the log of events that the "
        "system kept its promises: nothing done twice, no limit exceeded, the read model as the events say. With no system "
        "running the file of the read model is checked by itself.",
    )
    add_options(parser)
    parser.add_argument(
        "--sample",
        type=int,
        default=SAMPLE,
        help=f"fold so many of the newest runs afresh, and as many others ({SAMPLE})",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="fold every run on the bus afresh and compare all that is shown with it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 sound, 1 something is wrong, 2 wrong usage, 4 there is nothing to look at."""
    settings = settings_of(arguments)
    checks = asyncio.run(_examine(settings, arguments.sample, full=arguments.full))
    if checks is None:
        print(
            f"perfect doctor: no system is running, and there is none in {settings.data_dir.absolute()}: name its folder "
            "with --data-dir",
            file=sys.stderr,
        )
        return NONE
    failed = [check for check in checks if not check.ok]
    if arguments.json:
        print(
            json.dumps(
                {"ok": not failed, "checks": msgspec.to_builtins(checks)}, indent=2, ensure_ascii=False
            )
        )
    else:
        for check in checks:
            print_check(check)
        wrong = (
            f"{len(failed)} of {len(checks)} checks failed" if failed else f"all {len(checks)} checks passed"
        )
        print(f"\n{wrong}")
    return 1 if failed else 0


def print_check(check: IntegrityCheck) -> None:
    took = f"  {check.elapsed_ms:.0f} ms" if check.elapsed_ms >= 1 else ""
    print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<16}  {check.detail}{took}")
    if not check.ok:
        print(f"        should hold: {check.meaning}")
        for line in check.lines:
            print(f"        - {line}")


async def _examine(settings: Settings, sample: int, *, full: bool) -> list[IntegrityCheck] | None:
    from perfect_runtime.environment import of_host, of_system

    checks = await asyncio.to_thread(of_host, settings)
    async with reached(settings, "perfect doctor", "the file is checked by itself") as bus:
        if bus is not None:
            return [*checks, *await of_system(bus, settings), *await _ask(bus, sample, full=full)]
    alone = await asyncio.to_thread(_of_file, settings, sample)
    return None if alone is None else [*checks, *alone]


async def _ask(bus: "Bus", sample: int, *, full: bool) -> list[IntegrityCheck]:
    from perfect_schemas import subjects

    query = Integrity(conduct=True, sample=sample, holes=True)
    try:
        reply = await bus.ask(subjects.query("integrity"), query, timeout_s=ALL_S, try_s=10.0)
    except PerfectError as error:
        meaning = "The projector can say whether its file holds together."
        return [IntegrityCheck(name="projector", ok=False, detail=error.detail, meaning=meaning)]
    checks = msgspec.json.decode(reply.value, type=IntegrityReport).checks
    return [*checks, await _streams_agree(bus)] if full else checks


async def _streams_agree(bus: "Bus") -> IntegrityCheck:
    from perfect_runtime.verify import verify

    begin = time.perf_counter()
    found = await verify(bus)
    return IntegrityCheck(
        name="streams_agree",
        ok=found.ok,
        meaning="What is shown of every run, task and log line is what the streams say, folded afresh.",
        detail=f"{found.events} events, {found.runs} runs, {found.task_runs} task runs, {found.log_lines} log lines, "
        f"{len(found.differences)} differences",
        lines=found.differences[:5],
        elapsed_ms=round((time.perf_counter() - begin) * 1000, 1),
    )


def _of_file(settings: Settings, sample: int) -> list[IntegrityCheck] | None:
    """With no system running. None when there is no file."""
    import duckdb

    from perfect_projector.continuity import FILE
    from perfect_projector.database import connect
    from perfect_projector.integrity import report

    file = settings.data_dir / FILE
    if not file.exists():
        return None
    try:
        with connect(file, read_only=True, threads=2, memory_limit=MEMORY_LIMIT) as connection:
            return report(connection, Integrity(conduct=True, sample=sample))[0].checks
    except duckdb.Error as error:
        meaning = "The file of the read model can be read."
        return [IntegrityCheck(name="file", ok=False, detail=f"{file}: {error}", meaning=meaning)]
