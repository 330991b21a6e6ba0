"""Names of hosts: letters, digits, `_` and `-`, and dots between them, so that they fit into subjects and keys."""

import re

LENGTH = 128
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def is_name(host: str) -> bool:
    return len(host) <= LENGTH and _NAME.fullmatch(host) is not None


def name_of_machine(name: str) -> str:
    """The machine's own name as the name of a host: `-` for what may not be in one."""
    parts = [re.sub(r"[^A-Za-z0-9_-]", "-", part) for part in name[:LENGTH].split(".")]
    return ".".join(part for part in parts if part) or "host"
