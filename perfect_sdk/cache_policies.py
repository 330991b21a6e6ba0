"""What the result of a task depends on: `@task(cache_policy=INPUTS + TASK_SOURCE)`.

A policy makes a key of a call. Calls with one key have one result: the first computes it, the others take it over
(`task.cached`), in other runs too unless the run's id is part of the key. No policy, no cache; `DEFAULT` stays within a
run. A key of None means: not cached.

    INPUTS            the arguments; `INPUTS - "debug"` without one of them
    TASK_SOURCE       the source of the task's function
    FLOW_PARAMETERS   the parameters of the run
    RUN_ID            the run
    DEFAULT           INPUTS + TASK_SOURCE + RUN_ID
    NO_CACHE, NONE    nothing is cached

Arguments that have a JSON form are taken by it, others by their pickle. INPUTS alone does not tell tasks apart: add
TASK_SOURCE, unless tasks are to share results.
"""

import hashlib
import inspect
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from perfect_sdk.encoding.secrecy import holds
from perfect_sdk.encoding.values import encode_ordered
from perfect_sdk.exceptions import NotSupported

KeyFunction = Callable[..., str | None]


class CachePolicy:
    """Subclasses answer `compute_key`. is_within_run: whether its keys are of no use to another run."""

    is_within_run = False

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """task_ctx: TaskRunContext (`task`, `task_run`, `parameters`). inputs: the arguments by name."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its key is computed")

    @classmethod
    def from_cache_key_fn(cls, cache_key_fn: KeyFunction) -> "CacheKeyFnPolicy":
        return CacheKeyFnPolicy(cache_key_fn=cache_key_fn)

    def configure(self, **given: Any) -> "CachePolicy":
        """Raises NotSupported for anything but None: the system keeps results and needs no locks for them."""
        for name, value in given.items():
            if value is not None:
                raise NotSupported(
                    f"cache policies have no {name}: the system itself keeps results, where every worker finds them"
                )
        return self

    def __add__(self, other: "CachePolicy") -> "CachePolicy":
        if not isinstance(other, CachePolicy):
            raise TypeError(f"a cache policy and {other!r} cannot be added: add another policy")
        if isinstance(other, _None):
            return self
        return CompoundCachePolicy(policies=[*_parts(self), *_parts(other)])

    def __sub__(self, other: str) -> "CachePolicy":
        """Without the argument of that name; the same when arguments are no part of the policy."""
        _check_name(other)
        return self


class CacheKeyFnPolicy(CachePolicy):
    """The key is what `cache_key_fn(context, parameters)` returns."""

    def __init__(self, cache_key_fn: KeyFunction | None = None) -> None:
        self.cache_key_fn = cache_key_fn

    def __repr__(self) -> str:
        return f"CacheKeyFnPolicy({getattr(self.cache_key_fn, '__name__', self.cache_key_fn)!r})"

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **_: Any,
    ) -> str | None:
        return None if self.cache_key_fn is None else self.cache_key_fn(task_ctx, inputs)


class CompoundCachePolicy(CachePolicy):
    """All of them together; those that have no key say nothing."""

    def __init__(self, policies: list[CachePolicy]) -> None:
        self.policies = policies

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.policies))

    @property
    def is_within_run(self) -> bool:  # type: ignore[override]
        return any(policy.is_within_run for policy in self.policies)

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        keys = [policy.compute_key(task_ctx, inputs, flow_parameters, **kwargs) for policy in self.policies]
        said = [key for key in keys if key is not None]
        return hash_of(said) if said else None

    def __sub__(self, other: str) -> CachePolicy:
        return CompoundCachePolicy(policies=[policy - other for policy in self.policies])


class _None(CachePolicy):
    def __repr__(self) -> str:
        return "NO_CACHE"

    def compute_key(self, *_: Any, **__: Any) -> str | None:
        return None

    def __add__(self, other: CachePolicy) -> CachePolicy:
        if not isinstance(other, CachePolicy):
            raise TypeError(f"a cache policy and {other!r} cannot be added: add another policy")
        return other


class Inputs(CachePolicy):
    """exclude: names of arguments that make no difference."""

    def __init__(self, exclude: list[str] | None = None) -> None:
        self.exclude = list(exclude or ())

    def __repr__(self) -> str:
        return " - ".join(["INPUTS", *map(repr, self.exclude)])

    def compute_key(
        self,
        task_ctx: Any,  # noqa: ARG002
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **_: Any,
    ) -> str | None:
        if not inputs:
            return None
        return hash_of({name: value for name, value in inputs.items() if name not in self.exclude})

    def __sub__(self, other: str) -> "Inputs":
        return Inputs([*self.exclude, _check_name(other)])


class TaskSource(CachePolicy):
    def __repr__(self) -> str:
        return "TASK_SOURCE"

    def compute_key(self, task_ctx: Any, *_: Any, **__: Any) -> str | None:
        if task_ctx is None:
            return None
        return hash_of(source_of(task_ctx.task.fn))


class FlowParameters(CachePolicy):
    def __repr__(self) -> str:
        return "FLOW_PARAMETERS"

    def compute_key(
        self,
        task_ctx: Any,  # noqa: ARG002
        inputs: dict[str, Any],  # noqa: ARG002
        flow_parameters: dict[str, Any],
        **_: Any,
    ) -> str | None:
        return hash_of(flow_parameters) if flow_parameters else None


class RunId(CachePolicy):
    is_within_run = True

    def __repr__(self) -> str:
        return "RUN_ID"

    def compute_key(self, task_ctx: Any, *_: Any, **__: Any) -> str | None:
        if task_ctx is None:
            return None
        return str(task_ctx.task_run.flow_run_id or task_ctx.task_run.id)


def is_none(policy: CachePolicy) -> bool:
    return isinstance(policy, _None)


def hash_of(value: Any) -> str:
    """Hex SHA-256 of the value's JSON, else of its pickle. Raises TypeError when it has neither, and when it holds a
    secret: keys are kept and shown, and that of a weak one could be guessed.
    """
    try:
        data = encode_ordered(value)
    except Exception:
        try:
            data = pickle.dumps(value, protocol=5)
        except Exception as error:
            raise TypeError(
                f"it can be neither JSON nor a pickle, so no cache key can be made of it: {error}. Leave it out "
                '(`INPUTS - "name"`), give the task a cache_key_fn, or cache_policy=NO_CACHE'
            ) from error
    if holds(data):
        raise TypeError(
            "it holds a secret that this run has loaded, which could be guessed from a cache key. Leave it out "
            '(`INPUTS - "name"`), or load the secret within the task'
        )
    return hashlib.sha256(data).hexdigest()


def source_of(fn: Callable[..., Any]) -> str:
    """The function's source, or its compiled form where there is none (an interactive session)."""
    fn = inspect.unwrap(fn)
    try:
        return inspect.getsource(fn)
    except TypeError:
        return inspect.getsource(type(fn))
    except OSError:
        return fn.__code__.co_code.hex()


def task_input_hash(context: Any, arguments: Mapping[str, Any]) -> str | None:
    """`cache_key_fn=task_input_hash`: the task, its code, its arguments. None when they have no form to hash."""
    fn = inspect.unwrap(context.task.fn)
    code = getattr(fn, "__code__", None)
    name = f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', '')}"
    try:
        return hash_of([name, code.co_code.hex() if code is not None else "", dict(arguments)])
    except TypeError:
        return None


def _parts(policy: CachePolicy) -> list[CachePolicy]:
    return policy.policies if isinstance(policy, CompoundCachePolicy) else [policy]


def _check_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"only the name of an argument can be taken from a cache policy, not {name!r}")
    return name


INPUTS = Inputs()
TASK_SOURCE = TaskSource()
FLOW_PARAMETERS = FlowParameters()
RUN_ID = RunId()
NONE = _None()
NO_CACHE = _None()
DEFAULT = INPUTS + TASK_SOURCE + RUN_ID
