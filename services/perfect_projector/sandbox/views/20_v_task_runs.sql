CREATE OR REPLACE VIEW v_task_runs AS
SELECT
  task_runs.id AS task_run_id,
  task_runs.run_id,
  coalesce(runs.flow_name, '') AS flow,
  task_runs.name AS task,
  task_runs.task_key,
  task_runs.state,
  task_runs.progress,
  task_runs.start_time,
  task_runs.end_time,
  task_runs.duration_ms,
  to_milliseconds(task_runs.duration_ms) AS duration,
  task_runs.attempt,
  runs.configuration,
  runs.flow_version AS version,
  runs.state AS run_state,
  task_runs.error->>'$.type' AS error_type,
  task_runs.error->>'$.message' AS error_message,
  task_runs.performance_warning->>'$.message' AS warning,
  task_runs.is_archived
FROM all_task_runs AS task_runs
LEFT JOIN all_runs AS runs ON runs.id = task_runs.run_id;
COMMENT ON VIEW v_task_runs IS 'Task runs with the names of their flow and task.';
COMMENT ON COLUMN v_task_runs.attempt IS 'The try, from 1.';
COMMENT ON COLUMN v_task_runs.duration IS 'duration_ms as an interval.';
