"""What the OpenAPI document shows of schedules."""

SPEC = {"name": "nightly", "kind": "cron", "cron": "30 2 * * *", "timezone": "Europe/Rome"}
INSTANT = {
    "at": "2026-03-29T01:00:00Z",
    "due_at": "2026-03-29T01:00:00Z",
    "local": "2026-03-29T03:00:00+02:00",
    "note": "the clocks are put forward from 02:00 to 03:00 at this moment",
}
DECISION = {
    "id": "019d36ce-1a80-7000-8000-000000000001", "schedule_id": "1f0c6c1e-0b5c-5c1a-9a0e-3d2f6e1b7a55",
    "decision": "fired", "at_instant": "2026-03-29T01:00:00Z", "decided_at": "2026-03-29T01:00:00.004Z",
    "due_at": "2026-03-29T01:00:00Z", "through": None, "count": 1, "late_ms": 4, "reason": None, "detail": "",
    "run_id": "019d36ce-1a80-7abc-8def-000000000002", "backfill": False, "by": "",
    "flow_id": "0f9d6c0e-7f0b-5a55-8d55-1c7a1c6b2a11", "flow_name": "etl", "schedule_name": "nightly",
}  # fmt: skip
SCHEDULE = {
    "id": "1f0c6c1e-0b5c-5c1a-9a0e-3d2f6e1b7a55", "flow_id": "0f9d6c0e-7f0b-5a55-8d55-1c7a1c6b2a11", "flow_name": "etl",
    "name": "nightly", "text": "30 2 * * * Europe/Rome", "spec": SPEC, "made_by": "api", "paused": False,
    "created_at": "2026-03-01T08:00:00Z", "updated_at": "2026-03-01T08:00:00Z", "paused_by": "",
    "next_at": "2026-03-30T00:30:00Z", "next_due_at": "2026-03-30T00:30:00Z", "deferred": [], "fired": 28, "skipped": 0,
    "last_fired_at": "2026-03-29T01:00:00.004Z", "last_instant": "2026-03-29T01:00:00Z",
    "last_run_id": "019d36ce-1a80-7abc-8def-000000000002", "last_late_ms": 4,
    "words": "at 02:30 every day, Europe/Rome", "state": "active", "last_decision": DECISION,
}  # fmt: skip
BACKFILL = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-08T00:00:00Z", "dry_run": True}
BACKFILLED = {
    "schedule_id": SCHEDULE["id"],
    "instants": [{"at_instant": "2026-03-01T01:30:00Z", "run_id": DECISION["run_id"], "new": True}],
    "started": 1,
    "dry_run": True,
}
