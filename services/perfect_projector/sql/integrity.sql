-- What must hold in the file at any commit. Each statement answers (ok, detail).

-- name: integrity.offsets
-- Each stored offset is the last sequence in the log. Of LOGS, a message without lines leaves no row.
SELECT
  coalesce(bool_and(CASE WHEN stream = 'LOGS' THEN last <= seq ELSE last = seq END), true),
  coalesce(string_agg(stream || ': offset ' || seq || ', last in the log ' || last, '; ' ORDER BY stream), 'nothing read yet')
FROM (
  SELECT stream, seq, CASE
    WHEN stream = 'LOGS' THEN (SELECT coalesce(max(seq), 0) FROM logs)
    ELSE (SELECT coalesce(max(events.seq), 0) FROM events WHERE events.stream = consumer_offsets.stream)
  END AS last
  FROM consumer_offsets
  WHERE consumer = 'projector'
);

-- name: integrity.events
-- No event stands in the log twice.
SELECT count(*) = count(DISTINCT (stream, seq)), count(*) || ' events' FROM events;

-- name: integrity.logs
SELECT count(*) = count(DISTINCT (seq, n)), count(*) || ' log lines' FROM logs;

-- name: integrity.runs
SELECT count(*) = count(DISTINCT id), count(*) || ' runs, ' || count(DISTINCT id) || ' ids' FROM runs;

-- name: integrity.task_runs
SELECT
  count(*) = count(DISTINCT id) AND count(*) = count(DISTINCT (run_id, task_key)),
  count(*) || ' task runs, ' || count(DISTINCT id) || ' ids, ' || count(DISTINCT (run_id, task_key)) || ' task keys'
FROM task_runs;

-- name: integrity.final_events
-- At most one final event of a task key counts: in one epoch none is ended twice.
SELECT count(*) = 0, count(*) || ' task keys were ended twice in one epoch'
FROM (
  SELECT 1
  FROM events
  WHERE stream = 'EVENTS' AND type IN ('task.completed', 'task.cached', 'task.failed', 'task.skipped')
  GROUP BY run_id, payload->>'$.task_key', payload->>'$.epoch'
  HAVING count(*) > 1
);

-- name: integrity.task_statistics
-- The samples of each task are the completions that count.
SELECT
  count(*) = 0, count(*) || ' tasks whose samples are not as many as their counted completions'
FROM (SELECT id, sample_count FROM task_statistics) AS kept
FULL JOIN (SELECT task_id, count(*) AS counted FROM task_runs WHERE counted GROUP BY task_id) AS counted
  ON kept.id = counted.task_id
WHERE CASE WHEN EXISTS (FROM archives WHERE name = 'events')
  THEN coalesce(kept.sample_count, 0) < coalesce(counted.counted, 0)
  ELSE kept.sample_count IS DISTINCT FROM counted.counted END;

-- name: integrity.flow_statistics
-- The samples of each flow are its completed runs that were neither interrupted nor begun with another run's results;
-- more when runs have left the file since.
SELECT
  count(*) = 0, count(*) || ' flows whose samples are not as many as their completed runs'
FROM (SELECT id, sample_count FROM flow_statistics) AS kept
FULL JOIN (SELECT flow_id, count(*) AS completed FROM runs
  WHERE state = 'COMPLETED' AND NOT coalesce((details->>'interrupted')::BOOLEAN, false)
    AND details->>'fork_of' IS NULL AND details->>'origin_run_id' IS NULL
  GROUP BY flow_id
) AS done
  ON kept.id = done.flow_id
WHERE CASE WHEN EXISTS (FROM archives WHERE name = 'events')
  THEN coalesce(kept.sample_count, 0) < coalesce(done.completed, 0)
  ELSE kept.sample_count IS DISTINCT FROM done.completed END;

-- name: integrity.open_tasks
-- A run that has ended has no task that goes on.
SELECT count(*) = 0, count(*) || ' tasks go on in runs that have ended'
FROM task_runs
JOIN runs ON runs.id = task_runs.run_id
WHERE runs.state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
  AND task_runs.state IN ('PENDING', 'RUNNING', 'RETRYING');
