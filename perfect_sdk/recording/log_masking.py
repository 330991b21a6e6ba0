"""Log records without the secrets that this process has loaded, whichever handlers of the user's own they reach.

Records are cleaned where they are made, once there is a secret: message, traceback and stack. What a call passes as
`extra` is not looked into.
"""

import logging
from collections.abc import Callable
from typing import Any

from perfect_sdk.encoding.secrecy import conceal

_plain = logging.Formatter()
_installed: Callable[..., logging.LogRecord] | None = None


def install() -> None:
    """From now on. Called again after somebody else has set a factory of theirs, it goes around that one."""
    global _installed
    make = logging.getLogRecordFactory()
    if make is _installed:
        return

    def masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        clean(record)
        return record

    _installed = masked
    logging.setLogRecordFactory(masked)


def clean(record: logging.LogRecord) -> None:
    """A record that cannot be put into words is left to its handlers, which say so."""
    try:
        said = record.getMessage()
        if (shown := conceal(said)) != said:
            record.msg, record.args = shown, None
        if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
            text = _plain.formatException(record.exc_info)
            if (shown := conceal(text)) != text:
                record.exc_text = shown  # formatters take it as it is
        if record.stack_info:
            record.stack_info = conceal(record.stack_info)
    except Exception:
        return
