CREATE OR REPLACE VIEW v_daily AS
SELECT
  date_trunc('day', created_at)::DATE AS day,
  coalesce(flow_name, '') AS flow,
  count(*) AS runs,
  count(*) FILTER (WHERE state = 'COMPLETED') AS completed,
  count(*) FILTER (WHERE state IN ('FAILED', 'CRASHED')) AS failed,
  count(*) FILTER (WHERE state = 'CANCELLED') AS cancelled,
  count(*) FILTER (WHERE performance_warning IS NOT NULL) AS warned,
  round(avg(duration_ms) FILTER (WHERE state = 'COMPLETED'), 1) AS mean_ms,
  quantile_cont(duration_ms, 0.95) FILTER (WHERE state = 'COMPLETED') AS p95_ms,
  to_milliseconds(sum(duration_ms)) AS total
FROM all_runs AS runs
GROUP BY ALL;
COMMENT ON VIEW v_daily IS 'Runs of each flow by the day (UTC) on which they were made.';
COMMENT ON COLUMN v_daily.mean_ms IS 'Of the completed ones.';
COMMENT ON COLUMN v_daily.total IS 'Time spent in runs altogether.';
