"""How a command ends, for scripts."""

OK = 0
FAILED = 1
USAGE = 2
NOT_INSTALLED = 3
NOT_RUNNING = 4
INTERRUPTED = 130
MEANINGS = {
    OK: "done; of a run that was watched: it is COMPLETED",
    FAILED: "failed, was refused, or there is no such thing; of a run that was watched: it ended in another state",
    USAGE: "wrong usage: an option, a parameter or a value that cannot be",
    NOT_INSTALLED: "a part that the command needs is not installed: pip install 'perfect-flow[server]'",
    NOT_RUNNING: "there is no running system, or it does not answer: perfect up",
    INTERRUPTED: "ended with Ctrl-C; a run that was watched goes on",
}
"""Documented, and never changed: scripts build on them."""


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
