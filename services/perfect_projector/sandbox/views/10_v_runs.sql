CREATE OR REPLACE VIEW v_runs AS
SELECT
  id AS run_id,
  coalesce(flow_name, '') AS flow,
  flow_version AS version,
  name AS run_name,
  state,
  state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') AS is_final,
  progress,
  created_at,
  start_time,
  end_time,
  duration_ms,
  to_milliseconds(duration_ms) AS duration,
  queued_ms,
  launch_ms,
  configuration,
  parameters,
  tags,
  client_name AS worker,
  epoch,
  origin,
  parent_run_id,
  tasks_done,
  tasks_total,
  error->>'$.type' AS error_type,
  error->>'$.message' AS error_message,
  performance_warning->>'$.message' AS warning,
  is_archived
FROM all_runs AS runs;
COMMENT ON VIEW v_runs IS 'Runs as people read them: names instead of ids, error and warning as text; archived ones included.';
COMMENT ON COLUMN v_runs.duration_ms IS 'From its start to its end.';
COMMENT ON COLUMN v_runs.duration IS 'duration_ms as an interval.';
COMMENT ON COLUMN v_runs.queued_ms IS 'How long it waited before its first start.';
COMMENT ON COLUMN v_runs.launch_ms IS 'From the hand-over to a worker to its start.';
COMMENT ON COLUMN v_runs.origin IS 'api, schedule, local, child or fork.';
COMMENT ON COLUMN v_runs.epoch IS 'How often it was started: more than 1 after a loss, a pause or a retry.';
