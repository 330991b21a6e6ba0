"""The command line. `perfect --help` imports neither NATS nor a service: each command imports what it needs.

Exit codes are in `exits`. How to add a command: a module with `register(subparsers)`, its name in `main.COMMANDS`; lists are
printed by `output.print_list`, what was done by `output.print_done`, so that `--json` and `--quiet` are the same everywhere.

Other packages add commands by the entry point group `perfect.commands`: a function `register(subparsers)` whose parser
sets `run`, a function from the parsed arguments to the exit code.
"""

from perfect_sdk.cli.main import main

__all__ = ["main"]
