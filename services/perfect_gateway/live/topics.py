"""Who listens to what: `runs`, `flows`, `flow:<id>`, `run:<id>`, `logs:<id>`, `schedules`, `schedule:<id>`, `clients`,
`limits`, `settings`.
"""

from collections import defaultdict

from perfect_gateway.live.subscriber import Subscriber
from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.ids import is_id

MOST_TOPICS = 20
THERE_ARE = (
    "runs, flows, flow:<id>, run:<id>, logs:<id>, schedules, schedule:<id>, clients, limits and settings"
)
_PLAIN = frozenset({"runs", "flows", "schedules", "clients", "limits", "settings"})
_OF_ONE = frozenset({"flow", "run", "logs", "schedule"})


def parse(text: str) -> frozenset[str]:
    """Raises InvalidInput naming the topic that there is not."""
    topics = frozenset(filter(None, (part.strip() for part in text.split(","))))
    if not topics or len(topics) > MOST_TOPICS:
        message = f"1 to {MOST_TOPICS} topics are needed, for example topics=runs,flows"
        raise InvalidInput(message, [FieldError("topics", message)])
    for topic in topics:
        kind, _, name = topic.partition(":")
        if topic not in _PLAIN and not (kind in _OF_ONE and is_id(name)):
            message = f"there is no topic {topic!r}; there are {THERE_ARE}"
            raise InvalidInput(message, [FieldError("topics", message)])
    return topics


class Audience:
    def __init__(self) -> None:
        self._by_topic: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._flows = 0

    def add(self, subscriber: Subscriber, topics: frozenset[str]) -> None:
        for topic in topics:
            self._by_topic[topic].add(subscriber)
        self._flows += sum(topic.startswith("flow:") for topic in topics)

    def remove(self, subscriber: Subscriber, topics: frozenset[str]) -> None:
        for topic in topics:
            listeners = self._by_topic[topic]
            listeners.discard(subscriber)
            if not listeners:
                del self._by_topic[topic]
        self._flows -= sum(topic.startswith("flow:") for topic in topics)

    def has(self, topic: str) -> bool:
        return topic in self._by_topic

    @property
    def all_runs(self) -> bool:
        """Whether somebody looks at something that any run may change."""
        return self._flows > 0 or "runs" in self._by_topic or "flows" in self._by_topic

    @property
    def any_flow(self) -> bool:
        """Whether the page of some flow is open."""
        return self._flows > 0

    def flows(self) -> list[str]:
        """The ids of the flows whose own page is open."""
        return [topic.removeprefix("flow:") for topic in self._by_topic if topic.startswith("flow:")]

    def single_runs(self) -> list[str]:
        """The ids of the runs whose own page is open."""
        return [topic.removeprefix("run:") for topic in self._by_topic if topic.startswith("run:")]

    def cares(self, run_id: str) -> bool:
        return self.all_runs or f"run:{run_id}" in self._by_topic

    def send(self, topic: str, frame: bytes) -> None:
        for subscriber in self._by_topic.get(topic, ()):
            subscriber.push(frame)
