CREATE OR REPLACE VIEW v_schedule_adherence AS
SELECT
  due.flow,
  due.run_id,
  due.origin,
  due.due_at,
  due.start_time,
  greatest(epoch_ms(due.start_time) - epoch_ms(due.due_at), 0) AS late_ms,
  to_milliseconds(greatest(epoch_ms(due.start_time) - epoch_ms(due.due_at), 0)) AS late,
  due.state
FROM (
  SELECT
    coalesce(flow_name, '') AS flow, id AS run_id, origin, start_time, state,
    TRY_CAST(coalesce(details->>'$.scheduled_for', details->>'$.due_at') AS TIMESTAMPTZ)::TIMESTAMP AS due_at
  FROM all_runs
) AS due
WHERE due.due_at IS NOT NULL;
COMMENT ON VIEW v_schedule_adherence IS 'Runs that were to start at a certain time, and how late they started.';
COMMENT ON COLUMN v_schedule_adherence.late_ms IS 'From when it was due to its first start; NULL when it has not started.';
