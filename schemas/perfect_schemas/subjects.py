"""Every subject and bucket name, made in one place. Ids in subjects are dashed lower-case UUIDs."""


def run(run_id: str) -> str:
    return f"perfect.evt.run.{run_id}"


def task(run_id: str) -> str:
    return f"perfect.evt.task.{run_id}"


def flow(flow_id: str) -> str:
    return f"perfect.evt.flow.{flow_id}"


def client(client_id: str) -> str:
    return f"perfect.evt.client.{client_id}"


def process(process_id: str) -> str:
    return f"perfect.evt.process.{process_id}"


def limit(limit_id: str) -> str:
    return f"perfect.evt.limit.{limit_id}"


def schedule(schedule_id: str) -> str:
    return f"perfect.evt.schedule.{schedule_id}"


def saved_query(query_id: str) -> str:
    return f"perfect.evt.query.{query_id}"


def variable(variable_id: str) -> str:
    return f"perfect.evt.variable.{variable_id}"


def log(run_id: str) -> str:
    return f"perfect.log.{run_id}"


def work(queue: str, flow_id: str) -> str:
    return f"perfect.work.{queue}.{flow_id}"


def work_consumer(queue: str, flow_id: str) -> str:
    """The durable consumer that all workers of a flow and queue share."""
    return f"{queue}_{flow_id}"


def task_work(queue: str, flow_id: str) -> str:
    """Hand-overs of distributed tasks: apart from runs, so that runs that wait for them never take their places."""
    return f"perfect.work.{queue}.{flow_id}~tasks"


def task_work_consumer(queue: str, flow_id: str) -> str:
    return f"{queue}_{flow_id}~tasks"


def command(service: str, verb: str) -> str:
    return f"perfect.cmd.{service}.{verb}"


def launcher(host: str, verb: str) -> str:
    """A command to the launcher of one host; names of hosts fit into subjects (`perfect_schemas.hosts`)."""
    return f"perfect.cmd.launcher.{verb}.{host}"


def query(name: str) -> str:
    return f"perfect.qry.{name}"


def health(service: str) -> str:
    return f"perfect.qry.health.{service}"


def control(client_id: str) -> str:
    """Where a client hears cancel and the like (core NATS)."""
    return f"perfect.ctl.{client_id}"


def control_pause(client_id: str) -> str:
    """Where a client hears that somebody pauses a run that it holds (core NATS)."""
    return f"perfect.ctl.{client_id}.pause"


def control_run(client_id: str) -> str:
    """Where a worker is offered a run (core NATS): a hand-over that does not go by WORK unless nobody takes it soon."""
    return f"perfect.ctl.{client_id}.run"


def live(run_id: str) -> str:
    """High-rate progress, not stored (core NATS)."""
    return f"perfect.live.{run_id}"


def live_process(process_id: str) -> str:
    """Where a launcher says that a client process has said something (core NATS, without content)."""
    return f"perfect.live.process.{process_id}"


def live_limits() -> str:
    """Where the engine says that somebody waits for a named limit, or does no longer (core NATS, without content)."""
    return "perfect.live.limits"


def live_services() -> str:
    """Where it is said that the health of a service is another one now (core NATS, without content)."""
    return "perfect.live.service"


def read_position() -> str:
    """Where the projector says how far it is (core NATS)."""
    return "perfect.live.projector"


def presence(client_id: str) -> str:
    """The raw subject of a client's key in the KV bucket CLIENTS."""
    return f"$KV.{CLIENTS}.{client_id}"


def launcher_presence(host: str) -> str:
    """The raw subject of a host's key in the KV bucket LAUNCHERS."""
    return f"$KV.{LAUNCHERS}.{host}"


def idempotency(flow_id: str, digest: str) -> str:
    """The raw subject of an idempotency key (as hex SHA-256) in its KV bucket."""
    return f"$KV.{IDEMPOTENCY}.{flow_id}.{digest}"


def secret(name: str) -> str:
    """The raw subject of a secret's key in its KV bucket; names of secrets fit into subjects."""
    return f"$KV.{SECRETS}.{name}"


def cached(digest: str) -> str:
    """The raw subject of a cached result, by the hex SHA-256 of its cache key, in the KV bucket CACHE."""
    return f"$KV.{CACHE}.{digest}"


CACHE = "CACHE"
CLIENTS = "CLIENTS"
IDEMPOTENCY = "IDEMPOTENCY"
LAUNCHERS = "LAUNCHERS"
RESULTS = "RESULTS"
SECRETS = "SECRETS"
ALL_RUNS = "perfect.evt.run.*"
ALL_FLOWS = "perfect.evt.flow.*"
ALL_CLIENTS = "perfect.evt.client.*"
ALL_PROCESSES = "perfect.evt.process.*"
ALL_LIVE_PROCESSES = "perfect.live.process.*"
ALL_LIMITS = "perfect.evt.limit.*"
ALL_SCHEDULES = "perfect.evt.schedule.*"
