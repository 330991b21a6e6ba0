"""Every setting, in one struct: from `PERFECT_*` variables, then `perfect.toml`, then the defaults here.

`Settings.load()` also says where each value came from (`perfect config`).
"""

import difflib
import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from perfect_bus.bus import Connection
from perfect_schemas import hosts
from perfect_schemas.errors import InvalidInput

CONNECTION_FILE = "connection.json"
READ_MODEL = "perfect.duckdb"
"""In the data folder."""
ORIGIN = "PERFECT_SETTINGS_FROM"
"""Tells a child process, as JSON, where the settings that it gets in its environment came from."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Names in the environment: `PERFECT_` and the name in capitals. Times in seconds, sizes in bytes.

    data_dir: where everything is kept. host, port: where the gateway listens for HTTP.
    workflows_dir: where the launcher may start files from. launcher_host: the name of this host among those that have a
        launcher; None means the machine's own.
    nats_url: an existing NATS server; None means the embedded one of `perfect up`.
    nats_server: path of the nats-server binary to embed; None means: look for it.
    nats_port: of the embedded server; 0 = a free one. replicas: of each stream, on a cluster.
    durability: default = the embedded server syncs its files every 250 ms; strict = before each acknowledgement.
    lease_s: a client whose presence is older is lost. presence_every_s: how often it is renewed.
    cancel_grace_s: how long a cancelled run may take to end by itself.
    suspend_after: how long the code of a run that waits (a sleep, a pause, another run) stays in the worker's memory
        before it is unwound, to be called again when the wait is over; 0 unwinds it at once.
    batch_ms, batch_events: what the projector gathers before it commits.
    keep_logs_days, keep_events_days: after so many days a month of log lines, and one of events with the runs that ended
        in it, leaves the read model; 0 = never. archive_dir: where it is kept as Parquet, None for nowhere.
    min_free_bytes: what has to stay free of the disk of data_dir (of a small disk 2 %): with less, the projector waits.
    sql_timeout_s, sql_memory_bytes, sql_at_once: of queries that people write: how long one may take, DuckDB's memory
    for it, how many run at the same time.
    warn_min_samples: how many completions the σ rule of performance warnings needs. warn_min_delta_ms: what is slower by
        less is never warned of. warn_sigma, warn_sigma_critical: so many standard deviations above the mean are a
        warning, or critical. warn_delta_ms, warn_ratio: slower by more than so many ms and by more than this factor is
        a warning. warn_times, warn_times_critical: so many times the mean. warn_running_ms: a task that has run for
        less is not said to be running long.
    purge_after_s: how long after its end a run's events leave the bus (it stays in DuckDB); 0 = never.
    events_max_bytes: when the stream of events is as large, publishers wait. logs_max_bytes: when the stream of log lines
        is as large, the oldest ones leave it.
    refresh_cache: every cached task is computed anew, once for each call, and what it returns is cached.
    log_level: of the services' own output. log_format: console = for people, json = one object a line.
    """

    data_dir: Path = Path(".perfect")
    host: str = "127.0.0.1"
    port: int = 3000
    nats_url: str | None = None
    nats_server: str | None = None
    nats_port: int = 0
    durability: Literal["default", "strict"] = "default"
    replicas: int = 1
    lease_s: float = 5.0
    presence_every_s: float = 1.5
    cancel_grace_s: float = 10.0
    suspend_after: float = 10.0
    batch_ms: int = 25
    batch_events: int = 1000
    keep_logs_days: int = 30
    keep_events_days: int = 180
    archive_dir: Path | None = None
    min_free_bytes: int = 512 * 1024**2
    sql_timeout_s: float = 10.0
    sql_memory_bytes: int = 512 * 1024**2
    sql_at_once: int = 2
    warn_min_samples: int = 2
    warn_min_delta_ms: float = 10.0
    warn_sigma: float = 3.0
    warn_sigma_critical: float = 4.0
    warn_delta_ms: float = 1000.0
    warn_ratio: float = 1.5
    warn_times: float = 2.0
    warn_times_critical: float = 3.0
    warn_running_ms: float = 1000.0
    purge_after_s: float = 86400.0
    events_max_bytes: int = 20 * 1024**3
    refresh_cache: bool = False
    logs_max_bytes: int = 5 * 1024**3
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    workflows_dir: Path = Path()
    launcher_host: str | None = None

    @classmethod
    def load(
        cls,
        *,
        environ: Mapping[str, str] | None = None,
        file: Path = Path("perfect.toml"),
        overrides: Mapping[str, Any] | None = None,
    ) -> "Settings":
        """`overrides` (command-line options; None values are left out) win over everything."""
        return cls.load_with_origin(environ=environ, file=file, overrides=overrides)[0]

    @classmethod
    def load_with_origin(
        cls,
        *,
        environ: Mapping[str, str] | None = None,
        file: Path = Path("perfect.toml"),
        overrides: Mapping[str, Any] | None = None,
    ) -> tuple["Settings", dict[str, str]]:
        """The settings, and for each name where its value came from. Raises InvalidInput naming the wrong value."""
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        origin = dict.fromkeys(cls.__struct_fields__, "default")
        if file.is_file():
            for name, value in _read(file).items():
                _known(cls, name, str(file))
                values[name], origin[name] = value, str(file)
        handed = _handed(environ)
        for name in cls.__struct_fields__:
            variable = f"PERFECT_{name.upper()}"
            if variable in environ:
                values[name], origin[name] = environ[variable], handed.get(name, variable)
        for name, value in (overrides or {}).items():
            if value is not None:
                _known(cls, name, "command line")
                values[name], origin[name] = value, "command line"
        try:
            return msgspec.convert(values, cls, strict=False, dec_hook=_decode), origin
        except msgspec.ValidationError as error:
            what, _, name = str(error).partition(" - at `$.")
            name = name.rstrip("`")
            if name not in origin:
                raise InvalidInput(f"settings: {error}") from error
            raise InvalidInput(
                f"the setting {name} (from {origin[name]}) is {values[name]!r}: {what[:1].lower()}{what[1:]}"
            ) from error

    @property
    def launcher_name(self) -> str:
        """Of the launcher of this host."""
        return self.launcher_host or hosts.name_of_machine(socket.gethostname())

    @property
    def connection_file(self) -> Path:
        return self.data_dir / CONNECTION_FILE

    def environment(self) -> dict[str, str]:
        """The variables that hand these settings on to a child process."""
        return {
            f"PERFECT_{name.upper()}": str(value)
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None
        }


def find_connection(settings: Settings, start: Path | None = None) -> Connection | None:
    """How to reach the running system, or None: `nats_url`, then `connection.json` in the data folder, then in a
    `.perfect` folder from the working folder upwards, then in the user's state folder.
    """
    if settings.nats_url:
        return Connection.of_url(settings.nats_url)
    start = (start or Path.cwd()).resolve()
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folders = [
        settings.data_dir,
        *(folder / ".perfect" for folder in (start, *start.parents)),
        state / "perfect",
    ]
    for folder in folders:
        file = folder / CONNECTION_FILE
        try:
            return Connection.load(file)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except msgspec.DecodeError as error:
            raise InvalidInput(
                f"{file} is damaged ({error}). It says how to reach the running system: remove it and start the "
                "system again with `perfect up`, which writes a new one."
            ) from error
    return None


def _handed(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        return msgspec.json.decode(environ.get(ORIGIN, "{}"), type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _known(cls: type[Settings], name: str, where: str) -> None:
    if name not in cls.__struct_fields__:
        close = difflib.get_close_matches(name, cls.__struct_fields__, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`perfect config` lists them all"
        raise InvalidInput(f"{where}: there is no setting {name!r}; {hint}")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read as TOML: {error}") from error


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    raise TypeError(f"cannot read a {kind.__name__} from {value!r}")
