"""The error tree. Each error knows its HTTP status and its RFC 9457 problem.

PerfectError
├── Rejected                you did wrong: repeating it as it is will not help
│   ├── NotFound            404  flow, run … of that id or name does not exist
│   ├── InvalidInput        422  names every field that is wrong
│   ├── Conflicting         409  the thing is not in a state that allows it
│   ├── TooLarge            413  more bytes than an event may have
│   └── Busy                429  too many ask at once; later it may be done
└── Failed                  the system failed: repeating it later may help
    ├── BusUnavailable      503  NATS does not answer; the outcome of what was sent is unknown
    ├── ServiceUnavailable  503  no service answers this command or query
    └── TimedOut            504  it was answered too late
"""

from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """field: dotted path of the wrong value, as the caller sent it."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details; `errors` names the wrong fields of a 422."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    errors: list[FieldError] = []


class PerfectError(Exception):
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, errors: list[FieldError] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []

    def problem(self) -> Problem:
        return Problem(status=self.status, title=self.title, detail=self.detail, errors=self.errors)


class Rejected(PerfectError):
    status = 400
    title = "Rejected"


class NotFound(Rejected):
    status = 404
    title = "Not found"


class InvalidInput(Rejected):
    status = 422
    title = "Invalid input"


class Conflicting(Rejected):
    status = 409
    title = "Conflict"


class TooLarge(Rejected):
    status = 413
    title = "Too large"


class Busy(Rejected):
    status = 429
    title = "Busy"


class Failed(PerfectError):
    status = 500
    title = "Failed"


class BusUnavailable(Failed):
    status = 503
    title = "Bus unavailable"


class ServiceUnavailable(Failed):
    status = 503
    title = "Service unavailable"


class TimedOut(Failed):
    status = 504
    title = "Timed out"


_BY_STATUS: dict[int, type[PerfectError]] = {
    error.status: error
    for error in (
        Failed,
        Rejected,
        NotFound,
        InvalidInput,
        Conflicting,
        TooLarge,
        Busy,
        ServiceUnavailable,
        TimedOut,
    )
}


def from_problem(problem: Problem) -> PerfectError:
    """The error that a service answered with, to raise on the asking side."""
    return _BY_STATUS.get(problem.status, Failed)(problem.detail, problem.errors)


def refuse(what: str, errors: list[FieldError]) -> None:
    """Raises InvalidInput, naming every wrong field, when there are any. what: as in `the limit cannot be set`."""
    if errors:
        raise InvalidInput(f"{what}: " + "; ".join(f"{one.field} {one.message}" for one in errors), errors)
