CREATE OR REPLACE VIEW v_slowest_tasks AS
SELECT
  coalesce(runs.flow_name, '') AS flow,
  task_runs.name AS task,
  task_runs.duration_ms,
  to_milliseconds(task_runs.duration_ms) AS duration,
  round(statistics.avg_duration_ms, 1) AS mean_ms,
  round(
    (task_runs.duration_ms - statistics.avg_duration_ms)
    / nullif(sqrt(statistics.m2 / nullif(statistics.sample_count - 1, 0)), 0), 2
  ) AS sigmas,
  task_runs.start_time,
  task_runs.run_id,
  task_runs.task_key,
  task_runs.performance_warning->>'$.message' AS warning
FROM all_task_runs AS task_runs
LEFT JOIN all_runs AS runs ON runs.id = task_runs.run_id
LEFT JOIN task_statistics AS statistics ON statistics.id = task_runs.task_id
WHERE task_runs.duration_ms IS NOT NULL
ORDER BY task_runs.duration_ms DESC;
COMMENT ON VIEW v_slowest_tasks IS 'Task runs, the slowest first, against the mean of their task.';
COMMENT ON COLUMN v_slowest_tasks.sigmas IS 'Standard deviations away from the task''s mean.';
