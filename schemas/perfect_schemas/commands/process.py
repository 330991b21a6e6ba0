"""Client processes that launchers run, one launcher a host. Every command goes to the launcher of one host, by name:
`perfect.cmd.launcher.<verb>.<host>`.
"""

from datetime import datetime

import msgspec


class StartProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.start.<host>`. Answer: ProcessStatus. `file`: below the workflows folder, or relative to it.

    Starting what is started already changes nothing. NotFound, InvalidInput for what may not be started.
    """

    file: str
    by: str


class StopProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.stop.<host>`. Answer: ProcessStatus, once the process has ended. NotFound when it never ran."""

    file: str
    by: str


class ShowProcesses(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.launcher.status.<host>`. Answer: list[ProcessStatus] by file. log_lines: how many of the last ones."""

    file: str | None = None
    log_lines: int = 1000


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A client process of the launcher. file: relative to the workflows folder.

    wanted: it is to run. running: it does. restarts: how often it was started again since it was asked for.
    detail: what keeps it from running, or how it ended last. new: this command changed what is wanted.
    restart_at: when it is started again, when it has ended by itself. host: the launcher's, which runs it.
    is_known: False while that launcher is away: since `unknown_since` (None: just now) nobody knows whether it runs.
    """

    file: str
    name: str
    wanted: bool
    running: bool
    pid: int | None = None
    started_at: datetime | None = None
    restarts: int = 0
    detail: str = ""
    logs: list[str] = []
    new: bool = False
    id: str = ""
    host: str = ""
    restart_at: datetime | None = None
    is_known: bool = True
    unknown_since: datetime | None = None


class ShowWorkflows(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.files.<host>`. Answer: WorkflowFiles."""


class WorkflowFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What may be started. files: relative to `folder`, by name. complete: there are no more than are listed."""

    host: str
    folder: str
    files: list[str]
    complete: bool = True


class LauncherPresence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The key of a host in the KV bucket LAUNCHERS, held and renewed by the launcher of that name; it expires.

    machine, started_ticks: the system on which the launcher is process `pid`, and when that process began there, by which
    another launcher on the same system sees that this one is dead. Empty, 0 where that cannot be told.
    """

    host: str
    launcher_id: str
    pid: int
    since: datetime
    folder: str = ""
    machine: str = ""
    started_ticks: int = 0
