"""The worker: a supervisor process that takes hand-overs and keeps presence, and executor processes that run user code."""
