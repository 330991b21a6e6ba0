"""Distributed tasks: `@task(queue="gpu")` is called here and runs on a worker that serves that queue.

In the process that runs the flow: `call` (the rules), `dispatcher` (what becomes of it), `lookout` (who is there).
On the worker that takes it: `lookup` (which function), `execution` (the body), `journal` (what it says).
"""
