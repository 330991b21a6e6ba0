"""`perfect worker FILE|MODULE…`."""

import argparse
from pathlib import Path
from typing import Any

from perfect_sdk.cli.exits import not_running


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "worker",
        help="serve the flows of files or modules",
        description="Serve the flows that the files or modules define, until SIGTERM or Ctrl-C.",
    )
    parser.add_argument(
        "targets", nargs="+", metavar="FILE|MODULE", help="flows.py, package.flows, flows.py:etl"
    )
    parser.add_argument(
        "--queue", default="default", help="serve runs and tasks of this queue (default: default)"
    )
    parser.add_argument("--concurrency", type=int, metavar="N", help="runs at once per process (default 10)")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="executor processes (default: one per core)"
    )
    parser.add_argument("--name", help="shown with the runs (default: host name and process id)")
    parser.add_argument(
        "--drain", type=float, metavar="SECONDS", help="how long runs may go on after SIGTERM (default 3)"
    )
    parser.add_argument(
        "--nats", metavar="URL", help="nats://USER:PASSWORD@HOST:PORT (default: the running system)"
    )
    parser.add_argument("--data-dir", type=Path, help="data folder of the local system (default .perfect)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from perfect_bus.settings import Settings, find_connection
    from perfect_schemas.errors import InvalidInput
    from perfect_sdk.worker.forked import fork_executors
    from perfect_sdk.worker.options import WorkerOptions
    from perfect_sdk.worker.supervisor import run_worker

    settings = Settings.load(overrides={"nats_url": arguments.nats, "data_dir": arguments.data_dir})
    connection = find_connection(settings)
    if connection is None:
        raise not_running()
    given = {
        "queue": arguments.queue,
        "concurrency": arguments.concurrency,
        "processes": arguments.processes,
        "name": arguments.name,
        "drain_s": arguments.drain,
    }
    for name in ("concurrency", "processes"):
        if given[name] is not None and given[name] < 1:
            raise InvalidInput(f"--{name} must be at least 1")
    if "." in arguments.queue or " " in arguments.queue or not arguments.queue:
        raise InvalidInput(f"--queue {arguments.queue!r}: a queue's name has no dot and no space")
    options = WorkerOptions(
        targets=arguments.targets,
        connection=connection,
        **{name: value for name, value in given.items() if value is not None},
    )
    return run_worker(options.with_settings(settings), forked=fork_executors(options.processes))
