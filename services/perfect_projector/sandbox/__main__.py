"""The process of one query: `python -m perfect_projector.sandbox`. See `wire` for what goes in and out."""

import os
import sys
import threading
import time

import duckdb
import msgspec

from perfect_projector.sandbox import output, walls
from perfect_projector.sandbox.wire import Order, Verdict, encode_verdict

ALLOWED = {
    duckdb.StatementType.SELECT,  # also FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.MULTI,  # PIVOT
}


def main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    walls.limit_process(cpu_s=order.deadline_s)
    out = sys.stdout.buffer
    verdict = answer(order, out)
    out.write(encode_verdict(verdict))
    out.flush()
    os._exit(0)  # nothing here is worth the time of an orderly end


def _end_with_stdin() -> None:
    """Whoever wanted the answer is gone."""
    sys.stdin.buffer.read()
    os._exit(1)


def answer(order: Order, out: object) -> Verdict:
    begin = time.perf_counter()
    try:
        connection = walls.locked(
            order.file,
            archived=order.archived,
            deadline_s=order.deadline_s,
            memory_bytes=order.memory_bytes,
            to_stdout=order.format == "parquet",
        )
        walls.limit_memory(order.memory_bytes)
    except duckdb.Error as error:
        return Verdict(outcome="failed", message=f"the snapshot cannot be opened: {error}")
    try:
        check(order)
        verdict = output.written(connection, order, out)
    except Refused as error:
        return Verdict(outcome="refused", message=str(error))
    except duckdb.InterruptException:
        return Verdict(outcome="exceeded", message=order.too_long)
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        return Verdict(outcome="exceeded", message=too_large(order.memory_bytes, error))
    except duckdb.Error as error:
        return Verdict(outcome="refused", message=str(error))
    return msgspec.structs.replace(verdict, elapsed_ms=round((time.perf_counter() - begin) * 1000, 1))


class Refused(Exception):
    """Said before DuckDB would."""


def check(order: Order) -> None:
    """A clear sentence for what would fail anyway. Raises Refused, or DuckDB's error for what is no SQL."""
    statements = duckdb.extract_statements(order.query)
    if not statements:
        raise Refused("the query is empty")
    if len(statements) > 1:
        raise Refused(f"these are {len(statements)} statements: send one at a time")
    kind = statements[0].type
    if kind not in ALLOWED:
        raise Refused(
            f"{kind.name} is not possible here: queries read a snapshot (SELECT, FROM, WITH, DESCRIBE, SUMMARIZE, "
            "SHOW, EXPLAIN)"
        )
    if order.format == "parquet" and kind != duckdb.StatementType.SELECT:
        raise Refused(f"{kind.name} gives no Parquet: only SELECT does")


def too_large(memory_bytes: int, why: Exception) -> str:
    reason = f" ({line})" if (line := str(why).partition("\n")[0]) else ""  # the rest is about settings
    return f"the query needs more than the {memory_bytes // 2**20} MB of memory that it may use: narrow it{reason}"


if __name__ == "__main__":
    main()
