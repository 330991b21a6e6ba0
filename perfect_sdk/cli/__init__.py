"""The command line. `perfect --help` imports neither NATS nor a service: each command imports what it needs.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a part is not installed, 4 no running system, 130 interrupted.

Other packages add commands by the entry point group `perfect.commands`: a function `register(subparsers)` whose parser
sets `run`, a function from the parsed arguments to the exit code.
"""

from perfect_sdk.cli.main import main

__all__ = ["main"]
