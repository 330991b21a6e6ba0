"""Which of the secrets that are on a bus a key opens: for backups, which may go without the key."""

import msgspec
from nats.js.errors import NotFoundError

from perfect_bus import Bus
from perfect_runtime.sealing import Seal
from perfect_schemas import subjects
from perfect_schemas.errors import Failed


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    sealed: str


_decode = msgspec.json.Decoder(_Kept).decode


async def unreadable(bus: Bus, seal: Seal | None) -> list[str]:
    """The names of those that `seal` does not open; None opens nothing. Raises BusUnavailable."""
    try:
        stored, _ = await bus.last_of_each(subjects.secret("*"), stream=f"KV_{subjects.SECRETS}")
    except NotFoundError:  # no secret was ever saved
        return []
    return sorted(
        kept.name for kept in (_decode(data) for _, data in stored.values() if data) if not _opens(seal, kept)
    )


def _opens(seal: Seal | None, kept: _Kept) -> bool:
    if seal is None:
        return False
    try:
        seal.open(kept.name, kept.sealed)
    except Failed:
        return False
    return True
