-- What charts are drawn from.

-- name: chart_flow
SELECT id::VARCHAR, name FROM flows {where} LIMIT 1;

-- name: chart_flow.where.id
id = $flow_id::UUID

-- name: chart_flow.where.name
name = $flow_name

-- name: chart_runs
-- The last that ended, the newest first.
SELECT
  id::VARCHAR, epoch_ms(coalesce(start_time, created_at)), duration_ms, state, flow_version,
  json_extract_string(performance_warning, '$.severity')
FROM runs
WHERE flow_id = $flow_id::UUID AND state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
ORDER BY created_at DESC, id DESC
LIMIT $limit;

-- name: chart_tasks
-- Ids begin with their time: with their bounds, most of the table is not read.
SELECT task_id::VARCHAR, any_value(name), run_id::VARCHAR, avg(duration_ms)
FROM task_runs
WHERE
  run_id BETWEEN list_min($run_ids::UUID[]) AND list_max($run_ids::UUID[])
  AND run_id IN (SELECT unnest($run_ids::UUID[]))
  AND counted AND duration_ms IS NOT NULL
GROUP BY task_id, run_id;

-- name: chart_outcomes
SELECT
  end_time::DATE, count(*) FILTER (state = 'COMPLETED'), count(*) FILTER (state IN ('FAILED', 'CRASHED')),
  count(*) FILTER (state = 'CANCELLED')
FROM runs
WHERE
  flow_id = $flow_id::UUID AND state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') AND end_time >= $since
GROUP BY 1
ORDER BY 1;

-- name: chart_task
SELECT id::VARCHAR, task_name, flow_id::VARCHAR, flow_name FROM task_statistics WHERE id = $task_id::UUID;

-- name: chart_completions
-- The newest first.
SELECT run_id::VARCHAR, epoch_ms(coalesce(start_time, end_time)), duration_ms, json_extract_string(performance_warning, '$.severity')
FROM task_runs
WHERE task_id = $task_id::UUID AND counted
ORDER BY first_seq DESC
LIMIT $limit;
