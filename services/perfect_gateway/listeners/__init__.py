"""Programs that execute runs over HTTP: for each of them the gateway is the worker.

A listener is one SSE connection. It has a client id and presence of its own, takes work like any worker, and hears of
the runs that it is to execute; how they ended it reports by POST. The gateway keeps nothing of it that matters: what a
listener holds stands in the runs' own events, so a report may come to another gateway, or to this one after a restart.
"""

from perfect_gateway.listeners.roll import Listeners

__all__ = ["Listeners"]
