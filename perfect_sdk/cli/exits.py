"""How a command ends, for scripts."""

OK = 0
FAILED = 1
USAGE = 2
NOT_INSTALLED = 3
NOT_RUNNING = 4
INTERRUPTED = 130


class Exit(Exception):
    """End the command with `code` and say `message` on stderr."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def not_running() -> Exit:
    return Exit(
        NOT_RUNNING,
        "no Perfect system found: start one with `perfect up`, or name one by --data-dir or --url",
    )
