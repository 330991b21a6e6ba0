"""Named ways to run a flow: what `flow.to_deployment(…)` makes and `serve(…)` takes.

A deployment gives the runs that are started by it (`perfect trigger FLOW/NAME`, `run_deployment("flow/name")`, its
schedules) default parameters and tags. It is kept by the registry; the code stays where it is, and whoever serves the
flow runs it.
"""

import re
import warnings
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas.events.flow import Deployment
from perfect_schemas.schedule import ScheduleSpec
from perfect_sdk.encoding.values import to_builtins
from perfect_sdk.exceptions import NotSupported

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow

__all__ = ["RunnerDeployment", "make"]

Seconds = int | float | timedelta
_RULES = ("interval", "cron", "rrule", "schedule", "schedules")
_INSTEAD = {
    "triggers": "start runs by `run_deployment()`, by HTTP or by a schedule",
    "work_pool_name": "there are no work pools: a worker serves flows (`perfect worker FILE`, or serve())",
    "work_queue_name": "start the worker with a queue (`perfect worker FILE --queue NAME`)",
    "job_variables": "set the environment of the process that serves the flow",
    "version_type": "versions are made from the code by themselves; `version=` is a label of your own",
    "_sla": "the statistics warn of runs that are unusually slow",
}


class RunnerDeployment:
    """A flow and how its runs are started; see `Flow.to_deployment` for the fields.

    deployment, schedules: as they are registered. paused: whether the schedules begin paused.
    """

    def __init__(
        self, flow: "Flow[..., Any]", deployment: Deployment, schedules: list[ScheduleSpec], *, paused: bool
    ) -> None:
        self.flow = flow
        self.deployment = deployment
        self.schedules = schedules
        self.paused = paused

    @property
    def name(self) -> str:
        return self.deployment.name

    @property
    def flow_name(self) -> str:
        return self.flow.name

    @property
    def full_name(self) -> str:
        """`flow/deployment`, by which it is started."""
        return f"{self.flow.name}/{self.deployment.name}"

    @property
    def parameters(self) -> dict[str, Any]:
        return self.deployment.parameters

    @property
    def tags(self) -> list[str]:
        return self.deployment.tags

    @property
    def description(self) -> str:
        return self.deployment.description

    @property
    def version(self) -> str | None:
        return self.deployment.version

    @property
    def concurrency_limit(self) -> int | None:
        return self.deployment.concurrency_limit

    def __repr__(self) -> str:
        return f"<deployment {self.full_name!r}>"

    def __await__(self) -> Any:
        """So that `await flow.to_deployment(…)` works as well."""
        return _ready(self).__await__()


async def _ready(made: RunnerDeployment) -> RunnerDeployment:
    return made


def make(
    flow: "Flow[..., Any]",
    name: str,
    *,
    interval: Seconds | Iterable[Seconds] | None = None,
    cron: str | Iterable[str] | None = None,
    rrule: str | Iterable[str] | None = None,
    schedule: Any = None,
    schedules: Iterable[Any] | None = None,
    paused: bool | None = None,
    concurrency_limit: Any = None,
    parameters: Mapping[str, Any] | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    version: str | None = None,
    enforce_parameter_schema: bool = True,
    entrypoint_type: Any = None,  # noqa: ARG001  every entrypoint is a file or a module
    **others: Any,
) -> RunnerDeployment:
    """Raises NotSupported, or ParameterTypeError and SignatureMismatchError for parameters that the flow cannot take."""
    owner = f"deployment {name!r} of flow {flow.name!r}"
    for option, value in others.items():
        if option not in _INSTEAD:
            raise TypeError(f"{owner}: there is no option {option!r}")
        if value is not None:
            raise NotSupported(f"{owner}: {option}= is not supported: {_INSTEAD[option]}")
    given = to_builtins(dict(parameters or {}))
    _check(flow, given, owner, by_type=enforce_parameter_schema)
    deployment = Deployment(
        name=_name(name, owner),
        parameters=given,
        tags=list(dict.fromkeys(tags or ())),
        description=description if description is not None else flow.description,
        version=version,
        concurrency_limit=_limit(concurrency_limit, owner),
        enforce_parameter_schema=enforce_parameter_schema,
    )
    rules = _rules(owner, interval=interval, cron=cron, rrule=rrule, schedule=schedule, schedules=schedules)
    specs = [_spec(rule, n, len(rules), deployment, paused=bool(paused)) for n, rule in enumerate(rules)]
    return RunnerDeployment(flow, deployment, specs, paused=bool(paused))


def _name(name: str, owner: str) -> str:
    """As `serve(__file__)` gives it, without folder and ending."""
    plain = Path(name).stem if name.endswith(".py") else name
    if not plain.strip() or "/" in plain or not plain.isprintable():
        raise NotSupported(f"{owner}: a deployment's name is printable and has no '/'")
    return plain


def _check(flow: "Flow[..., Any]", given: dict[str, Any], owner: str, *, by_type: bool) -> None:
    """What is given must fit; what is missing may still come with the run."""
    known = flow.parameters.get("properties", {})
    unknown = [name for name in given if name not in known]
    if unknown and by_type and flow.parameters.get("additionalProperties") in (None, False):
        takes = ", ".join(known) or "none"
        raise NotSupported(f"{owner}: the flow has no parameter {', '.join(unknown)}; it takes: {takes}")


def _limit(given: Any, owner: str) -> int | None:
    """A number, or anything with a `limit` (another tool's configuration object)."""
    limit = getattr(given, "limit", given)
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise NotSupported(f"{owner}: a concurrency limit is a whole number from 1 on, not {given!r}")
    strategy = getattr(given, "collision_strategy", None)
    if strategy is not None and "ENQUEUE" not in str(strategy).upper():
        warnings.warn(f"{owner}: runs above the limit always wait for their turn", UserWarning, stacklevel=5)
    return limit


def _rules(owner: str, **given: Any) -> list[Any]:
    from perfect_sdk import schedule as rules

    named = [name for name in _RULES if given[name] is not None]
    if len(named) > 1:
        raise ValueError(f"{owner}: give one of {', '.join(_RULES)}, not {' and '.join(named)}")
    if given["cron"] is not None:
        return [rules.Cron(one) for one in _many(given["cron"], str)]
    if given["rrule"] is not None:
        return [rules.RRule(one) for one in _many(given["rrule"], str)]
    if given["interval"] is not None:
        return [rules.Interval(one) for one in _many(given["interval"], (int, float, timedelta))]
    return [given["schedule"]] if given["schedule"] is not None else list(given["schedules"] or ())


def _many(given: Any, kind: Any) -> list[Any]:
    return [given] if isinstance(given, kind) else list(given)


def _spec(rule: Any, n: int, count: int, deployment: Deployment, *, paused: bool) -> ScheduleSpec:
    from perfect_sdk.schedule import spec_of

    spec = spec_of(rule)
    own = "" if spec.name == "default" else spec.name
    name = slug(deployment.name) + (f"-{own}" if own else f"-{n + 1}" if count > 1 else "")
    return msgspec.structs.replace(
        spec, name=name[:100], deployment=deployment.name, active=spec.active and not paused
    )


def slug(name: str) -> str:
    """`My Nightly Run` → `my-nightly-run`."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or "deployment"
