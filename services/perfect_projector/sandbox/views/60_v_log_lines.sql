CREATE OR REPLACE VIEW v_log_lines AS
SELECT
  logs.ts AS logged_at,
  CASE
    WHEN logs.level >= 50 THEN 'CRITICAL' WHEN logs.level >= 40 THEN 'ERROR' WHEN logs.level >= 30 THEN 'WARNING'
    WHEN logs.level >= 20 THEN 'INFO' ELSE 'DEBUG'
  END AS level,
  coalesce(runs.flow_name, '') AS flow,
  logs.message,
  logs.logger,
  logs.task_key,
  logs.run_id,
  logs.seq,
  logs.n
FROM logs
LEFT JOIN all_runs AS runs ON runs.id = logs.run_id;
COMMENT ON VIEW v_log_lines IS 'Log lines with the name of their flow. In order: ORDER BY seq, n.';
