"""Named limits: at most so many holders of a name at once, in all runs together (`perfect limits set NAME SLOTS`).

from perfect_sdk.concurrency.sync import concurrency      # or .asyncio: `async with`

with concurrency("database", occupy=1):
...
"""
