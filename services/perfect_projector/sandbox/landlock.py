"""Linux's Landlock: a process gives up, for good, what it may do with files and sockets. No library is needed for it.

It holds whatever the program does, also for root. Where the kernel has it not (before 5.13, or switched off), the other
walls stand alone.
"""

import ctypes
import os
import sys

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same on every architecture
_ASK_VERSION = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_REMOVE_AND_MAKE = sum(1 << n for n in range(4, 13))  # files, folders, links, sockets, pipes, devices
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # moving between folders since version 2; truncating since 3
_BIND_AND_CONNECT = 0b11  # TCP, since version 4


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


def only_read() -> bool:
    """From now on this process may write, make, move, remove and execute no file and, as far as the kernel can tell,
    open no TCP connection. What is open stays as it is, pipes too. Returns False where the kernel cannot do it.
    """
    if sys.platform != "linux":
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return False
    files = _EXECUTE | _WRITE_FILE | _REMOVE_AND_MAKE
    files |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    asked = _Ruleset(files, _BIND_AND_CONNECT)
    size = 8 if version < 4 else ctypes.sizeof(asked)
    ruleset = call(_CREATE_RULESET, ctypes.byref(asked), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        if ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return call(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)
