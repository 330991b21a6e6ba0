"""`perfect rebuild`: the read model anew from its log, compared with the one that is shown."""

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfect_bus.settings import Settings
from perfect_runtime.cli.system import NONE, add_options, reached, settings_of
from perfect_schemas.errors import Rejected

if TYPE_CHECKING:
    from perfect_bus import Bus
    from perfect_projector.rebuild import Outcome

SCRATCH = "perfect.duckdb"
COPY_S = 3600.0


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "rebuild",
        help="make the read model anew from its log, and compare",
        description="Fold every run, task and statistic again from the log of events in the file of the read model, by the "
        "same code as live, and compare. If something differs, it is said, and the rebuilt tables take the place of the "
        "others. Works beside a running system, on the projector's host, and without one.",
    )
    add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="compare only: leave the read model as it is")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 equal, 1 different (and replaced) or failed, 2 wrong usage, 4 there is no read model."""
    settings = settings_of(arguments)
    outcome = asyncio.run(_rebuild(settings, dry_run=arguments.dry_run))
    if outcome is None:
        print(
            f"perfect rebuild: no system is running, and there is no read model in {settings.data_dir.absolute()}: name its "
            "folder with --data-dir",
            file=sys.stderr,
        )
        return NONE
    if arguments.json:
        print(
            json.dumps(
                {**msgspec.to_builtins(outcome), "equal": outcome.is_equal}, indent=2, ensure_ascii=False
            )
        )
    else:
        _print(outcome, dry_run=arguments.dry_run)
    return 0 if outcome.is_equal else 1


def _print(outcome: "Outcome", *, dry_run: bool) -> None:
    rate = outcome.events / outcome.fold_s if outcome.fold_s else 0
    print(
        f"{outcome.events:,} events folded in {outcome.fold_s:.1f} s ({rate:,.0f}/s), compared in {outcome.compare_s:.1f} s"
    )
    if outcome.is_equal:
        print("the read model is what its log comes to")
        return
    for line in outcome.lines:
        print(f"  {line}")
    for table, count in outcome.differences.items():
        print(f"{table}: {count:,} rows differ")
    print(
        "the read model was left as it is"
        if dry_run
        else "the rebuilt tables have taken the place of the others"
    )


async def _rebuild(settings: Settings, *, dry_run: bool) -> "Outcome | None":
    async with reached(settings, "perfect rebuild", "the file is rebuilt by itself") as bus:
        if bus is not None:
            return await _live(bus, dry_run=dry_run)
    return await asyncio.to_thread(_alone, settings, dry_run=dry_run)


async def _live(bus: "Bus", *, dry_run: bool) -> "Outcome":
    """From a copy of the file: the system goes on, and only the end holds up what it writes."""
    from perfect_projector.rebuild import REBUILD, rebuild
    from perfect_schemas import ids, subjects
    from perfect_schemas.commands import CopyReadModel, ReadModelCopy, ReplaceReadModel

    command = CopyReadModel(copy_id=ids.uuid7())
    reply = await bus.ask(subjects.command("projector", "copy"), command, timeout_s=COPY_S, try_s=5.0)
    copy = Path(msgspec.json.decode(reply.value, type=ReadModelCopy).file)
    folder = copy.parents[1] / REBUILD
    try:
        scratch = _folder(folder) / SCRATCH
        outcome = await asyncio.to_thread(rebuild, copy, scratch, tell=_progress())
        if not outcome.is_equal and not dry_run:
            wanted = ReplaceReadModel(file=str(scratch))
            await bus.ask(subjects.command("projector", "replace"), wanted, timeout_s=COPY_S, try_s=COPY_S)
        return outcome
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        await asyncio.to_thread(copy.unlink, missing_ok=True)


def _alone(settings: Settings, *, dry_run: bool) -> "Outcome | None":
    from perfect_projector.continuity import FILE
    from perfect_projector.duck import Duck
    from perfect_projector.rebuild import REBUILD, rebuild, replace
    from perfect_runtime.lock import DataDirLock

    file = settings.data_dir / FILE
    if not file.exists():
        return None
    lock = DataDirLock(settings.data_dir)
    lock.acquire()
    folder = settings.data_dir / REBUILD
    try:
        scratch = _folder(folder) / SCRATCH
        duck = Duck(file, settings.archive_dir)  # an older version's file gets the columns of this one
        duck.close()
        outcome = rebuild(file, scratch, tell=_progress())
        if not dry_run and (duck.outdated is not None or not outcome.is_equal):
            duck = Duck(file, settings.archive_dir)
            try:
                replace(duck, scratch)
            finally:
                duck.close()
        return outcome
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _folder(folder: Path) -> Path:
    """Empty. Raises Rejected when another rebuild is under way."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise Rejected(
            f"{folder} is there already: another rebuild is under way, or was killed; if so, remove that folder"
        ) from None
    return folder


def _progress() -> Callable[[int], None]:
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda count: print(f"\r{count:,} events", end="", file=sys.stderr, flush=True)
