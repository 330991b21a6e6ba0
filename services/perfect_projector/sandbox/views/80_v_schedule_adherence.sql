CREATE OR REPLACE VIEW v_schedule_adherence AS
SELECT
  schedules.flow_name AS flow,
  schedules.name AS schedule,
  decided.at_instant,
  decided.due_at,
  decided.decision,
  decided.reason,
  decided.detail,
  decided.through,
  decided.count AS instants,
  decided.late_ms AS decided_late_ms,
  runs.start_time,
  greatest(epoch_ms(runs.start_time) - epoch_ms(decided.due_at), 0) AS late_ms,
  to_milliseconds(greatest(epoch_ms(runs.start_time) - epoch_ms(decided.due_at), 0)) AS late,
  decided.backfill,
  decided.decided_at,
  CASE WHEN decided.decision = 'fired' THEN decided.run_id END AS run_id,
  runs.state
FROM schedule_decisions AS decided
LEFT JOIN schedules ON schedules.id = decided.schedule_id
LEFT JOIN all_runs AS runs ON decided.decision = 'fired' AND runs.id = decided.run_id;
COMMENT ON VIEW v_schedule_adherence IS 'Every instant of every schedule: what was decided about it, and how late its run started.';
COMMENT ON COLUMN v_schedule_adherence.at_instant IS 'As the schedule''s rule says.';
COMMENT ON COLUMN v_schedule_adherence.due_at IS 'The instant and its jitter; NULL when it was skipped.';
COMMENT ON COLUMN v_schedule_adherence.decision IS 'fired, deferred until earlier runs have ended, or skipped.';
COMMENT ON COLUMN v_schedule_adherence.reason IS 'Why it was skipped: catchup, max_lateness, overlap or rejected; detail says it in words.';
COMMENT ON COLUMN v_schedule_adherence.instants IS 'How many it is about, from at_instant through `through`: more than 1 only where many were skipped at once.';
COMMENT ON COLUMN v_schedule_adherence.decided_late_ms IS 'From when it was due to the decision.';
COMMENT ON COLUMN v_schedule_adherence.late_ms IS 'From when it was due to the first start of its run; NULL when that has not started.';
COMMENT ON COLUMN v_schedule_adherence.backfill IS 'Somebody asked for a range of the past: its lateness says nothing.';
