-- The runs that had ended when the month `{month}` (YYYY_MM) was over, and leave the file with its events.

-- name: ended_runs
SELECT * FROM runs
WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
  AND last_seq <= (SELECT max(seq) FROM events_{month} WHERE stream = 'EVENTS');

-- name: ended_task_runs
SELECT * FROM task_runs
WHERE run_id IN (
  SELECT id FROM runs
  WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    AND last_seq <= (SELECT max(seq) FROM events_{month} WHERE stream = 'EVENTS')
);

-- name: ended_artifacts
SELECT * FROM artifacts
WHERE run_id IN (
  SELECT id FROM runs
  WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    AND last_seq <= (SELECT max(seq) FROM events_{month} WHERE stream = 'EVENTS')
);

-- name: drop_ended_schedule_decisions
-- What was decided in that month: its events say it.
DELETE FROM schedule_decisions
WHERE seq <= (SELECT max(seq) FROM events_{month} WHERE stream = 'DEFS');

-- name: drop_ended_artifacts
DELETE FROM artifacts
WHERE run_id IN (
  SELECT id FROM runs
  WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    AND last_seq <= (SELECT max(seq) FROM events_{month} WHERE stream = 'EVENTS')
);

-- name: drop_ended_task_runs
DELETE FROM task_runs
WHERE run_id IN (
  SELECT id FROM runs
  WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    AND last_seq <= (SELECT max(seq) FROM events_{month} WHERE stream = 'EVENTS')
);

-- name: drop_ended_runs
DELETE FROM runs
WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
  AND last_seq <= (SELECT max(seq) FROM events_{month} WHERE stream = 'EVENTS');
