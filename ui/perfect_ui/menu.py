"""The pages of the menu, in its order. The bar at the side, the list of keys and the palette are made of it."""

from typing import NamedTuple


class Entry(NamedTuple):
    """key: the page's `section`, and its icon. letter: what leads there after `g`; each only once."""

    key: str
    href: str
    label: str
    letter: str


MENU = (
    Entry("home", "/", "Home", "h"),
    Entry("flows", "/flows", "Flows", "f"),
    Entry("runs", "/runs", "Runs", "r"),
    Entry("schedules", "/schedules", "Schedules", "e"),
    Entry("clients", "/clients", "Clients", "c"),
    Entry("concurrency", "/concurrency", "Concurrency", "l"),
    Entry("statistics", "/statistics", "Statistics", "s"),
    Entry("sql", "/sql", "SQL", "q"),
    Entry("integrity", "/integrity", "Integrity", "i"),
    Entry("settings", "/settings", "Settings", "t"),
)
