"""What was wrong with the file or its archive when the projector opened them, in sentences for people."""

from perfect_projector.continuity import FILE
from perfect_projector.duck import Duck
from perfect_projector.versions import SCHEMA_VERSION


def mended(duck: Duck) -> str | None:
    """What was set aside; None when everything was sound."""
    if duck.file_aside is not None:
        return (
            f"{FILE} was damaged: it was set aside as {duck.file_aside.name}, and is made again from what the bus holds "
            f"({duck.damage})"
        )
    if duck.set_aside is not None:
        return (
            f"the write-ahead log of {FILE} was damaged: it was set aside as {duck.set_aside.name}, and what was only in "
            f"it is read from the bus again ({duck.damage})"
        )
    return None


def lost(duck: Duck, stream: str, gone: int) -> str | None:
    """What cannot be made again. gone: how many messages the stream has had and holds no more."""
    if duck.file_aside is None or stream != "EVENTS" or not gone:
        return None
    return (
        f"{FILE} was damaged and is made again from the bus, which has let go of {gone:,} events since: the runs that had "
        "ended and left the bus are missing, and the statistics count the others alone. They are in your backups (`perfect "
        f"restore`); the damaged file is kept as {duck.file_aside.name}"
    )


def unreadable(duck: Duck) -> str | None:
    """Files of the archive that are left out."""
    found = duck.months.unreadable
    if not found:
        return None
    which = "; ".join(f"{file} ({why})" for file, why in found.items())
    return f"files of the archive cannot be read and are left out: put them back from a copy, and start the projector again: {which}"


def outdated(duck: Duck) -> str:
    return (
        f"{FILE} was made by an older version of Perfect (schema {duck.outdated}, this one has {SCHEMA_VERSION}): its read "
        "models are made anew from its log. Runs go on; what asks for them is answered when that is done"
    )


def kept(duck: Duck, why: str) -> str:
    return (
        f"{FILE} was made by an older version of Perfect (schema {duck.outdated}, this one has {SCHEMA_VERSION}): it has got "
        f"the columns of this version, and the rows that it has stay as they were made. {why}"
    )


def upgraded_by(percent: int) -> str:
    return f"the read model is being brought up to date: {percent} %"
