"""Does a stream go on where the file ends?"""

from datetime import datetime

import msgspec

from perfect_bus.settings import READ_MODEL
from perfect_projector.journal import StreamState

FILE = READ_MODEL
_SAME_S = 0.001  # the file keeps microseconds


class Continuity(msgspec.Struct, frozen=True, kw_only=True):
    """position: the sequence after which to read. alarm: what does not fit, and what to do about it.
    is_other: the stream is not the one that the file was filled from: nothing may be read from it.
    """

    position: int
    alarm: str | None = None
    is_other: bool = False


def compare(
    stream: str, state: StreamState, seq: int, created: datetime | None, *, missing: int = 0
) -> Continuity:
    """`seq`: the last sequence in the file. `created`: when the stream in the file was made, None for a new file.
    `missing`: how many sequences after `seq` hold no message any more. What leaves a stream in good order leaves it only
    when the file holds it for good, so that there are none; log lines leave it by their age, too.
    """
    if created is not None and abs((created - state.created).total_seconds()) > _SAME_S:
        return Continuity(
            position=seq,
            is_other=True,
            alarm=(
                f"stream {stream} was made at {state.created:%Y-%m-%d %H:%M:%S} UTC, but {FILE} was filled from one "
                f"made at {created:%Y-%m-%d %H:%M:%S}: nothing is read from it. Restore the NATS data that belongs to "
                f"the file, or move {FILE} away to have it made again from this stream"
            ),
        )
    if state.first_seq > seq + 1 and (
        created is not None or stream != "LOGS"
    ):  # a new file misses aged log lines
        return Continuity(
            position=seq,
            alarm=(
                f"stream {stream} begins at {state.first_seq}, {FILE} ends at {seq}: "
                f"{state.first_seq - seq - 1} messages between them are lost to the read model"
            ),
        )
    is_kept = stream == "EVENTS" or (
        stream == "DEFS" and created is not None
    )  # a new file needs no old slots
    if missing and is_kept:
        return Continuity(
            position=seq,
            alarm=(
                f"{missing} messages of stream {stream} after {seq}, where {FILE} ends, are gone: they are lost to the "
                "read model. Was the file put back from a backup that is older than the stream?"
            ),
        )
    if state.last_seq < seq:
        return Continuity(
            position=state.last_seq,
            alarm=(
                f"stream {stream} ends at {state.last_seq}, but {FILE} has read up to {seq}: the stream has lost "
                "messages that the read model shows; what comes now is read from there on"
            ),
        )
    return Continuity(position=seq)
