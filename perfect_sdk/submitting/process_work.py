"""What goes through the pipe between a run and the process that runs one of its tasks, as pickles."""

import importlib
import inspect
import pickle
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas.folds.task import TaskLife
from perfect_sdk.calling.keys import Place
from perfect_sdk.context import tagged
from perfect_sdk.encoding import failures
from perfect_sdk.exceptions import NotSupported, RecordedError, UnsendableArguments, UnsendableResult
from perfect_sdk.runs import RunContext

if TYPE_CHECKING:
    from perfect_sdk.calling.task_body import Body


class Named(msgspec.Struct, frozen=True):
    """A function by where it is. file: of its module, when that cannot be found by name."""

    module: str
    qualname: str
    file: str | None

    def find(self) -> Any:
        """Whatever has the name there: the function, or the Task or Flow that it was made."""
        module = sys.modules.get(self.module)
        if module is None:
            try:
                module = importlib.import_module(self.module)
            except ModuleNotFoundError:
                if self.file is None:
                    raise
                from perfect_sdk.serving.loading import load_module

                module = load_module(self.file)
        found: Any = module
        for part in self.qualname.split("."):
            found = getattr(found, part)
        return found


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """fn: `Named`, or a pickle of it. inputs: the pickled arguments; they are read once the function's module is there.
    records: what earlier executions have done below the task.
    """

    run: RunContext
    flow: Named | None
    fn: Any
    inputs: bytes
    place: Place
    task_run_id: str
    task_id: str
    attempt: int
    name: str
    run_name: str | None
    digest: str | None
    prints: bool
    epoch: int
    retry_epoch: int
    tags: list[str]
    tags_around: frozenset[str]
    records: list[TaskLife]


def pack(body: "Body") -> bytes:
    """Raises UnsendableArguments for what cannot be pickled, NotSupported for a function that cannot be found there."""
    call = body.call
    session = call.session
    below = f"{call.place.key}/"
    records = [] if session.replay is None else list(session.replay.keys.values())
    try:
        inputs = pickle.dumps((call.args, call.kwargs), protocol=5)
    except Exception as error:
        raise UnsendableArguments(
            f"task {call.policy.name!r} runs in another process, and its arguments cannot be sent there as pickle: "
            f"{error}. Pass builtins or objects of classes at the top level of a module"
        ) from error
    flow = named(session.flow.fn)
    work = Work(
        run=session.run,
        flow=flow if flow is not None and "<locals>" not in flow.qualname else None,
        fn=_function(call.fn, call.policy.name),
        inputs=inputs,
        place=call.place,
        task_run_id=call.id,
        task_id=call.task_id,
        attempt=call.attempt,
        name=call.policy.name,
        run_name=call.run_name,
        digest=call.digest,
        prints=body.frame.prints,
        epoch=session.epoch,
        retry_epoch=session.retry_epoch,
        tags=call.tags,
        tags_around=frozenset(tagged([])),
        records=[record for record in records if record.key.startswith(below)],
    )
    return pickle.dumps(work, protocol=5)


def named(fn: Callable[..., Any]) -> Named | None:
    fn = inspect.unwrap(fn)
    module, qualname = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if module is None or qualname is None:
        return None
    file = getattr(sys.modules.get(module), "__file__", None)
    return Named(module, qualname, file)


def _function(fn: Callable[..., Any], name: str) -> Any:
    found = named(fn)
    if inspect.ismethod(fn):
        return pickle.dumps(fn, protocol=5)
    if found is not None and "<" not in found.qualname:
        return found
    try:
        import cloudpickle  # type: ignore[import-not-found]
    except ImportError:
        raise NotSupported(
            f"task {name!r} runs in another process, where a function is found by its name: put it at the top level of "
            "its module (or install cloudpickle, which sends functions as they are)"
        ) from None
    return cloudpickle.dumps(fn)


def function_of(work: Work) -> tuple[Any, Callable[..., Any]]:
    """What is called (a Task, if it is one), and its function."""
    found = work.fn.find() if isinstance(work.fn, Named) else pickle.loads(work.fn)  # noqa: S301  from our parent
    return found, getattr(found, "fn", found)


def pack_result(value: Any) -> tuple[str, bytes]:
    try:
        return "done", pickle.dumps(value, protocol=5)
    except Exception as error:
        kind = type(value)
        raise UnsendableResult(
            f"the result ({kind.__module__}.{kind.__qualname__}) cannot be sent back from the task's process as pickle: "
            f"{error}"
        ) from error


def unpack_result(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301  from our own child


def pack_error(error: BaseException) -> tuple[str, bytes | None, bytes]:
    """Itself, if it is one that comes through, and what can be said of it."""
    info = failures.describe(error)
    try:
        data: bytes | None = pickle.dumps(error, protocol=5)
        pickle.loads(data)  # noqa: S301  our own; some come out of a pickle only with an error
    except Exception:
        data = None
    return "failed", data, msgspec.json.encode(info)


def unpack_error(data: bytes | None, info: bytes) -> BaseException:
    said = msgspec.json.decode(info, type=failures.ErrorInfo)
    error: BaseException
    try:
        error = pickle.loads(data) if data is not None else failures.restore(said)  # noqa: S301
    except Exception:
        error = RecordedError(said.kind, said.message)
    if data is not None and said.traceback:
        error.add_note(f"Raised in the process that ran the task:\n{said.traceback}")
    return error


def pack_answer(value: Any, error: BaseException | None) -> bytes:
    try:
        return pickle.dumps((value, error), protocol=5)
    except Exception:
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")), protocol=5)
