"""What the docstring of a struct says of its fields, by field: `flow: id or name. since, until: of its start.`"""

import re
from typing import Any

import msgspec

_ENTRY = re.compile(r"(?:^|(?<=[.!?)] )|(?<=\n))((?:\w+, )*\w+)(?: \([^)]*\))?(?:, …)?: ")


def words_of(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Pure. Field → its description, a sentence; fields that the docstring does not name are left out."""
    own = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    text = "\n".join(line.strip() for line in (kind.__dict__.get("__doc__") or "").splitlines())
    entries = [found for found in _ENTRY.finditer(text) if all(name in own for name in found[1].split(", "))]
    words: dict[str, str] = {}
    ends = [entry.start() for entry in entries[1:]] + [len(text)]
    for entry, end in zip(entries, ends if entries else [], strict=True):
        said = " ".join(text[entry.end() : end].split())
        sentence = said[:1].upper() + said[1:].rstrip(".") + "."
        words |= {own[name]: sentence for name in entry[1].split(", ")}
    return words


def moments_of(kind: Any) -> dict[str, set[str]]:
    """Pure. Name of every struct that `kind` reaches → its fields that are moments, or lists of them."""
    found: dict[str, set[str]] = {}
    _walk(msgspec.inspect.type_info(kind), found)
    return found


def _walk(info: Any, found: dict[str, set[str]]) -> bool:
    """Whether `info` is a moment itself."""
    if isinstance(info, msgspec.inspect.DateTimeType):
        return True
    if isinstance(info, msgspec.inspect.UnionType):
        walked = [_walk(part, found) for part in info.types]  # all of them, not the first that is one
        return any(walked)
    if isinstance(info, msgspec.inspect.ListType):
        return _walk(info.item_type, found)
    if isinstance(info, msgspec.inspect.DictType):
        _walk(info.value_type, found)
    if isinstance(info, msgspec.inspect.StructType):
        name = info.cls.__name__
        if name not in found:
            found[name] = set()
            for field in info.fields:
                if _walk(field.type, found):
                    found[name].add(field.encode_name)
    return False
