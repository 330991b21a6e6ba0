"""Client processes that a launcher runs."""

from datetime import datetime

import msgspec


class StartProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.start`. Answer: ProcessStatus. `file`: below the workflows folder, or relative to it.

    Starting what is started already changes nothing. NotFound, InvalidInput for what may not be started.
    """

    file: str
    by: str


class StopProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.stop`. Answer: ProcessStatus, once the process has ended. NotFound when it never ran."""

    file: str
    by: str


class ShowProcesses(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.launcher.status`. Answer: list[ProcessStatus] by file. log_lines: how many of the last ones."""

    file: str | None = None
    log_lines: int = 1000


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A client process of the launcher. file: relative to the workflows folder.

    wanted: it is to run. running: it does. restarts: how often it was started again since it was asked for.
    detail: what keeps it from running, or how it ended last. new: this command changed what is wanted.
    restart_at: when it is started again, when it has ended by itself. host: where it was started last.
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


class ShowWorkflows(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.files`. Answer: WorkflowFiles."""


class WorkflowFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What may be started. files: relative to `folder`, by name. complete: there are no more than are listed."""

    host: str
    folder: str
    files: list[str]
    complete: bool = True
