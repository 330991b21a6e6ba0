"""A process that folds for another ends with it: whoever outlives one that was killed keeps the file from the next."""

import os
import threading
from multiprocessing import Pipe, parent_process, util
from multiprocessing.connection import wait


def follow() -> None:
    """To be called once, in a process that `multiprocessing` has started."""
    parent = parent_process()
    if parent is None:
        return
    ended, end = Pipe(duplex=False)

    def until_it_ends() -> None:
        if parent.sentinel in wait([parent.sentinel, ended]):
            os._exit(1)

    thread = threading.Thread(target=until_it_ends, daemon=True)
    thread.start()

    def leave() -> None:
        end.send_bytes(b"")
        thread.join()  # native modules report what a thread still holds when the interpreter ends

    util.Finalize(None, leave, exitpriority=100)
