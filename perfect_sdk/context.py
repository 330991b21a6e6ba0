"""Where the running code stands: the frame of its run and task, carried by a context variable.

asyncio tasks inherit it from where they are created; the SDK's own threads get a copy. While a run executes on an
event loop, the loop's task factory gives each asyncio task that the run's code creates a branch of its own, so that
keys follow the order of creation (`keys.py`).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from perfect_sdk.calling.keys import Scope
from perfect_sdk.exceptions import FlowTimeoutError, MissingContextError, TaskTimeoutError

if TYPE_CHECKING:
    import asyncio

    from perfect_sdk.calling.execution import Call
    from perfect_sdk.committing.transaction import Transaction
    from perfect_sdk.run_context import FlowRunContext, TaskRunContext, get_run_context
    from perfect_sdk.running.session import RunSession

__all__ = [
    "FlowRunContext",
    "Frame",
    "TaskRunContext",
    "branching",
    "current",
    "entered",
    "get_run_context",
    "of_run",
    "require",
    "tagged",
    "tags",
]


class Frame:
    """call: the task that runs, None in the flow's body. deadline: of the call or of the one around it that ends
    first, on the monotonic clock; `limited` is that one. prints: whether `print` becomes log lines.
    transaction: the `with transaction()` that the code is in.
    """

    __slots__ = ("call", "deadline", "limited", "prints", "scope", "session", "transaction")

    def __init__(
        self,
        session: "RunSession",
        scope: Scope,
        call: "Call | None" = None,
        *,
        parent: "Frame | None" = None,
        deadline: float | None = None,
        prints: bool = False,
    ) -> None:
        self.session = session
        self.scope = scope
        self.call = call
        self.prints = prints
        self.transaction: Transaction | None = None
        self.deadline = deadline
        self.limited = self
        if (
            parent is not None
            and parent.deadline is not None
            and (deadline is None or parent.deadline < deadline)
        ):
            self.deadline = parent.deadline
            self.limited = parent.limited

    def check(self) -> None:
        """Every SDK call begins with it. Raises when the run is to stop here, or the time of a call is up."""
        session = self.session
        stop = session.stop
        if session.floor.is_resting and session.is_suspended:
            stop.raise_()
        if stop.kind is not None:
            stop.raise_()
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise self.limited.timed_out()

    def timed_out(self) -> TimeoutError:
        if self.call is not None:
            return TaskTimeoutError(
                f"task {self.call.place.key!r} took longer than its {self.call.policy.timeout_seconds:g} s"
            )
        return FlowTimeoutError(
            f"flow {self.session.run.flow_name!r} took longer than its {self.session.flow.policy.timeout_seconds:g} s"
        )

    def with_scope(self, scope: Scope) -> "Frame":
        frame = Frame(self.session, scope, self.call, parent=self, prints=self.prints)
        frame.transaction = self.transaction
        return frame


current: ContextVar[Frame | None] = ContextVar("perfect_frame", default=None)


@contextmanager
def entered(frame: Frame) -> Iterator[None]:
    """Code inside runs in `frame`. Also left from another context, when an unfinished coroutine is thrown away."""
    token = current.set(frame)
    try:
        yield
    finally:
        with suppress(ValueError):
            current.reset(token)


def of_run() -> Frame | None:
    """The frame of the run that the calling code is part of. None outside of one, also in a task called outside of a flow."""
    frame = current.get()
    return frame if frame is not None and frame.session.has_flow else None


def require(what: str) -> Frame:
    """The frame of the code that calls. Raises MissingContextError outside of a run."""
    frame = current.get()
    if frame is None:
        raise MissingContextError(f"{what} needs a running flow or task; it was called outside of one")
    return frame


_tags: ContextVar[frozenset[str]] = ContextVar("perfect_tags", default=frozenset())


@contextmanager
def tags(*new_tags: str) -> Iterator[set[str]]:
    """Tasks and flows that are called inside carry these tags, those of the `tags` around it, and their own.

    Raises InvalidInput for what is no text.
    """
    if not all(isinstance(tag, str) and tag for tag in new_tags):
        from perfect_sdk.exceptions import InvalidInput

        raise InvalidInput(f"tags() takes texts, not {new_tags!r}")
    everything = _tags.get() | frozenset(new_tags)
    token = _tags.set(everything)
    try:
        yield set(everything)
    finally:
        with suppress(ValueError):
            _tags.reset(token)


def tags_around() -> list[str]:
    """Those of every `with tags(…)` that the calling code is in."""
    return sorted(_tags.get())


def tagged(own: Iterable[str]) -> list[str]:
    """The tags of something that is called now: its own, and those around it."""
    around = _tags.get()
    own = own if isinstance(own, list) else sorted(own)
    return [*own, *sorted(around.difference(own))] if around else own


_branching: "dict[int, tuple[int, Any]]" = {}


@contextmanager
def branching(loop: "asyncio.AbstractEventLoop") -> Iterator[None]:
    """While inside, asyncio tasks created by code of a run on `loop` get scopes of their own. Nests."""
    users, before = _branching.get(id(loop), (0, loop.get_task_factory()))
    _branching[id(loop)] = (users + 1, before)
    if users == 0:
        loop.set_task_factory(_factory(before))
    try:
        yield
    finally:
        users, before = _branching[id(loop)]
        if users > 1:
            _branching[id(loop)] = (users - 1, before)
        else:
            del _branching[id(loop)]
            loop.set_task_factory(before)


def _factory(before: Any) -> Callable[..., Any]:
    import asyncio

    make = before or _plain_task(asyncio.Task)

    def create(loop: "asyncio.AbstractEventLoop", coro: Any, **options: Any) -> Any:
        frame = current.get()
        if frame is None or options.get("context") is not None:
            return make(loop, coro, **options)
        context = copy_context()
        context.run(current.set, frame.with_scope(frame.scope.branch(_name_of(coro))))
        return make(loop, coro, **(options | {"context": context}))

    return create


def _plain_task(kind: Any) -> Callable[..., Any]:
    def make(loop: "asyncio.AbstractEventLoop", coro: Any, **options: Any) -> Any:
        return kind(coro, loop=loop, **options)

    return make


def _name_of(coro: Any) -> str:
    code = getattr(coro, "cr_code", None) or getattr(coro, "gi_code", None)
    return code.co_name if code is not None else getattr(coro, "__name__", "task")


def __getattr__(name: str) -> Any:
    if name in ("FlowRunContext", "TaskRunContext", "get_run_context"):
        from perfect_sdk import run_context

        return getattr(run_context, name)
    from perfect_sdk.elsewhere import names_of

    return names_of(__name__)(name)
