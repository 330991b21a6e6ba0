"""`perfect service NAME…`: one or several services in this process, against any NATS."""

import argparse
import sys
from pathlib import Path

from perfect_bus.settings import Settings
from perfect_runtime.importing import import_shared
from perfect_schemas.errors import InvalidInput


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "service",
        help="run one or several services in this process",
        description="Run services (registry, engine, launcher, projector, gateway) in this process until SIGTERM or SIGINT. On "
        "another host, `perfect service launcher` lets client processes run there: --nats says where the system is.",
    )
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument(
        "--nats",
        dest="nats_url",
        metavar="URL",
        help="nats://USER:PASSWORD@HOST:PORT (default: the running system)",
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the local system's data (default .perfect)")
    parser.add_argument("--workflows-dir", type=Path, help="folder with the workflow files, for the launcher")
    parser.add_argument(
        "--launcher-host", metavar="NAME", help="name of this host, for the launcher (default: the machine's)"
    )
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    names = ("nats_url", "data_dir", "workflows_dir", "launcher_host", "log_level")
    try:
        settings = Settings.load(overrides={name: getattr(arguments, name) for name in names})
    except InvalidInput as error:
        print(f"perfect service: {error.detail}", file=sys.stderr)
        return 2
    import_shared()
    from perfect_runtime.run import run_services

    return run_services(arguments.names, settings)
