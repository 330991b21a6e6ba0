"""What a flow can do to be run by others than its caller: be served under a name, with parameters and schedules."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from perfect_sdk.exceptions import NotSupported

if TYPE_CHECKING:
    from perfect_sdk.serving.deployment import RunnerDeployment, Seconds


class Deployable:
    """Part of `Flow`."""

    name: str

    def to_deployment(
        self,
        name: str,
        interval: "Seconds | Iterable[Seconds] | None" = None,
        cron: str | Iterable[str] | None = None,
        rrule: str | Iterable[str] | None = None,
        paused: bool | None = None,
        schedule: Any = None,
        schedules: Iterable[Any] | None = None,
        concurrency_limit: Any = None,
        parameters: Mapping[str, Any] | None = None,
        triggers: Any = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        version_type: Any = None,
        enforce_parameter_schema: bool = True,
        work_pool_name: str | None = None,
        work_queue_name: str | None = None,
        job_variables: Mapping[str, Any] | None = None,
        entrypoint_type: Any = None,
    ) -> "RunnerDeployment":
        """A named way to run this flow, for `serve(…)`.

        interval (seconds), cron, rrule, schedule, schedules: one of them, when it runs by itself; one rule or several.
        paused: these begin paused. concurrency_limit: how many of its runs may go at once, in the whole system.
        parameters, tags: defaults of its runs. version: a label of your own.
        enforce_parameter_schema=False: parameters are not checked before a run starts.
        """
        from perfect_sdk.serving.deployment import make

        return make(
            self,  # type: ignore[arg-type]
            name,
            interval=interval,
            cron=cron,
            rrule=rrule,
            paused=paused,
            schedule=schedule,
            schedules=schedules,
            concurrency_limit=concurrency_limit,
            parameters=parameters,
            triggers=triggers,
            description=description,
            tags=tags,
            version=version,
            version_type=version_type,
            enforce_parameter_schema=enforce_parameter_schema,
            work_pool_name=work_pool_name,
            work_queue_name=work_queue_name,
            job_variables=job_variables,
            entrypoint_type=entrypoint_type,
        )

    async def ato_deployment(self, name: str, *args: Any, **options: Any) -> "RunnerDeployment":
        """`to_deployment` for async code."""
        return self.to_deployment(name, *args, **options)

    def serve(
        self,
        name: str | None = None,
        interval: "Seconds | Iterable[Seconds] | None" = None,
        cron: str | Iterable[str] | None = None,
        rrule: str | Iterable[str] | None = None,
        paused: bool | None = None,
        schedule: Any = None,
        schedules: Iterable[Any] | None = None,
        global_limit: Any = None,
        triggers: Any = None,
        parameters: Mapping[str, Any] | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        enforce_parameter_schema: bool = True,
        pause_on_shutdown: bool = True,
        print_starting_message: bool = True,
        limit: int | None = None,
        webserver: bool = False,
        entrypoint_type: Any = None,
    ) -> None:
        """Be a worker for this flow, as the deployment `name` (default: the flow's name), until SIGINT or SIGTERM.

        limit: how many runs this process executes at once; global_limit: how many of the deployment's may go at once in
        the whole system. pause_on_shutdown: its schedules pause when it ends, and go on when it is served again.
        webserver: has no effect, the system's own API tells of workers. The others: see `to_deployment`.

        The call stands at the end of the flow's file, under `if __name__ == "__main__":`. Ends the program with a
        sentence when there is no running system.
        """
        from perfect_sdk.serving.serve import serve

        if webserver:
            from perfect_sdk.serving.serve import warn_webserver

            warn_webserver()
        deployment = self.to_deployment(
            name if name is not None else self.name.replace("/", "-"),
            interval=interval,
            cron=cron,
            rrule=rrule,
            paused=paused,
            schedule=schedule,
            schedules=schedules,
            concurrency_limit=global_limit,
            triggers=triggers,
            parameters=parameters,
            description=description,
            tags=tags,
            version=version,
            enforce_parameter_schema=enforce_parameter_schema,
            entrypoint_type=entrypoint_type,
        )
        serve(
            deployment,
            pause_on_shutdown=pause_on_shutdown,
            print_starting_message=print_starting_message,
            limit=limit,
        )

    def deploy(self, *_: Any, **__: Any) -> Any:
        raise NotSupported(
            f"flow {self.name!r}: deploy() builds images for work pools, which there are not: put the flow's file where "
            "it is to run and serve it there, by `perfect worker FILE.py` or flow.serve(name=…)"
        )

    adeploy = deploy

    @classmethod
    def from_source(cls, *_: Any, **__: Any) -> Any:
        raise NotSupported(
            "from_source() loads code over the network: check the source out where it is to run, and serve it there, by "
            "`perfect worker FILE.py` or flow.serve(name=…)"
        )

    afrom_source = from_source

    def visualize(self, *_: Any, **__: Any) -> Any:
        raise NotSupported(
            f"flow {self.name!r}: visualize() is not supported: a run's page draws what really ran, and "
            "`perfect flows show` lists the tasks"
        )

    avisualize = generate_mermaid_graph = visualize
