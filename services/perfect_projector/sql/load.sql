-- What the writer reads back: at its start, and when an event speaks of a run that it has not in memory.

-- name: load_offsets
SELECT stream, seq, created FROM consumer_offsets WHERE consumer = 'projector';

-- name: load_floor
SELECT greatest(
  (SELECT coalesce(max(last_seq), 0) FROM runs), (SELECT coalesce(max(last_seq), 0) FROM task_runs)
);

-- name: load_runs
SELECT
  id::VARCHAR, flow_id::VARCHAR, flow_name, flow_version, name, state, progress, created_at, start_time, end_time,
  duration_ms, queued_ms, launch_ms, configuration, parameters, tags, client_name, epoch, origin,
  parent_run_id::VARCHAR, error, result, performance_warning, tasks_done, tasks_total, details, plan, last_seq,
  forecast
FROM runs
WHERE id IN (SELECT unnest($1::UUID[]));

-- name: load_task_runs
SELECT
  id::VARCHAR, run_id::VARCHAR, task_id::VARCHAR, task_key, name, state, progress, start_time, end_time, duration_ms,
  attempt, epoch, error, result, performance_warning, details, counted, first_seq, last_seq
FROM task_runs
WHERE run_id IN (SELECT unnest($1::UUID[]))
ORDER BY first_seq;

-- name: load_artifacts
SELECT
  id::VARCHAR, run_id::VARCHAR, kind, key, description, data, ref, size_bytes, task_run_id::VARCHAR, task_key, epoch,
  created_at, updated_at, first_seq, last_seq
FROM artifacts
WHERE run_id IN (SELECT unnest($1::UUID[]))
ORDER BY first_seq;

-- name: load_flows
SELECT
  id::VARCHAR, name, version, description, tags, parameters, task_list, entrypoint, schedule, hidden, created_at,
  registered_at, last_seq, deployments
FROM flows;

-- name: load_schedules
SELECT
  id::VARCHAR, flow_id::VARCHAR, flow_name, name, rule, spec, made_by, paused, paused_by, removed, created_at,
  updated_at, decided_through, deferred, fired, skipped, last_fired_at, last_instant, last_run_id::VARCHAR,
  last_late_ms, last_seq
FROM schedules;

-- name: load_schedule_decisions
SELECT
  id::VARCHAR, schedule_id::VARCHAR, decision, at_instant, decided_at, due_at, through, count, late_ms, reason,
  detail, run_id::VARCHAR, backfill, requested_by, seq
FROM schedule_decisions
WHERE schedule_id IN (SELECT unnest($1::UUID[]))
ORDER BY seq;

-- name: load_task_statistics
SELECT
  id::VARCHAR, flow_id::VARCHAR, flow_name, task_name, avg_duration_ms, m2, sample_count, min_duration_ms,
  max_duration_ms, last_updated, last_seq
FROM task_statistics;

-- name: load_flow_statistics
SELECT
  id::VARCHAR, flow_name, avg_duration_ms, m2, sample_count, min_duration_ms, max_duration_ms, last_updated, last_seq,
  curves
FROM flow_statistics;

-- name: load_daily_statistics
-- Of the tasks and flows, each with a day.
SELECT
  id::VARCHAR, measure, day, configuration, flow_version, flow_id::VARCHAR, flow_name, task_name, mean, m2,
  sample_count, least, greatest, buckets, last_seq
FROM daily_statistics
WHERE (id, day) IN (SELECT unnest($1::UUID[]), unnest($2::DATE[]));

-- name: load_running
-- The tries that run, and of which nothing has been said yet.
SELECT run_id::VARCHAR, task_key, id::VARCHAR, task_id::VARCHAR, start_time, epoch, attempt, last_seq
FROM task_runs
WHERE state = 'RUNNING' AND performance_warning IS NULL;

-- name: load_task_counts
-- How often each task ran in each of the last 20 completed runs of each flow, oldest run first.
WITH last AS (
  SELECT flow_id, unnest(max_by(id, last_seq, 20)) AS run_id
  FROM runs
  WHERE state = 'COMPLETED' AND flow_id IS NOT NULL
  GROUP BY flow_id
)
SELECT last.flow_id::VARCHAR, last.run_id::VARCHAR, task_runs.task_id::VARCHAR, count(task_runs.id)
FROM last
JOIN runs ON runs.id = last.run_id
LEFT JOIN task_runs ON task_runs.run_id = last.run_id
GROUP BY ALL
ORDER BY any_value(runs.last_seq);
