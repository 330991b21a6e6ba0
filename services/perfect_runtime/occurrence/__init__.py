"""Which instants a schedule's rule means: pure. Registry and engine ask here, so that what is previewed is what fires.

    check(spec)              raises InvalidInput naming every field that means nothing
    after(spec, instant)     the instants after it, ascending, in UTC, without end or until the rule ends
    preview(spec, …, n)      the next n of them, with their jitter
    with_due(spec, id, …)    each of `after` with when its run is due: the instant and its jitter

Where clocks change, one rule holds for whatever is said in local time: a local time that the clocks skip is the moment
they have been put forward, and one that comes twice is the first. Rules that go by the minute or hour of any day
(`*/15 * * * *`, `FREQ=HOURLY`) mean each local time that comes, so both of two and none that is skipped. Intervals that are not
whole days are elapsed time and know of no clock.
"""

from perfect_runtime.occurrence.checking import check
from perfect_runtime.occurrence.jitter import preview, with_due
from perfect_runtime.occurrence.rule import after

__all__ = ["after", "check", "preview", "with_due"]
