"""`@task`: a function whose calls within a flow are recorded, retried, and never repeated once they completed."""

from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from perfect_sdk import options
from perfect_sdk.background.delayable import Delayable
from perfect_sdk.calling.decorated import Decorated
from perfect_sdk.calling.policy import Delays, Hook, Hooks, Policy, delays_of, exponential_backoff
from perfect_sdk.context import current, of_run
from perfect_sdk.exceptions import (
    MissingContextError,
    NotSupported,
)
from perfect_sdk.results import serializer_of

if TYPE_CHECKING:
    from perfect_sdk.cache_policies import CachePolicy
    from perfect_sdk.futures import PerfectFuture, PerfectFutureList
    from perfect_sdk.states import State

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)  # noqa: PLC0105  the one that all decorators have
T = TypeVar("T")


__all__ = ["Task", "exponential_backoff", "task"]


class Task(Decorated, Delayable[P, R], Generic[P, R]):
    """What `@task` makes of a function; see `task` for the options. Attributes are not to be changed: `with_options`
    makes another one.

    fn: the function itself. weight, estimated_time: see `task`.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        weight: float = 1.0,
        estimated_time: int | None = None,
        cache_policy: "CachePolicy | None" = None,
        cache_key_fn: Callable[..., str | None] | None = None,
        cache_expiration: timedelta | None = None,
        refresh_cache: bool | None = None,
        task_run_name: str | Callable[..., str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: Delays = None,
        retry_jitter_factor: float | None = None,
        retry_condition_fn: Callable[..., Any] | None = None,
        timeout_seconds: float | None = None,
        persist_result: bool | None = None,
        result_serializer: str | None = None,
        serializer: str | None = None,
        log_prints: bool | None = None,
        queue: str | None = None,
        on_completion: list[Hook] | None = None,
        on_failure: list[Hook] | None = None,
        on_running: list[Hook] | None = None,
        on_rollback: list[Hook] | None = None,
        on_commit: list[Hook] | None = None,
        **others: Any,
    ) -> None:
        self.name = name or getattr(fn, "__name__", None) or type(fn).__name__
        owner = f"task {self.name!r}"
        options.check(others, owner)
        self.is_async = options.plain_function(fn, owner)
        self.fn = fn
        self.description = description if description is not None else (fn.__doc__ or "").strip()
        self.tags = frozenset(tags or ())
        self.version = version
        self.weight = _weight(weight, owner)
        self.estimated_time = _estimate(estimated_time, owner)
        tries = options.count(retries, "retries", owner)
        cache = options.cache(cache_policy, cache_key_fn, persist_result, owner)
        self.policy = Policy(
            name=self.name,
            retries=tries,
            delays=delays_of(retry_delay_seconds, tries, owner),
            jitter=options.positive(retry_jitter_factor or None, "retry_jitter_factor", owner) or 0.0,
            retry_condition=retry_condition_fn,
            timeout_seconds=options.positive(timeout_seconds, "timeout_seconds", owner),
            serializer=serializer_of(result_serializer or serializer, owner),
            persist=persist_result is not False,
            prints=log_prints,
            hooks=Hooks(
                running=list(on_running or ()),
                completion=list(on_completion or ()),
                failure=list(on_failure or ()),
                rollback=list(on_rollback or ()),
                commit=list(on_commit or ()),
            ),
            queue=options.queue(queue, owner),
            cache=cache,
            caches_as_flow=persist_result is None and cache_policy is None and cache_key_fn is None,
            cache_expiration=options.expiration(cache_expiration, owner),
            refresh_cache=refresh_cache,
            run_name=options.namer(task_run_name, "task_run_name", owner),
        )
        self._options: dict[str, Any] = {
            "name": self.name,
            "description": description,
            "tags": tags,
            "version": version,
            "weight": weight,
            "estimated_time": estimated_time,
            "cache_policy": cache_policy,
            "cache_key_fn": cache_key_fn,
            "cache_expiration": cache_expiration,
            "refresh_cache": refresh_cache,
            "task_run_name": task_run_name,
            "retries": retries,
            "retry_delay_seconds": retry_delay_seconds,
            "retry_jitter_factor": retry_jitter_factor,
            "retry_condition_fn": retry_condition_fn,
            "timeout_seconds": timeout_seconds,
            "persist_result": persist_result,
            "result_serializer": result_serializer or serializer,
            "log_prints": log_prints,
            "queue": queue,
            **others,
        }
        self._look_like(fn)

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"

    cache_policy = options.given("cache_policy")
    cache_key_fn = options.given("cache_key_fn")
    cache_expiration = options.given("cache_expiration")
    task_run_name = options.given("task_run_name")

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> "Task[P, R]": ...
    @overload
    def __get__(
        self: "Task[Concatenate[Any, Q], T]", instance: object, owner: type | None = None
    ) -> "Task[Q, T]": ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A task defined in a class is a method."""
        if instance is None:
            return self
        bound = self.with_options()
        bound.fn = self.fn.__get__(instance, owner)  # type: ignore[attr-defined]
        return bound

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self: "Task[P, Coroutine[Any, Any, T]]",
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> "Coroutine[Any, Any, State[T]]": ...
    @overload
    def __call__(
        self, *args: Any, return_state: Literal[True], wait_for: Iterable[Any] | None = None, **kwargs: Any
    ) -> "State[R]": ...
    @overload
    def __call__(self, *args: Any, wait_for: Iterable[Any] | None, **kwargs: Any) -> R: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task as part of the flow that calls it. Outside of a flow it is run just so (retries, timeout, hooks, the
        cache of this process), but nobody records it, not even a running system: `delay` is for that.

        `return_state=True` returns its State instead of its result; `wait_for=[…]`: futures to wait for first.
        """
        from perfect_sdk.calling import task_state
        from perfect_sdk.calling.execution import Call
        from perfect_sdk.running.effects import drive, drive_async

        wait_for: Any = ()
        return_state = False
        if kwargs and ("wait_for" in kwargs or "return_state" in kwargs):
            wait_for = kwargs.pop("wait_for", ())
            return_state = kwargs.pop("return_state", False)
        frame = current.get()
        if frame is None:
            from perfect_sdk.running import outside

            frame = outside.frame()
        call = Call(frame, self, self.policy, self.fn, args, kwargs, wait_for)
        if self.is_async:
            made = drive_async(call.steps())
            return task_state.of_async(call, made) if return_state else made
        return task_state.of(call) if return_state else drive(call.steps())

    @overload
    def submit(
        self: "Task[P, Coroutine[Any, Any, T]]",
        *args: Any,
        return_state: Literal[True],
        wait_for: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> "State[T]": ...
    @overload
    def submit(
        self, *args: Any, return_state: Literal[True], wait_for: Iterable[Any] | None = None, **kwargs: Any
    ) -> "State[R]": ...
    @overload
    def submit(
        self: "Task[P, Coroutine[Any, Any, T]]",
        *args: Any,
        return_state: Literal[False] = False,
        **kwargs: Any,
    ) -> "PerfectFuture[T]": ...
    @overload
    def submit(
        self, *args: Any, return_state: Literal[False] = False, **kwargs: Any
    ) -> "PerfectFuture[R]": ...
    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Start the task and go on: a sync task in a thread, an async one on the flow's loop. Not awaited.

        Futures among the arguments are waited for first, then replaced by their results. `wait_for=[…]`: futures to
        wait for only. Raises MissingContextError outside of a flow.
        """
        frame = of_run()
        if frame is None:
            raise MissingContextError(
                f"task {self.name!r}: submit() needs a running flow; call the task instead, or delay() it for a worker"
            )
        from perfect_sdk.calling.execution import Call

        wait_for: Any = kwargs.pop("wait_for", None) or ()
        return_state = kwargs.pop("return_state", False)
        pool = frame.session.pool()
        call = Call(frame, self, self.policy, self.fn, args, kwargs, wait_for)
        future = pool.submit(call, is_async=self.is_async)
        if return_state:
            future.wait()
            return future.state
        return future

    @overload
    def map(
        self, *args: Any, return_state: Literal[True], wait_for: Iterable[Any] | None = None, **kwargs: Any
    ) -> "list[State[Any]]": ...
    @overload
    def map(
        self: "Task[P, Coroutine[Any, Any, T]]",
        *args: Any,
        return_state: Literal[False] = False,
        **kwargs: Any,
    ) -> "PerfectFutureList[T]": ...
    @overload
    def map(
        self, *args: Any, return_state: Literal[False] = False, **kwargs: Any
    ) -> "PerfectFutureList[R]": ...
    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Submit the task once for each item of its iterable arguments, all of one length.

        Raises MappingMissingIterable, MappingLengthMismatch.
        """
        from perfect_sdk.submitting.mapping import submit_each

        return_state = kwargs.pop("return_state", False)
        made = submit_each(self, args, kwargs)
        if return_state:
            made.wait()
            return [future.state for future in made]
        return made

    def with_options(self, **changes: Any) -> "Task[P, R]":
        """A task like this one with other options; see `task`."""
        hooks = self.policy.hooks
        kept: dict[str, Any] = {
            "on_completion": hooks.completion,
            "on_failure": hooks.failure,
            "on_running": hooks.running,
            "on_rollback": hooks.rollback,
            "on_commit": hooks.commit,
        }
        return Task(self.fn, **(self._options | kept | changes))

    def on_rollback(self, fn: Hook) -> Hook:
        self.policy.hooks.rollback.append(fn)
        return fn

    def on_commit(self, fn: Hook) -> Hook:
        self.policy.hooks.commit.append(fn)
        return fn


def _weight(value: float, owner: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise NotSupported(f"{owner}: weight is a number above 0, not {value!r}")
    return float(value)


def _estimate(value: float | None, owner: str) -> int | None:
    checked = options.positive(value, "estimated_time (ms)", owner)
    return None if checked is None else max(int(checked), 1)


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    version: str | None = None,
    weight: float = 1.0,
    estimated_time: int | None = None,
    retries: int | None = None,
    retry_delay_seconds: Delays = None,
    retry_jitter_factor: float | None = None,
    retry_condition_fn: Callable[..., Any] | None = None,
    timeout_seconds: float | None = None,
    cache_policy: "CachePolicy | None" = None,
    cache_key_fn: Callable[..., str | None] | None = None,
    cache_expiration: timedelta | None = None,
    refresh_cache: bool | None = None,
    task_run_name: str | Callable[..., str] | None = None,
    persist_result: bool | None = None,
    result_serializer: str | None = None,
    serializer: str | None = None,
    log_prints: bool | None = None,
    queue: str | None = None,
    on_completion: list[Hook] | None = None,
    on_failure: list[Hook] | None = None,
    on_running: list[Hook] | None = None,
    on_rollback: list[Hook] | None = None,
    on_commit: list[Hook] | None = None,
    result_storage: Any = None,
    result_storage_key: Any = None,
    cache_result_in_memory: bool | None = None,
    viz_return_value: Any = None,
    asset_deps: Any = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[..., Any] | None = None, /, **given: Any) -> Any:
    """Make a function a task: `@task` or `@task(retries=3, …)`. Sync or async.

    weight: its share of the run's progress, relative to the other tasks'. estimated_time: ms, the author's estimate,
        used until history knows better.
    retries: how often it is tried again after an exception. retry_delay_seconds: before each retry: a number, a list
        (the last one repeats), or a function of `retries`, like exponential_backoff(10). retry_jitter_factor: up to
        this share of a delay is added to it. retry_condition_fn(task, task_run, state): whether to try again.
    timeout_seconds: an async task is cancelled when it has passed; a sync one fails at its next SDK call or its end.
    cache_policy: what its result depends on (`perfect_sdk.cache_policies`): a call with the key of an earlier one takes
        over its result, in other runs too. cache_key_fn(context, parameters): a key of your own, None for not cached.
        cache_expiration: a timedelta, how long others may have the result; None: 180 days. refresh_cache=True: always
        computed anew, for others to have; None: as the setting `refresh_cache`. Without any of these nothing is
        cached; with persist_result=True, of the task or its flow, the same inputs are computed once a run.
    task_run_name: what people call it: a template of its arguments ("{day}") or a function, without arguments or of
        `parameters`.
    persist_result=False: its result is not kept, so the task runs again when the run is resumed.
    result_serializer: "json" (default) or "pickle".
    log_prints: whether `print` writes log lines, too; None: as the flow.
    queue: run it on another worker, one started with `--queue` and this name; its arguments and its result travel as
        its serializer has it, by the annotations of the function. Without a running system it runs here.
    on_completion, on_failure, on_running: hooks(task, task_run, state).
    on_rollback, on_commit: hooks(transaction), see `perfect_sdk.transactions`.
    """
    if fn is None:
        return lambda fn: Task(fn, **given)
    return Task(fn, **given)
