"""`perfect clients ls|start|stop`: the worker processes that launchers run, each on its own host."""

import argparse
from typing import Any

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_done, print_json, print_table, show_time
from perfect_sdk.cli.parameters import add_system


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("clients", help="list, start and stop client processes of the hosts")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="the client processes, and everybody else who is connected")
    ls.add_argument("--logs", type=int, default=0, metavar="N", help="with the last N lines of output each")
    add_system(ls)
    ls.set_defaults(run=list_clients)
    for verb, run, text in (
        ("start", start, "run a worker for a file of the workflows folder, and keep it running"),
        ("stop", stop, "end the worker of a file"),
    ):
        one = commands.add_parser(verb, help=text)
        one.add_argument("file", metavar="FILE", help="relative to the workflows folder of the host")
        one.add_argument(
            "--host",
            metavar="NAME",
            help="whose launcher is meant (default: the only one, or that of the server's own machine)",
        )
        add_system(one)
        one.set_defaults(run=run)


def list_clients(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    found = gateway.get("/api/client/status", logs=min(max(arguments.logs, 0), 1000) or "0")
    processes, hosts = found["clients"], found["hosts"]
    connected = [client for client in gateway.get("/api/clients") if client["state"] == "CONNECTED"]
    if arguments.json:
        print_json({"processes": processes, "hosts": hosts, "connected": connected})
        return OK
    if arguments.quiet:
        for name in [one["file"] for one in processes] + [client["name"] for client in connected]:
            print(name)
        return OK
    print_table(
        ["HOST", "FILE", "STATE", "PID", "SINCE", "RESTARTS", "DETAIL"],
        [
            [
                one["host"],
                one["file"],
                _state(one),
                str(one["pid"] or "–"),
                show_time(one["started_at"]),
                str(one["restarts"]),
                one["detail"],
            ]
            for one in processes
        ],
        empty="no client processes: start one with `perfect clients start FILE`",
    )
    for one in hosts:
        if not one["here"]:
            print(f"the launcher of {one['name']} is away since {show_time(one['away_since'])}")
    for one in processes:
        if one["logs"]:
            print(f"\n-- {one['file']}")
            print("\n".join(one["logs"]))
    print()
    print_table(
        ["CLIENT", "HOST", "PID", "SLOTS", "SINCE"],
        [
            [
                client["name"],
                client["host"],
                str(client["pid"]),
                str(client["slots"]),
                show_time(client["connected_at"]),
            ]
            for client in connected
        ],
        empty="no client is connected",
    )
    return OK


def start(arguments: argparse.Namespace) -> int:
    return _show(arguments, Gateway.of(arguments).post("/api/client/start", _wanted(arguments)))


def stop(arguments: argparse.Namespace) -> int:
    return _show(arguments, Gateway.of(arguments).post("/api/client/stop", _wanted(arguments)))


def _wanted(arguments: argparse.Namespace) -> dict[str, str]:
    return {"file": arguments.file} | ({"host": arguments.host} if arguments.host else {})


def _show(arguments: argparse.Namespace, one: dict[str, Any]) -> int:
    pid = f", pid {one['pid']}" if one["pid"] else ""
    detail = f" ({one['detail']})" if one["detail"] else ""
    return print_done(arguments, one, f"{one['file']}: {_state(one)}{pid}{detail}")


def _state(one: dict[str, Any]) -> str:
    if not one["known"]:
        return "unknown"
    if one["running"]:
        return "running" if one["wanted"] else "stopping"
    return "restarting" if one["wanted"] else "stopped"
