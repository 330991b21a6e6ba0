CREATE OR REPLACE VIEW v_schedules AS
SELECT
  schedules.id AS schedule_id,
  schedules.flow_name AS flow,
  schedules.name AS schedule,
  schedules.rule,
  coalesce(schedules.spec->>'$.timezone', 'UTC') AS timezone,
  schedules.made_by,
  CASE WHEN schedules.removed THEN 'removed' WHEN schedules.paused THEN 'paused' ELSE 'active' END AS state,
  schedules.fired,
  schedules.skipped,
  json_array_length(schedules.deferred) AS deferred,
  schedules.last_instant,
  schedules.last_fired_at,
  schedules.last_late_ms,
  schedules.last_run_id,
  schedules.created_at,
  schedules.updated_at
FROM schedules;
COMMENT ON VIEW v_schedules IS 'Schedules as people read them, removed ones included; v_schedule_adherence has what was decided.';
COMMENT ON COLUMN v_schedules.rule IS 'In one line.';
COMMENT ON COLUMN v_schedules.made_by IS 'code: a file declares it; api: somebody made it.';
COMMENT ON COLUMN v_schedules.fired IS 'How many instants have fired, backfills included.';
COMMENT ON COLUMN v_schedules.deferred IS 'How many instants wait for the end of earlier runs.';
COMMENT ON COLUMN v_schedules.last_late_ms IS 'How late its last run was started.';
