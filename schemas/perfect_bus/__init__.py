"""How every part speaks NATS: one connection, one outbox, one `append()`.

Below the runtime and the SDK, which both build on it; above the schemas. Knows no service.
"""

from perfect_bus.append import Conflict, Guard, append
from perfect_bus.bus import Bus
from perfect_bus.outbox import Ack, Outbox

__all__ = ["Ack", "Bus", "Conflict", "Guard", "Outbox", "append"]
