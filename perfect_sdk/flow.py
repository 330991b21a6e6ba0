"""`@flow`: a function whose executions are runs."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from perfect_schemas import ids
from perfect_sdk import options
from perfect_sdk.calling.decorated import Decorated
from perfect_sdk.calling.policy import Delays, Hook, Hooks, Policy, delays_of
from perfect_sdk.context import of_run
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.results import serializer_of
from perfect_sdk.schedule import Schedule, specs_of
from perfect_sdk.serving.deployable import Deployable

if TYPE_CHECKING:
    from perfect_schemas.commands import RegisterFlow
    from perfect_sdk.encoding.parameters import Parameters
    from perfect_sdk.states import State
    from perfect_sdk.submitting.pool import ThreadPoolTaskRunner

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
R = TypeVar("R", covariant=True)  # noqa: PLC0105  the one that all decorators have


class Flow(Decorated, Deployable, Generic[P, R]):
    """What `@flow` makes of a function; see `flow` for the options. Attributes are not to be changed: `with_options`
    makes another one.

    fn: the function itself. is_async: whether it is a coroutine function.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        version: str | None = None,
        tags: Iterable[str] | None = None,
        schedule: "Schedule | str | None" = None,
        schedules: "Iterable[Schedule | str]" = (),
        flow_run_name: str | Callable[[], str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: Delays = None,
        task_runner: "ThreadPoolTaskRunner | None" = None,
        timeout_seconds: float | None = None,
        validate_parameters: bool = True,
        persist_result: bool | None = None,
        result_serializer: str | None = None,
        serializer: str | None = None,
        log_prints: bool | None = None,
        on_completion: list[Hook] | None = None,
        on_failure: list[Hook] | None = None,
        on_cancellation: list[Hook] | None = None,
        on_crashed: list[Hook] | None = None,
        on_running: list[Hook] | None = None,
        **others: Any,
    ) -> None:
        self.name = name or getattr(fn, "__name__", "flow").replace("_", "-")
        owner = f"flow {self.name!r}"
        options.check(others, owner)
        self.is_async = options.plain_function(fn, owner)
        self.fn = fn
        self.description = description if description is not None else (fn.__doc__ or "").strip()
        self.tags = list(dict.fromkeys(tags or ()))
        self.schedule = schedule
        self.schedules = list(schedules)
        specs_of(schedule, self.schedules)
        self.flow_run_name = flow_run_name
        self.should_validate_parameters = validate_parameters
        self._task_runner = _runner(task_runner, owner)
        self._version = version
        tries = options.count(retries, "retries", owner)
        self.policy = Policy(
            name=self.name,
            retries=tries,
            delays=delays_of(retry_delay_seconds, tries, owner),
            timeout_seconds=options.positive(timeout_seconds, "timeout_seconds", owner),
            serializer=serializer_of(result_serializer or serializer, owner),
            persist=persist_result is not False,
            prints=log_prints,
            cache=options.cache(None, None, persist_result, owner),
            hooks=Hooks(
                running=list(on_running or ()),
                completion=list(on_completion or ()),
                failure=list(on_failure or ()),
                cancellation=list(on_cancellation or ()),
                crashed=list(on_crashed or ()),
            ),
        )
        self._options: dict[str, Any] = {
            "name": self.name,
            "description": description,
            "version": version,
            "tags": tags,
            "schedule": schedule,
            "schedules": self.schedules,
            "flow_run_name": flow_run_name,
            "retries": retries,
            "retry_delay_seconds": retry_delay_seconds,
            "task_runner": task_runner,
            "timeout_seconds": timeout_seconds,
            "validate_parameters": validate_parameters,
            "persist_result": persist_result,
            "result_serializer": result_serializer or serializer,
            "log_prints": log_prints,
            **others,
        }
        self._look_like(fn)

    def __repr__(self) -> str:
        return f"<flow {self.name!r}>"

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> "Flow[P, R]": ...
    @overload
    def __get__(
        self: "Flow[Concatenate[Any, Q], T]", instance: object, owner: type | None = None
    ) -> "Flow[Q, T]": ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A flow defined in a class is a method."""
        if instance is None:
            return self
        bound = self.with_options()
        bound.fn = self.fn.__get__(instance, owner)  # type: ignore[attr-defined]
        return bound

    # -- what is known of it

    @property
    def id(self) -> str:
        return ids.flow_id(self.name)

    @property
    def version(self) -> str:
        """The author's label, or the content hash under which its runs are filed (`definition.flow_version`)."""
        return self._version or self.definition.flow_version

    @cached_property
    def signature(self) -> "Parameters":
        from perfect_sdk.encoding.parameters import Parameters

        return Parameters(self.fn, f"flow {self.name!r}")

    @cached_property
    def definition(self) -> "RegisterFlow":
        """What a registration says of it: tasks, parameters, content hash."""
        from perfect_sdk.serving.definition import define

        return define(self)

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its parameters."""
        return self.signature.schema()

    @cached_property
    def task_runner(self) -> "ThreadPoolTaskRunner":
        from perfect_sdk.submitting.pool import ThreadPoolTaskRunner

        return self._task_runner or ThreadPoolTaskRunner()

    def validate_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as the types that the function asks for.

        Raises SignatureMismatchError (unknown and missing names) or ParameterTypeError (values), naming the fields.
        """
        return self.signature.convert(parameters)

    def convert_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """`validate_parameters`, unless the flow does not want it (`validate_parameters=False`)."""
        if self.should_validate_parameters:
            return self.signature.convert(parameters)
        self.signature.check_names(parameters)
        return dict(parameters)

    # -- running it

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self: "Flow[P, Coroutine[Any, Any, T]]",
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
        """Run it: within a flow as a child run, else here and now (recorded if a running system is found).

        `return_state=True` returns its State instead of its result; `wait_for=[…]`: futures to wait for first.
        Raises ParameterBindError, ParameterTypeError, and what the function raises.
        """
        return_state = kwargs.pop("return_state", False) if "return_state" in kwargs else False
        wait_for: Any = kwargs.pop("wait_for", ()) if "wait_for" in kwargs else ()
        frame = of_run()
        if frame is not None:
            from perfect_sdk.running.children import call_child

            return call_child(self, frame, args, kwargs, wait_for, return_state=bool(return_state))
        from perfect_sdk.running.local import call_locally

        return call_locally(self, args, kwargs, return_state=bool(return_state))

    def with_options(self, **changes: Any) -> "Flow[P, R]":
        """A flow like this one with other options; see `flow`."""
        hooks = self.policy.hooks
        kept: dict[str, Any] = {
            "on_completion": hooks.completion,
            "on_failure": hooks.failure,
            "on_cancellation": hooks.cancellation,
            "on_crashed": hooks.crashed,
            "on_running": hooks.running,
        }
        return Flow(self.fn, **(self._options | kept | changes))

    def on_cancellation(self, fn: Hook) -> Hook:
        self.policy.hooks.cancellation.append(fn)
        return fn

    def on_crashed(self, fn: Hook) -> Hook:
        self.policy.hooks.crashed.append(fn)
        return fn

    def run_name(self, values: Mapping[str, Any]) -> str | None:
        """`flow_run_name` with the parameters filled in. None for a function: that is called when the run has begun."""
        given = self.flow_run_name
        if given is None or callable(given):
            return None
        from perfect_sdk.calling.naming import filled_in

        return filled_in(given, values, flow=self)


def _runner(given: Any, owner: str) -> Any:
    if given is None:
        return None
    from perfect_sdk.submitting.pool import ThreadPoolTaskRunner

    if isinstance(given, type):
        given = given()
    if not isinstance(given, ThreadPoolTaskRunner):
        raise NotSupported(
            f"{owner}: task_runner= is a ThreadPoolTaskRunner or ProcessPoolTaskRunner, not {given!r}; to use more "
            "machines, give the tasks a queue= and start workers for it (`perfect worker --queue NAME`)"
        )
    return given


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(
    *,
    name: str | None = None,
    description: str | None = None,
    version: str | None = None,
    tags: Iterable[str] | None = None,
    schedule: "Schedule | str | None" = None,
    schedules: "Iterable[Schedule | str]" = (),
    flow_run_name: str | Callable[[], str] | None = None,
    retries: int | None = None,
    retry_delay_seconds: Delays = None,
    task_runner: "ThreadPoolTaskRunner | None" = None,
    timeout_seconds: float | None = None,
    validate_parameters: bool = True,
    persist_result: bool | None = None,
    result_serializer: str | None = None,
    serializer: str | None = None,
    log_prints: bool | None = None,
    on_completion: list[Hook] | None = None,
    on_failure: list[Hook] | None = None,
    on_cancellation: list[Hook] | None = None,
    on_crashed: list[Hook] | None = None,
    on_running: list[Hook] | None = None,
    result_storage: Any = None,
    cache_result_in_memory: bool | None = None,
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(fn: Callable[..., Any] | None = None, /, **given: Any) -> Any:
    """Make a function a flow: `@flow` or `@flow(name="…", …)`. Sync or async.

    name: its identity; by default the function's name with `-` for `_`. version: a label of your own; what ran is
        told apart by a hash of the code in any case.
    schedule, schedules: when it runs by itself: Cron, Interval, RRule or Once, one or several.
    flow_run_name: a name for runs that start by a call: a template ("{day}") or a function.
    retries, retry_delay_seconds: the flow's body is tried again; tasks that completed are not run again.
    task_runner: ThreadPoolTaskRunner(max_workers=…) or ProcessPoolTaskRunner, for submitted tasks.
    timeout_seconds: an async flow is cancelled when it has passed; a sync one fails at its next SDK call or its end.
    validate_parameters=False: parameters are handed over as they come.
    persist_result=False: the result is not kept; True: its tasks compute the same inputs once a run. result_serializer: "json" (default) or "pickle".
    log_prints: whether `print` writes log lines, too; None: yes, unless the configuration is `release`.
    on_completion, on_failure, on_cancellation, on_crashed, on_running: hooks(flow, flow_run, state).
    """
    if fn is None:
        return lambda fn: Flow(fn, **given)
    return Flow(fn, **given)
