"""The commands that a part of a service answers."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from perfect_bus import Bus
from perfect_schemas import subjects
from perfect_schemas.commands import Reply

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription


class Answers:
    """From `start` to `stop`. service: whose commands they are."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._subscriptions: list[Subscription] = []

    async def start(self, answers: Mapping[str, Callable[[bytes], Awaitable[Reply]]]) -> None:
        """answers: by the command's verb."""
        for verb, answer in answers.items():
            subject = subjects.command(self._service, verb)
            self._subscriptions.append(await self._bus.answer(subject, answer, queue=self._service))

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(Exception):  # the bus is away: nobody asks
                await subscription.unsubscribe()
        self._subscriptions.clear()
