"""One share of the runs: those with ids between two. What is plain is folded here, in whichever process.

A share leaves two Parquet files, of the rows of its runs and of its task runs, and hands over what the owner needs.
"""

from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec

from perfect_projector.database import connect
from perfect_projector.rebuilding import plain as plain_fold
from perfect_projector.rebuilding.part import Part
from perfect_projector.rebuilding.plain import Plain, Shape
from perfect_projector.rebuilding.tally import Samples, Tallies, Tally
from perfect_projector.rollup import Measure
from perfect_projector.sql import statement
from perfect_schemas import codec
from perfect_schemas.events import AnyEvent
from perfect_schemas.views import queued_ms

MEMORY_LIMIT = "100MB"  # of DuckDB, in each process
FETCH = 2_000  # events
_decode = msgspec.json.Decoder(list[AnyEvent]).decode


class Share(msgspec.Struct, frozen=True):
    """number: from 0, in the order of the ids. first_id, last_id: of its runs. events: how many. first_seq: their least."""

    number: int
    first_id: str
    last_id: str
    events: int
    first_seq: int


class Course(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the owner needs of a plain run, see `Plain`. of, shape: its places among those of the share."""

    run_id: str
    of: int
    shape: int
    first_seq: int
    started_seq: int
    end_seq: int
    completed: bool
    duration_ms: int
    elapsed_ms: list[int]
    ended_seqs: list[int]


class Of(NamedTuple):
    """What a run's statistics are apart by. day: of its end."""

    flow_id: str
    flow_name: str
    day: date
    configuration: str
    flow_version: str


class Folded(msgspec.Struct):
    """courses: of the plain runs, encoded. others: of each other run its id and its events, as JSON [[seq, event], …].
    artifacts: what the plain runs said of theirs: run id, sequence, event.
    """

    share: Share
    courses: bytes
    ofs: list[Of]
    shapes: list[Shape]
    tallies: Tallies
    others: list[tuple[str, str]]
    artifacts: list[tuple[str, int, bytes]]
    files: list[Path]


class Folder:
    """Folds shares of the log of one file, in one thread.

    known_from: flow id → behind which sequence of EVENTS the log tells of it first.
    """

    def __init__(self, log: duckdb.DuckDBPyConnection, folder: Path, known_from: dict[str, int]) -> None:
        self._log = log
        # what is streamed takes as long as the folding
        self._log.execute("SET enable_progress_bar = false")
        self._folder = folder
        self._known_from = known_from
        self._writer = connect(":memory:", threads=1, memory_limit=MEMORY_LIMIT)
        # it would read the texts, which are constants, value by value
        self._writer.execute("PRAGMA disable_optimizer")

    def fold(self, share: Share) -> Folded:
        part = Part()
        samples: Samples = {}
        courses: list[Course] = []
        ofs: dict[Of, int] = {}
        shapes: dict[Shape, int] = {}
        folded = Folded(share, b"", [], [], {}, [], [], [])
        said = self._said(share)
        for run_id in list(said):
            seqs, payloads = said.pop(run_id)
            plain = self._plain(seqs, payloads)
            if plain is None:
                text = ",".join(f"[{seq},{payload}]" for seq, payload in zip(seqs, payloads, strict=True))
                folded.others.append((run_id, f"[{text}]"))
                continue
            part.add(run_id, plain)
            _count(samples, plain)
            folded.artifacts += [(run_id, seq, codec.encode(event)) for seq, event in plain.artifacts]
            shape = shapes.setdefault(plain.shape, len(shapes))
            courses.append(_course(run_id, plain, ofs.setdefault(_of(plain), len(ofs)), shape))
        folded.courses = msgspec.msgpack.encode(courses)
        folded.ofs = list(ofs)
        folded.shapes = list(shapes)
        folded.tallies = {key: Tally.of(found) for key, found in samples.items()}
        folded.files = part.write(self._writer, self._folder, share.number)
        return folded

    def _said(self, share: Share) -> dict[str, tuple[list[int], list[str]]]:
        """The sequences and payloads of each run: gathered here in half of the time that DuckDB takes to put them together."""
        found: dict[str, tuple[list[int], list[str]]] = {}
        result = self._log.execute(
            statement("rebuild.runs"), {"first": share.first_id, "last": share.last_id}
        )
        while rows := result.fetchmany(FETCH):
            for run_id, seq, payload in rows:
                said = found.get(run_id)
                if said is None:
                    found[run_id] = [seq], [payload]
                else:
                    said[0].append(seq)
                    said[1].append(payload)
        return found

    def _plain(self, seqs: list[int], payloads: list[str]) -> Plain | None:
        try:
            events = list(zip(seqs, _decode(f"[{','.join(payloads)}]"), strict=True))
        except msgspec.DecodeError:  # among them is one that this version does not know
            return None
        events.sort(key=_seq)
        plain = plain_fold.fold(events)
        if plain is None:
            return None
        known_from = self._known_from.get(plain.run.flow_id)
        if known_from is not None and events[0][0] <= known_from < plain.end_seq:
            return None  # its flow was told of while it went on
        return plain


def _seq(said: tuple[int, object]) -> int:
    return said[0]


def _of(plain: Plain) -> Of:
    run = plain.run
    return Of(run.flow_id, run.flow_name, plain.ended_at.date(), run.configuration, run.flow_version or "")


def _course(run_id: str, plain: Plain, of: int, shape: int) -> Course:
    run = plain.run
    return Course(
        run_id=run_id,
        of=of,
        shape=shape,
        first_seq=plain.first_seq,
        started_seq=plain.started_seq,
        end_seq=plain.end_seq,
        completed=run.state == "COMPLETED",
        duration_ms=run.duration_ms or 0,
        elapsed_ms=plain.elapsed_ms,
        ended_seqs=plain.ended_seqs,
    )


def _count(samples: Samples, plain: Plain) -> None:
    """What it adds to the statistics, as `Completions` does one by one."""
    run = plain.run
    flow_id, flow_name = run.flow_id, run.flow_name
    configuration, version = run.configuration, run.flow_version or ""
    for began, seq, event in plain.completions:
        at = event.at
        key = (began.task_id, "run", at.date(), configuration, version)
        sample = (seq, event.duration_ms, at, flow_id, flow_name, began.name)
        found = samples.get(key)
        if found is None:
            samples[key] = [sample]
        else:
            found.append(sample)
    if run.state != "COMPLETED":
        return
    at = plain.ended_at
    measured: tuple[tuple[Measure, int | None], ...] = (
        ("run", run.duration_ms or 0),
        ("queued", queued_ms(run)),
        ("launch", plain.launch_ms),
    )
    for measure, value in measured:
        if value is not None:
            key = (flow_id, measure, at.date(), configuration, version)
            samples.setdefault(key, []).append((plain.end_seq, value, at, flow_id, flow_name, None))
