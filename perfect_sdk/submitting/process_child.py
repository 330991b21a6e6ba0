"""The process that runs the functions of one thread's tasks; see `process_pool`."""

import os
import pickle
import threading
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

from perfect_schemas.envelope import Event, StoredValue
from perfect_schemas.events import LogLine
from perfect_sdk.caching.cache_entry import CacheEntry
from perfect_sdk.calling.execution import Call
from perfect_sdk.calling.keys import Scope
from perfect_sdk.calling.policy import Policy
from perfect_sdk.context import Frame, branching, current, entered, tags
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.flow import Flow
from perfect_sdk.recording import logs
from perfect_sdk.recording.memory import MemoryJournal
from perfect_sdk.running.replay import Replay
from perfect_sdk.running.session import RunSession
from perfect_sdk.submitting import process_work
from perfect_sdk.submitting.process_work import Work

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def main(pipe: "Connection[Any, Any]") -> None:
    """Until the run's process has no more work, or is gone."""
    threading.Thread(target=_follow_parent, name="perfect-parent", daemon=True).start()
    journal = PipeJournal(pipe)
    while True:
        try:
            work = pickle.loads(pipe.recv_bytes())  # noqa: S301  from our parent
        except (EOFError, OSError):
            return
        try:
            answer: tuple[Any, ...] = process_work.pack_result(_run(work, journal))
        except KeyboardInterrupt:
            return
        except BaseException as error:
            answer = process_work.pack_error(error)
        journal.say(*answer)


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class PipeJournal(MemoryJournal):
    """What is said goes to the run's process, which records it."""

    is_recorded = True

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        super().__init__("", keep=False)
        self._pipe = pipe
        self._sending = threading.Lock()
        self._asking = threading.Lock()

    def say(self, *message: Any) -> None:
        data = pickle.dumps(message, protocol=5)
        with self._sending:
            self._pipe.send_bytes(data)

    def _ask(self, *message: Any) -> Any:
        with self._asking:
            self.say(*message)
            value, error = pickle.loads(self._pipe.recv_bytes())  # noqa: S301  from our parent
        if error is not None:
            raise error
        return value

    def emit(self, event: Event) -> None:
        self.say("emit", event)

    def commit(self, event: Event) -> None:
        self._ask("commit", event)

    async def commit_async(self, event: Event) -> None:
        import asyncio

        await asyncio.to_thread(self._ask, "commit", event)

    def log(self, line: LogLine) -> None:
        self.say("log", line)

    def live(self, payload: dict[str, Any]) -> None:
        self.say("live", payload)

    def store(self, name: str, data: bytes) -> str:
        return self._ask("store", name, data)

    def load(self, stored: StoredValue) -> bytes:
        return self._ask("load", stored)

    def recall(self, digest: str) -> CacheEntry | None:
        return self._ask("recall", digest)

    def remember(self, digest: str, entry: CacheEntry) -> None:
        self._ask("remember", digest, entry)

    def child(self, run: Any) -> MemoryJournal:
        raise NotSupported(
            f"flow {run.flow_name!r} cannot be called by a task that runs in a process of its own: call it from the flow"
        )


class ProcessCall(Call):
    """The call whose function runs here, as that function sees it."""

    __slots__ = ()

    def __init__(self, session: RunSession, work: Work, what: Any, fn: Any, inputs: Any) -> None:
        self.session = session
        self.frame = Frame(session, Scope(work.place.scope), prints=work.prints)
        self.what = what
        self.policy = Policy(name=work.name, prints=work.prints)
        self.fn = fn
        self.args, self.kwargs = inputs
        self.wait_for = ()
        self.place = work.place
        self.id = work.task_run_id
        self.task_id = work.task_id
        self.tags = work.tags
        self.attempt = work.attempt
        self.digest = work.digest
        self.record = None
        self.seq = None
        self.is_submitted = False
        self.begins_anew()
        self._run_name = work.run_name


def _run(work: Work, journal: PipeJournal) -> Any:
    what, fn = process_work.function_of(work)
    inputs = pickle.loads(work.inputs)  # noqa: S301  from our parent
    session = RunSession(work.run, _flow_of(work), journal)
    session.epoch, session.retry_epoch = work.epoch, work.retry_epoch
    if work.records:
        session.replay = Replay(work.records)
    call = ProcessCall(session, work, what, fn, inputs)
    frame = Frame(session, Scope(work.place.key), call, prints=work.prints)
    with logs.captured(session), tags(*work.tags_around), entered(frame):
        try:
            made = fn(*call.args, **call.kwargs)
            if hasattr(made, "__await__"):
                import asyncio

                made = asyncio.run(_awaited(made, session))
            for future in session.open_calls():
                future.wait()
            return made
        finally:
            session.close_pool()


async def _awaited(made: Any, session: RunSession) -> Any:
    import asyncio

    session.loop = asyncio.get_running_loop()
    with branching(session.loop):
        current.set(current.get())
        value = await made
        for future in session.open_calls():
            await future.wait_async()
        return value


def _flow_of(work: Work) -> "Flow[..., Any]":
    if work.flow is not None:
        try:
            found = work.flow.find()
        except Exception:
            found = None
        if isinstance(found, Flow):
            return found
    return Flow(_elsewhere, name=work.run.flow_name)


def _elsewhere() -> None:
    """Stands for a flow whose function cannot be found here."""
