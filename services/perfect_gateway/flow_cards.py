"""The cards of the flow library, as pages take them: drawn once for all who look, until the flow changes."""

from functools import lru_cache

import msgspec

from perfect_gateway.live import fragments
from perfect_schemas.views import FlowView

MOST_CARDS = 256  # some 10 KB each
_decode_flow = msgspec.json.Decoder(FlowView).decode


@lru_cache(MOST_CARDS)
def card(flow: bytes) -> str:
    """Most flows are the same as when somebody looked last, and a page has many of them. flow: a FlowView as JSON."""
    return fragments.flow_card(_decode_flow(flow))
