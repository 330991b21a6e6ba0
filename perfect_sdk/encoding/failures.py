"""Exceptions as events keep them, and back: a replay raises what was raised."""

import contextlib
import importlib
import re
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from perfect_schemas.envelope import ErrorInfo
from perfect_sdk.encoding.secrecy import conceal, conceal_in
from perfect_sdk.encoding.values import encode
from perfect_sdk.exceptions import RecordedError

MESSAGE_CHARS = 16_000
TRACEBACK_CHARS = 64_000
ARGS_BYTES = 32_768
VARIABLE_CHARS = 200
VARIABLES = 50

_HERE = str(Path(__file__).parent.parent)
_WORDS = (
    r"passw|pwd|secret|token|api_?key|access_?key|private_?key|credential|authoriz|auth_|cookie|dsn|conn_?str"
)
_SECRET = re.compile(rf"{_WORDS}|(^|_)(key|auth)s?($|_)", re.IGNORECASE)
_SECRET_ITEM = re.compile(
    rf"""((?:['"]?)[\w-]*(?:{_WORDS}|\bkey\b)[\w-]*(?:['"]?)\s*[:=]\s*)('[^']*'?|"[^"]*"?|[^,\s)}}\]]+)""",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


def kind_of(error: BaseException) -> str:
    return f"{type(error).__module__}:{type(error).__qualname__}"


def describe(error: BaseException, *, with_variables: bool = False) -> ErrorInfo:
    """`with_variables`: the failing frame's local variables too, redacted by name."""
    if isinstance(error, RecordedError):
        kind, message = error.kind, error.message
    else:
        kind, message = kind_of(error), _message(error)
    return ErrorInfo(
        kind=kind,
        message=_cut(conceal(message), MESSAGE_CHARS),
        traceback=_cut_front(conceal(format_traceback(error)), TRACEBACK_CHARS),
        args=_arguments(error),
        variables=local_variables(error.__traceback__) if with_variables else None,
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<its message cannot be made: {broken!r}>"


def _arguments(error: BaseException) -> list[Any] | None:
    # Only an exception that is made of its arguments can be made again from them.
    reduced: Any = None
    with contextlib.suppress(Exception):
        reduced = error.__reduce__()
    arguments = reduced[1] if isinstance(reduced, tuple) and len(reduced) >= 2 else error.args
    try:
        encoded = encode(list(arguments))
    except Exception:
        return None
    return conceal_in(msgspec.json.decode(encoded)) if len(encoded) <= ARGS_BYTES else None


def format_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without the SDK's own frames."""
    try:
        trace = traceback.TracebackException.from_exception(error)
        _strip(trace, set())
        return "".join(trace.format())
    except Exception:
        return f"{kind_of(error)}: <its traceback cannot be formatted>\n"


def _strip(trace: traceback.TracebackException | None, seen: set[int]) -> None:
    if trace is None or id(trace) in seen:
        return
    seen.add(id(trace))
    kept = [frame for frame in trace.stack if not frame.filename.startswith(_HERE)]
    if kept:
        trace.stack = traceback.StackSummary.from_list(kept)
    _strip(trace.__cause__, seen)
    _strip(trace.__context__, seen)
    for inner in getattr(trace, "exceptions", None) or ():
        _strip(inner, seen)


def local_variables(trace: TracebackType | None) -> dict[str, str] | None:
    """Name → short representation, of the innermost frame that is not the SDK's; secrets by name are redacted."""
    innermost = None
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_HERE):
            innermost = trace.tb_frame
        trace = trace.tb_next
    if innermost is None:
        return None
    shown = {}
    for name, value in list(innermost.f_locals.items())[:VARIABLES]:
        if not name.startswith("__"):
            shown[name] = "<redacted>" if _SECRET.search(name) else _representation(value)
    return shown


def _representation(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as broken:
        return f"<no representation: {type(broken).__name__}>"
    text = _SECRET_ITEM.sub(r"\1<redacted>", conceal(text[: VARIABLE_CHARS * 20]))
    return _cut(_IN_URL.sub(r"\1<redacted>@", text), VARIABLE_CHARS)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def _cut_front(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"({len(text):,} characters) …{text[-limit:]}"


def restore(info: ErrorInfo) -> BaseException:
    """The exception that was recorded: of its own class when that can be imported, else RecordedError."""
    kind = _class_of(info.kind)
    error = _make(kind, info) if kind is not None else None
    if error is None:
        error = RecordedError(info.kind, info.message)
    if info.traceback:
        error.add_note(f"Recorded by an earlier execution of this run:\n{info.traceback}")
    return error


def _class_of(name: str) -> type[BaseException] | None:
    module_name, _, qualified = name.partition(":")
    module = sys.modules.get(module_name)
    try:
        found: Any = module or importlib.import_module(module_name)
        for part in qualified.split("."):
            found = getattr(found, part)
    except Exception:
        return None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _make(kind: type[BaseException], info: ErrorInfo) -> BaseException | None:
    arguments = info.args if info.args is not None else [info.message]
    try:
        return kind(*arguments)
    except Exception:
        pass
    try:  # a constructor of its own: leave it out
        error = kind.__new__(kind, *arguments)
        error.args = tuple(arguments)
    except Exception:
        return None
    return error
