"""A submitted call whose inputs are futures takes no thread, and no place of a limited runner, before these are done."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perfect_sdk.calling import inputs
from perfect_sdk.futures import PerfectFuture
from perfect_sdk.waiting.floor import inside

if TYPE_CHECKING:
    from concurrent.futures import Future

    from perfect_sdk.calling.execution import Call
    from perfect_sdk.submitting.pool import Job


def open_inputs(call: "Call") -> "list[Future[Any]]":
    """What the call's inputs wait for still, each once."""
    if not PerfectFuture.made:
        return []
    found = inputs.find((call.args, call.kwargs, call.wait_for))
    futures = dict.fromkeys(each._job.future for each in found if isinstance(each, PerfectFuture))
    return [future for future in futures if not future.done()]


class Upstream:
    """Has the job begun, in the thread that ends the last of the futures, unless it was dropped meanwhile. Until then its
    call counts as one that waits for the results of others.
    """

    def __init__(self, job: "Job", futures: "list[Future[Any]]", begin: "Callable[[Job], None]") -> None:
        self._waiting = job.call.session.floor.awaiting(inside(job.call), futures)
        self._waiting.__enter__()
        self._job = job
        self._begin = begin
        self._left = len(futures)
        self._lock = threading.Lock()
        for future in futures:
            future.add_done_callback(self._ended)

    def _ended(self, _: "Future[Any]") -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        try:
            if not self._job.started:
                self._begin(self._job)
        except RuntimeError:  # the threads are shut down, or the loop is closed: the run has ended
            self._job.drop()
        finally:
            self._waiting.__exit__(None, None, None)
