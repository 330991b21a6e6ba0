"""One transaction: what is staged in it, its end, and how its hooks run. See `transactions`."""

import copy
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from perfect_sdk import results
from perfect_sdk.caching.cache_entry import CacheEntry
from perfect_sdk.calling.keys import Scope
from perfect_sdk.committing import committed_value
from perfect_sdk.committing.hooks import HookEffect
from perfect_sdk.context import Frame, current
from perfect_sdk.recording.journal import FlowSuspended, RunCancelledError, RunSupersededError
from perfect_sdk.running.effects import Steps, drive, drive_async

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call

_UNSET: Any = object()
_INFO, _WARNING, _ERROR = 20, 30, 40


class CommitMode(Enum):
    """lazy: with the transaction around it, or at its own end. eager: at its own end. off: never by itself."""

    EAGER = "EAGER"
    LAZY = "LAZY"
    OFF = "OFF"


class IsolationLevel(Enum):
    READ_COMMITTED = "READ_COMMITTED"
    SERIALIZABLE = "SERIALIZABLE"


class TransactionState(Enum):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    STAGED = "STAGED"
    COMMITTED = "COMMITTED"
    ROLLED_BACK = "ROLLED_BACK"


class Record:
    """What `read` gives."""

    __slots__ = ("key", "result")

    def __init__(self, key: str, result: Any) -> None:
        self.key = key
        self.result = result


class Transaction:
    """See `transaction` for the arguments. frame: where in a run its hooks run, None outside of runs; place: the key that
    its hooks are recorded below.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        commit_mode: CommitMode | None = None,
        overwrite: bool = False,
        write_on_commit: bool = True,
        logger: Any = None,
        parent: "Transaction | None" = None,
        frame: Frame | None = None,
        place: str = "",
    ) -> None:
        self.key = key
        self.commit_mode = commit_mode
        self.overwrite = overwrite
        self.write_on_commit = write_on_commit
        self.logger = logger
        self.parent = parent
        self.frame = frame
        self.place = place
        self.state = TransactionState.PENDING
        self.children: list[Transaction] = []
        self.on_commit_hooks: list[Callable[..., Any]] = []
        self.on_rollback_hooks: list[Callable[..., Any]] = []
        self.keeps: Callable[[], Steps[None]] | None = None  # lets the cache have what a task has computed
        self._values: dict[str, Any] = {}
        self._staged: Any = None
        self._found: CacheEntry | None = None
        self._tokens: tuple[Token[Any], Token[Any]] | None = None
        self._is_ending = False
        self._lock = threading.Lock()
        self._is_async = False
        self._scopes: dict[str, tuple[Scope, int]] = {}

    def __repr__(self) -> str:
        return f"<transaction {self.key or self.place or ''!r} {self.state.value}>"

    # -- for whoever uses it

    def set(self, name: str, value: Any) -> None:
        """Remember a value for what comes later in the transaction, its hooks too."""
        self._values[name] = value

    def get(self, name: str, default: Any = _UNSET) -> Any:
        """A copy of the value, also of the transactions around it. Raises ValueError when there is none."""
        around: Transaction | None = self
        while around is not None:
            if name in around._values:
                return copy.deepcopy(around._values[name])
            around = around.parent
        if default is _UNSET:
            raise ValueError(f"the transaction has no value {name!r}: `set` it first, or give a default")
        return default

    def stage(
        self,
        value: Any,
        on_rollback_hooks: list[Callable[..., Any]] | None = None,
        on_commit_hooks: list[Callable[..., Any]] | None = None,
    ) -> None:
        """What the commit keeps under the key. Nothing when it is committed already."""
        if self.state is TransactionState.COMMITTED:
            return
        self._staged = value
        self.on_rollback_hooks += on_rollback_hooks or ()
        self.on_commit_hooks += on_commit_hooks or ()
        self.state = TransactionState.STAGED

    def read(self) -> Record | None:
        """What is committed under the key, None when nothing is."""
        if self.key is None or self._found is None:
            return None
        stored = self._found.result
        return Record(self.key, results.decode_result(stored, Any, self._load))

    def is_committed(self) -> bool:
        return self.state is TransactionState.COMMITTED

    def is_rolled_back(self) -> bool:
        return self.state is TransactionState.ROLLED_BACK

    def is_staged(self) -> bool:
        return self.state is TransactionState.STAGED

    def is_pending(self) -> bool:
        return self.state is TransactionState.PENDING

    def is_active(self) -> bool:
        return self.state is TransactionState.ACTIVE

    def get_parent(self) -> "Transaction | None":
        return self.parent

    @classmethod
    def get_active(cls) -> "Transaction | None":
        return get_transaction()

    def commit(self) -> bool:
        """Now. False when it was committed or rolled back before, or fails: then it is rolled back."""
        return drive(self.commit_steps())

    def rollback(self) -> bool:
        """Now. False when it was committed or rolled back before, or a hook failed."""
        return drive(self.rollback_steps())

    def __enter__(self) -> Self:
        self._begin()
        drive(self._look_up())
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._leave()
        drive(self._end(error))

    async def __aenter__(self) -> Self:
        self._is_async = True
        self._begin()
        await drive_async(self._look_up())
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._leave()
        await drive_async(self._end(error))

    # -- its life

    def _begin(self) -> None:
        if self.state is not TransactionState.PENDING:
            raise RuntimeError("a transaction is entered once: make another one")
        frame = current.get()
        self.parent = enclosing(frame) if frame is not None else _active.get()
        if self.commit_mode is None:
            self.commit_mode = self.parent.commit_mode if self.parent is not None else CommitMode.LAZY
        self.state = TransactionState.ACTIVE
        if frame is None:
            return
        frame.check()
        self.frame = frame
        if self.key is None:
            self.place = frame.scope.take("transaction").key

    def _look_up(self) -> Steps[None]:
        """What is found is recorded: a resumed run takes the path that it took."""
        if self.key is None:
            return
        if self.frame is None:
            self._found = committed_value.here(self.key)
        else:
            call = committed_value.look_up(self.frame, self.key, is_async=self._is_async)
            self.place = call.place.key
            self._found = yield from call.steps()
        if self._found is not None and not self.overwrite:
            self.state = TransactionState.COMMITTED

    def _enter(self) -> None:
        frame = self.frame
        if frame is not None:
            frame = Frame(frame.session, frame.scope, frame.call, parent=frame, prints=frame.prints)
            frame.transaction = self
        self._tokens = (current.set(frame), _active.set(self))

    def _leave(self) -> None:
        assert self._tokens is not None
        current.reset(self._tokens[0])
        _active.reset(self._tokens[1])
        self._tokens = None

    def _end(self, error: BaseException | None) -> Steps[None]:
        if error is not None:
            if isinstance(error, (FlowSuspended, RunSupersededError, GeneratorExit)):
                return  # the run goes on from here later, or elsewhere
            yield from self.rollback_steps(recorded=self._may_record(error))
            yield from self._join_parent()
            return
        yield from self.ended()

    def ended(self) -> Steps[None]:
        """Its work is done: commit, or leave it to the transaction around it."""
        if self.commit_mode is CommitMode.EAGER:
            yield from self.commit_steps()
        if self.parent is not None:
            yield from self._join_parent()
        elif self.commit_mode is CommitMode.OFF:
            yield from self.rollback_steps()
        elif self.commit_mode is CommitMode.LAZY:
            yield from self.commit_steps()

    def failed(self) -> Steps[None]:
        """Its work failed: it is rolled back, and so is what it belongs to."""
        yield from self.rollback_steps()
        yield from self._join_parent()

    def _join_parent(self) -> Steps[None]:
        if self.parent is None:
            return
        self.parent.children.append(self)
        if self.state is TransactionState.ROLLED_BACK:
            yield from self.parent.rollback_steps()

    def _may_record(self, error: BaseException) -> bool:
        stop = self.frame.session.stop.kind if self.frame is not None else None
        return stop is None and not isinstance(error, (RunCancelledError, KeyboardInterrupt, SystemExit))

    def _take_end(self) -> bool:
        with self._lock:
            if self._is_ending or self.state in (TransactionState.COMMITTED, TransactionState.ROLLED_BACK):
                return False
            self._is_ending = True
            return True

    def commit_steps(self) -> Steps[bool]:
        if not self._take_end():
            return False
        try:
            for child in self.children:
                yield from child.commit_steps()
            for hook in self.on_commit_hooks:
                yield from self._call(hook, "commit")
            if self.keeps is not None:
                yield from self.keeps()
            elif self.key is not None and self.write_on_commit:
                yield from self._write()
        except Exception as error:
            self._say(_ERROR, "a transaction could not be committed, it is rolled back", error)
            self._is_ending = False
            yield from self.rollback_steps()
            return False
        self.state = TransactionState.COMMITTED
        return True

    def rollback_steps(self, *, recorded: bool = True) -> Steps[bool]:
        if not self._take_end():
            return False
        try:
            for hook in reversed(self.on_rollback_hooks):
                yield from self._call(hook, "rollback", recorded=recorded)
            self.state = TransactionState.ROLLED_BACK
            for child in reversed(self.children):
                yield from child.rollback_steps(recorded=recorded)
        except Exception as error:
            self._say(_ERROR, "a transaction could not be rolled back", error)
            return False
        return True

    def hook_place(self, kind: str) -> tuple[Scope, int]:
        """Below which key its next hook of this kind is recorded, and which one it is."""
        scope, n = self._scopes.get(kind) or (Scope(f"{self.place}/{kind}~0"), 0)
        self._scopes[kind] = (scope, n + 1)
        return scope, n

    def _call(self, hook: Callable[..., Any], kind: str, *, recorded: bool = True) -> Steps[None]:
        if self.frame is None or not recorded:
            yield HookEffect(hook, self)
            return
        from perfect_sdk.committing.hook_call import HookCall

        yield from HookCall(self, hook, kind).steps()

    # -- the value under its key

    def _write(self) -> Steps[None]:
        assert self.key is not None
        self._found = yield from committed_value.write(self.frame, self.key, self._staged)

    def _load(self, stored: Any) -> bytes:
        return self.frame.session.journal.load(stored) if self.frame is not None else bytes(stored.value)

    def _say(self, level: int, message: str, error: BaseException) -> None:
        if self.frame is not None:
            self.frame.session.say(level, message, call=self.frame.call, error=error)
        else:
            import logging

            logging.getLogger("perfect").log(level, "%s: %s", message, error, exc_info=error)


_active: ContextVar[Transaction | None] = ContextVar("perfect_transaction", default=None)


def get_transaction() -> Transaction | None:
    """The innermost transaction around the code that asks; within a task, the task's own."""
    frame = current.get()
    return enclosing(frame) if frame is not None else _active.get()


def around_no_run() -> Transaction | None:
    """The innermost one around code that is in no run."""
    return _active.get()


def enclosing(frame: Frame) -> Transaction | None:
    if frame.transaction is not None:
        return frame.transaction
    return of_call(frame.call) if frame.call is not None else None


def of_call(call: "Call") -> Transaction:
    """The transaction of a task, which what it calls joins; made when first needed."""
    if call.transaction is None:
        parent = enclosing(call.frame)
        made = Transaction(
            parent=parent,
            commit_mode=parent.commit_mode if parent is not None else CommitMode.LAZY,
            frame=call.frame,
            place=call.place.key,
        )
        made.state = TransactionState.ACTIVE
        call.transaction = made
    return call.transaction
