CREATE OR REPLACE VIEW v_task_durations AS
SELECT
  coalesce(runs.flow_name, '') AS flow,
  task_runs.name AS task,
  count(*) AS samples,
  round(avg(task_runs.duration_ms), 1) AS mean_ms,
  round(stddev_samp(task_runs.duration_ms), 1) AS std_dev_ms,
  min(task_runs.duration_ms) AS min_ms,
  quantile_cont(task_runs.duration_ms, 0.5) AS p50_ms,
  quantile_cont(task_runs.duration_ms, 0.95) AS p95_ms,
  quantile_cont(task_runs.duration_ms, 0.99) AS p99_ms,
  max(task_runs.duration_ms) AS max_ms,
  to_milliseconds(sum(task_runs.duration_ms)) AS total
FROM all_task_runs AS task_runs
LEFT JOIN all_runs AS runs ON runs.id = task_runs.run_id
WHERE task_runs.counted AND task_runs.duration_ms IS NOT NULL
GROUP BY ALL;
COMMENT ON VIEW v_task_durations IS 'How long each task takes, over all its true completions (cached and taken-over results do not count).';
COMMENT ON COLUMN v_task_durations.total IS 'Time spent in this task altogether.';
