-- What the writer reads back: at its start, and when an event speaks of a run that it has not in memory.

-- name: load_offsets
SELECT stream, seq, created FROM consumer_offsets WHERE consumer = 'projector';

-- name: load_floor
SELECT greatest(
  (SELECT coalesce(max(last_seq), 0) FROM runs), (SELECT coalesce(max(last_seq), 0) FROM task_runs)
);

-- name: load_runs
SELECT {insert_runs}
FROM runs
WHERE id IN (SELECT unnest($1::UUID[]));

-- name: load_task_runs
SELECT {insert_task_runs}
FROM task_runs
WHERE run_id IN (SELECT unnest($1::UUID[]))
ORDER BY first_seq;

-- name: load_artifacts
SELECT {merge_artifacts}
FROM artifacts
WHERE run_id IN (SELECT unnest($1::UUID[]))
ORDER BY first_seq;

-- name: load_flows
SELECT {merge_flows}
FROM flows;

-- name: load_schedules
SELECT {merge_schedules}
FROM schedules;

-- name: load_schedule_decisions
SELECT {insert_schedule_decisions}
FROM schedule_decisions
WHERE schedule_id IN (SELECT unnest($1::UUID[]))
ORDER BY seq;

-- name: load_task_statistics
SELECT {insert_task_statistics}
FROM task_statistics;

-- name: load_flow_statistics
SELECT {insert_flow_statistics}
FROM flow_statistics;

-- name: load_daily_statistics
-- Of the tasks and flows, each with a day.
SELECT {insert_daily_statistics}
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
