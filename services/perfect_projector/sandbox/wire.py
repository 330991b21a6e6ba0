"""What goes to the process of a query and what comes back.

To it: one line of JSON, an `Order`, on stdin; stdin stays open as long as somebody wants the answer. From it, on
stdout: the body in the format asked for, a `Verdict` as JSON, and the length of that JSON as 8 bytes (big endian).
"""

from typing import Any, Literal

import msgspec

LENGTH_BYTES = 8

Format = Literal["json", "csv", "ndjson", "parquet"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """file: the snapshot. archived: further files that its views read. max_bytes: of the body. deadline_s: for the
    statement. memory_bytes: DuckDB's own limit; that of the address space follows from it.
    """

    file: str
    archived: list[str]
    query: str
    parameters: list[Any] | dict[str, Any]
    format: Format
    max_rows: int
    max_bytes: int
    deadline_s: float
    memory_bytes: int

    @property
    def too_long(self) -> str:
        """What is said of a query that was still running at its deadline."""
        return f"the query was stopped after {self.deadline_s:g} s: narrow it, by time for example"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """outcome: done; refused = the SQL is wrong or not allowed; exceeded = it went beyond a limit; failed = our fault.
    message: why, unless done.
    """

    outcome: Literal["done", "refused", "exceeded", "failed"]
    message: str = ""
    columns: list[str] = []
    types: list[str] = []
    row_count: int = 0
    truncated: bool = False
    elapsed_ms: float = 0.0


def encode_verdict(verdict: Verdict) -> bytes:
    data = msgspec.json.encode(verdict)
    return data + len(data).to_bytes(LENGTH_BYTES, "big")


def split(output: bytes) -> tuple[bytes, Verdict] | None:
    """(body, verdict) of everything that a process wrote, None when it did not come to its end."""
    length = int.from_bytes(output[-LENGTH_BYTES:], "big")
    end = len(output) - LENGTH_BYTES
    if end < 0 or not 0 < length <= end:
        return None
    try:
        return output[: end - length], msgspec.json.decode(output[end - length : end], type=Verdict)
    except msgspec.DecodeError:
        return None
