"""Who listens to what: `runs`, `flows`, `flow:<id>`, `run:<id>` (its header), `tasks:<id>` (its task rows),
`timeline:<id>` (as the server draws it), `logs:<id>`, `schedules`, `schedule:<id>`, `clients`, `limits`, `settings`, `home`.

A topic may say which part of it a page shows, as a query: `logs:<id>?level=WARNING&q=disk`, `schedules?after=…`. Such a
variant is a topic of its own, drawn once for all who look at the same.
"""

from collections import defaultdict
from urllib.parse import parse_qsl

from perfect_gateway.live.subscriber import Subscriber
from perfect_gateway.log_filter import LogFilter
from perfect_gateway.schedules import place_after
from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.ids import is_id

MOST_TOPICS = 20
THERE_ARE = (
    "runs, flows, flow:<id>, run:<id>, tasks:<id>, timeline:<id>, logs:<id>, schedules, schedule:<id>, clients, limits, "
    "settings and home"
)
_PLAIN = frozenset({"runs", "flows", "schedules", "clients", "limits", "settings", "home"})
_OF_ONE = frozenset({"flow", "run", "tasks", "timeline", "logs", "schedule"})
_IN_PART = frozenset({"logs", "schedules"})


def part(topic: str) -> tuple[str, str]:
    """The topic, and the query that says which part of it."""
    base, _, query = topic.partition("?")
    return base, query


def parse(text: str) -> frozenset[str]:
    """Raises InvalidInput naming the topic that there is not."""
    topics = frozenset(filter(None, (part.strip() for part in text.split(","))))
    if not topics or len(topics) > MOST_TOPICS:
        message = f"1 to {MOST_TOPICS} topics are needed, for example topics=runs,flows"
        raise InvalidInput(message, [FieldError("topics", message)])
    for topic in topics:
        base, query = part(topic)
        kind, _, name = base.partition(":")
        known = base in _PLAIN or (kind in _OF_ONE and is_id(name))
        if not known or (query and kind not in _IN_PART):
            message = f"there is no topic {topic!r}; there are {THERE_ARE}"
            raise InvalidInput(message, [FieldError("topics", message)])
        if query and kind == "logs":
            LogFilter.parse(query)
        elif query:
            place_after(dict(parse_qsl(query)).get("after", ""))
    return topics


class Audience:
    def __init__(self) -> None:
        self._by_topic: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._parts: defaultdict[str, set[str]] = defaultdict(
            set
        )  # a topic and its variants that somebody hears
        self._flows = 0

    def add(self, subscriber: Subscriber, topics: frozenset[str]) -> None:
        for topic in topics:
            self._by_topic[topic].add(subscriber)
            self._parts[part(topic)[0]].add(topic)
        self._flows += sum(topic.startswith("flow:") for topic in topics)

    def remove(self, subscriber: Subscriber, topics: frozenset[str]) -> None:
        for topic in topics:
            listeners = self._by_topic[topic]
            listeners.discard(subscriber)
            if not listeners:
                del self._by_topic[topic]
                heard = self._parts[part(topic)[0]]
                heard.discard(topic)
                if not heard:
                    del self._parts[part(topic)[0]]
        self._flows -= sum(topic.startswith("flow:") for topic in topics)

    def has(self, topic: str) -> bool:
        """Or any part of it."""
        return topic in self._parts or topic in self._by_topic

    def parts(self, topic: str) -> list[str]:
        """The topic and its variants, as far as somebody hears them."""
        return sorted(self._parts.get(topic, ()))

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
