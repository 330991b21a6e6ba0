"""What a part of a service answers."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from perfect_bus import Bus
from perfect_schemas import subjects
from perfect_schemas.commands import Reply

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

Answering = Mapping[str, Callable[[bytes], Awaitable[Reply]]]


class Answers:
    """Until `stop`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._subscriptions: list[Subscription] = []

    async def commands(self, service: str, answers: Answering) -> None:
        """answers: by verb. service: whose commands they are; of several such services one answers each."""
        for verb, answer in answers.items():
            subject = subjects.command(service, verb)
            self._subscriptions.append(await self._bus.answer(subject, answer, queue=service))

    async def queries(self, answers: Answering) -> None:
        """answers: by name."""
        for name, answer in answers.items():
            self._subscriptions.append(await self._bus.answer(subjects.query(name), answer))

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(Exception):  # the bus is away: nobody asks
                await subscription.unsubscribe()
        self._subscriptions.clear()
