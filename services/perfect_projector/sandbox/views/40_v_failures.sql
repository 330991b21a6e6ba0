CREATE OR REPLACE VIEW v_failures AS
SELECT
  runs.end_time AS failed_at,
  coalesce(runs.flow_name, '') AS flow,
  runs.id AS run_id,
  runs.state,
  coalesce(runs.error->>'$.type', runs.state) AS error_type,
  runs.error->>'$.message' AS error_message,
  failed.name AS failed_task,
  failed.task_key AS failed_task_key,
  runs.duration_ms,
  runs.configuration,
  runs.client_name AS worker,
  runs.parameters
FROM all_runs AS runs
LEFT JOIN (
  SELECT run_id, arg_max(name, last_seq) AS name, arg_max(task_key, last_seq) AS task_key
  FROM all_task_runs WHERE state = 'FAILED' GROUP BY run_id
) AS failed ON failed.run_id = runs.id
WHERE runs.state IN ('FAILED', 'CRASHED');
COMMENT ON VIEW v_failures IS 'Runs that failed or crashed, with the task that failed last. Newest: ORDER BY failed_at DESC.';
COMMENT ON COLUMN v_failures.failed_task IS 'NULL when the flow itself raised, or its worker was lost.';
