-- What must hold in the file at any commit (integrity), and what everybody who says events has promised (conduct). Each
-- statement answers (ok, detail, lines); the comment under its name says what it means. lines: the first five of what
-- offends.

-- name: integrity.offsets
-- What the read model says it has read of each stream is the last message in its log.
WITH read AS (
  SELECT stream, seq, CASE
    WHEN stream = 'LOGS' THEN (SELECT coalesce(max(seq), 0) FROM logs)
    ELSE (SELECT coalesce(max(events.seq), 0) FROM events WHERE events.stream = consumer_offsets.stream)
  END AS last
  FROM consumer_offsets
  WHERE consumer = 'projector'
)
-- a message of LOGS without lines leaves no row
SELECT
  coalesce(bool_and(CASE WHEN stream = 'LOGS' THEN last <= seq ELSE last = seq END), true),
  coalesce(string_agg(stream || ': read up to ' || seq || ', last in the log ' || last, '; ' ORDER BY stream), 'nothing read yet'),
  []::VARCHAR[]
FROM read;

-- name: integrity.events
-- No event stands in the log twice.
WITH bad AS (
  SELECT stream || ' ' || seq || ' stands there ' || count(*) || ' times' AS line
  FROM events GROUP BY stream, seq HAVING count(*) > 1
)
SELECT count(*) = 0, (SELECT count(*) FROM events) || ' events, ' || count(*) || ' of them repeated',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: integrity.logs
-- No log line stands in the log twice.
WITH bad AS (
  SELECT 'line ' || n || ' of message ' || seq || ' stands there ' || count(*) || ' times' AS line
  FROM logs GROUP BY seq, n HAVING count(*) > 1
)
SELECT count(*) = 0, (SELECT count(*) FROM logs) || ' log lines, ' || count(*) || ' of them repeated',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: integrity.runs
-- Each run has one row.
WITH bad AS (SELECT 'run ' || id || ' has ' || count(*) || ' rows' AS line FROM runs GROUP BY id HAVING count(*) > 1)
SELECT count(*) = 0, (SELECT count(*) FROM runs) || ' runs, ' || count(*) || ' of them with more than one row',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: integrity.schedules
-- Each schedule has one row, and each decision about its instants one.
WITH bad AS (
  SELECT 'schedule ' || id || ' has ' || count(*) || ' rows' AS line FROM schedules GROUP BY id HAVING count(*) > 1
  UNION ALL
  SELECT 'decision ' || id || ' has ' || count(*) || ' rows'
  FROM schedule_decisions GROUP BY id HAVING count(*) > 1
)
SELECT count(*) = 0,
  (SELECT count(*) FROM schedules) || ' schedules, ' || (SELECT count(*) FROM schedule_decisions) || ' decisions, '
    || count(*) || ' of them with more than one row',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: conduct.fired_twice
-- No instant of a schedule was fired more than once, but for backfills that somebody asked for.
WITH bad AS (
  SELECT 'schedule ' || schedule_id || ' fired ' || count(*) || ' times for ' || at_instant AS line
  FROM schedule_decisions
  WHERE decision = 'fired' AND NOT backfill
  GROUP BY schedule_id, at_instant
  HAVING count(*) > 1
)
SELECT count(*) = 0,
  (SELECT count(*) FROM schedule_decisions WHERE decision = 'fired') || ' fires, ' || count(*) || ' instants more than once',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: integrity.task_runs
-- Each task run has one row, and each key of a run one task run.
WITH bad AS (
  SELECT 'task run ' || id || ' has ' || count(*) || ' rows' AS line FROM task_runs GROUP BY id HAVING count(*) > 1
  UNION ALL
  SELECT 'run ' || run_id || ' has ' || count(*) || ' task runs ' || task_key
  FROM task_runs GROUP BY run_id, task_key HAVING count(*) > 1
)
SELECT count(*) = 0, (SELECT count(*) FROM task_runs) || ' task runs, ' || count(*) || ' of them repeated',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: conduct.repeated_tasks
-- No task is executed again once its completion is in the history that its executor has read.
WITH said AS (
  SELECT run_id, type, seq, payload->>'$.task_key' AS key, (payload->>'$.epoch')::INTEGER AS epoch
  FROM events
  WHERE stream = 'EVENTS' AND type IN ('task.completed', 'task.cached', 'task.started', 'run.started')
    AND payload->>'$.dispatch_id' IS NULL -- what another worker executes is judged by its dispatch
),
ended AS (
  SELECT run_id, key, epoch, min(seq) AS seq FROM said WHERE type IN ('task.completed', 'task.cached') GROUP BY ALL
),
begun AS (SELECT run_id, key, epoch, max(seq) AS seq FROM said WHERE type = 'task.started' GROUP BY ALL),
claims AS (SELECT run_id, epoch, min(seq) AS seq FROM said WHERE type = 'run.started' GROUP BY ALL),
bad AS (
  SELECT 'run ' || run_id || ': ' || key || ' was completed at ' || ended.seq || ' and started again at ' || begun.seq AS line
  FROM ended
  JOIN begun USING (run_id, key)
  LEFT JOIN claims ON claims.run_id = begun.run_id AND claims.epoch = begun.epoch
  WHERE (begun.epoch = ended.epoch AND begun.seq > ended.seq) OR (begun.epoch > ended.epoch AND ended.seq < claims.seq)
)
SELECT count(*) = 0,
  (SELECT count(*) FROM ended) || ' completed tasks, ' || count(*) || ' of them executed again',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: conduct.final_events
-- In one epoch no task is ended twice.
WITH bad AS (
  SELECT 'run ' || run_id || ': ' || (payload->>'$.task_key') || ' was ended ' || count(*) || ' times in epoch '
    || coalesce(payload->>'$.epoch', '?') AS line
  FROM events
  WHERE stream = 'EVENTS' AND type IN ('task.completed', 'task.cached', 'task.failed', 'task.skipped')
  GROUP BY run_id, payload->>'$.task_key', payload->>'$.epoch'
  HAVING count(*) > 1
)
SELECT count(*) = 0, count(*) || ' task keys were ended twice in one epoch', (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: conduct.final_runs
-- A run ends once, unless somebody has it tried again.
WITH told AS (
  SELECT run_id, type, count(*) FILTER (type IN ('run.retried', 'run.restored')) OVER (PARTITION BY run_id ORDER BY seq) AS life
  FROM events
  WHERE stream = 'EVENTS'
    AND type IN ('run.completed', 'run.failed', 'run.cancelled', 'run.crashed', 'run.retried', 'run.restored')
),
bad AS (
  SELECT 'run ' || run_id || ' ended as ' || string_agg(type, ', then ') AS line
  FROM told
  WHERE type NOT IN ('run.retried', 'run.restored')
  GROUP BY run_id, life
  HAVING count(*) > 1
)
SELECT count(*) = 0, count(*) || ' runs ended more than once', (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: integrity.task_statistics
-- The samples of each task are as many as its completions that count.
WITH counted AS (SELECT task_id, count(*) AS n FROM task_runs WHERE counted GROUP BY task_id),
bad AS (
  SELECT coalesce(kept.flow_name || ' / ' || kept.task_name, counted.task_id::VARCHAR) || ': ' || coalesce(kept.sample_count, 0)
    || ' samples, ' || coalesce(counted.n, 0) || ' completions' AS line
  FROM task_statistics AS kept
  FULL JOIN counted ON kept.id = counted.task_id
  WHERE CASE WHEN EXISTS (FROM archives WHERE name = 'events') -- what has left the file stays in the statistics
    THEN coalesce(kept.sample_count, 0) < coalesce(counted.n, 0)
    ELSE kept.sample_count IS DISTINCT FROM counted.n END
)
SELECT count(*) = 0,
  (SELECT count(*) FROM task_statistics) || ' tasks, ' || count(*) || ' of them with more or fewer samples than completions',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: conduct.task_durations
-- Mean, variance, least and greatest duration of each task are those of its completions, each of which happened once.
WITH counted AS (
  SELECT task_id, avg(duration_ms) AS mean, var_pop(duration_ms) * count(*) AS m2, min(duration_ms) AS least,
    max(duration_ms) AS most
  FROM task_runs WHERE counted GROUP BY task_id
),
bad AS (
  SELECT kept.flow_name || ' / ' || kept.task_name || ': mean ' || kept.avg_duration_ms || ' ms, by its completions '
    || counted.mean AS line
  FROM task_statistics AS kept
  JOIN counted ON kept.id = counted.task_id
  WHERE NOT EXISTS (FROM archives WHERE name = 'events') -- what has left the file stays in the statistics
    AND (abs(kept.avg_duration_ms - counted.mean) > 1e-9 * greatest(abs(counted.mean), 1)
      OR abs(kept.m2 - counted.m2) > 1e-9 * greatest(counted.m2, 1)
      OR kept.min_duration_ms IS DISTINCT FROM counted.least OR kept.max_duration_ms IS DISTINCT FROM counted.most)
)
SELECT count(*) = 0,
  (SELECT count(*) FROM task_statistics) || ' tasks, ' || count(*) || ' of them with other durations than their completions',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: integrity.flow_statistics
-- The statistics of each flow are those of its completed runs that were neither interrupted nor begun with another run's results.
WITH done AS (
  SELECT flow_id, count(*) AS n, avg(duration_ms) AS mean, var_pop(duration_ms) * count(*) AS m2,
    min(duration_ms) AS least, max(duration_ms) AS most
  FROM runs
  WHERE state = 'COMPLETED' AND NOT coalesce((details->>'interrupted')::BOOLEAN, false)
    AND details->>'fork_of' IS NULL AND details->>'origin_run_id' IS NULL
  GROUP BY flow_id
),
bad AS (
  SELECT coalesce(kept.flow_name, done.flow_id::VARCHAR) || ': ' || coalesce(kept.sample_count, 0) || ' samples with mean '
    || coalesce(kept.avg_duration_ms, 0) || ' ms, by its runs ' || coalesce(done.n, 0) || ' with ' || coalesce(done.mean, 0) AS line
  FROM flow_statistics AS kept
  FULL JOIN done ON kept.id = done.flow_id
  WHERE CASE WHEN EXISTS (FROM archives WHERE name = 'events') -- what has left the file stays in the statistics
    THEN coalesce(kept.sample_count, 0) < coalesce(done.n, 0)
    ELSE kept.sample_count IS DISTINCT FROM done.n
      OR abs(kept.avg_duration_ms - done.mean) > 1e-9 * greatest(abs(done.mean), 1)
      OR abs(kept.m2 - done.m2) > 1e-9 * greatest(done.m2, 1)
      OR kept.min_duration_ms IS DISTINCT FROM done.least OR kept.max_duration_ms IS DISTINCT FROM done.most END
)
SELECT count(*) = 0,
  (SELECT count(*) FROM flow_statistics) || ' flows, ' || count(*) || ' of them with other statistics than their runs',
  (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: integrity.open_tasks
-- A run that has ended has no task that goes on.
WITH bad AS (
  SELECT 'run ' || runs.id || ' is ' || runs.state || ', its task ' || task_runs.task_key || ' ' || task_runs.state AS line
  FROM task_runs
  JOIN runs ON runs.id = task_runs.run_id
  WHERE runs.state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    AND task_runs.state IN ('PENDING', 'RUNNING', 'RETRYING')
)
SELECT count(*) = 0, count(*) || ' tasks go on in runs that have ended', (SELECT list(line) FROM (FROM bad LIMIT 5))
FROM bad;

-- name: log_spans
-- Of each stream: its first and last sequence in the log, and how many there are.
SELECT stream, min(seq), max(seq), count(DISTINCT seq) FROM events GROUP BY stream ORDER BY stream;

-- name: log_holes
-- Where sequences of a stream are missing from the log: between which two.
SELECT seq, next FROM (SELECT seq, lead(seq) OVER (ORDER BY seq) AS next FROM events WHERE stream = $stream)
WHERE next > seq + 1
ORDER BY seq
LIMIT $limit;

-- name: limit_events
-- What was said about limits and their slots.
SELECT seq, payload FROM events
WHERE stream = 'DEFS' AND type IN ('limit.set', 'limit.removed', 'slot.granted', 'slot.released', 'limit.condensed')
ORDER BY seq;

-- name: sampled_runs
-- The newest runs, and as many others.
(SELECT id::VARCHAR FROM runs ORDER BY last_seq DESC LIMIT $limit)
UNION
(SELECT id::VARCHAR FROM (SELECT id FROM runs USING SAMPLE 1000 ROWS) LIMIT $limit);

-- name: events_of_runs
SELECT run_id::VARCHAR, seq, epoch_us(ts), payload FROM events
WHERE stream = 'EVENTS' AND run_id IN (SELECT unnest($run_ids::UUID[]))
ORDER BY run_id, seq;

-- name: sampled_schedules
-- Those that were spoken of last, of which the log is short enough to be folded at once.
SELECT said.id
FROM (
  SELECT payload->>'$.schedule_id' AS id, max(seq) AS last FROM events
  WHERE stream = 'DEFS' AND type LIKE 'schedule.%'
  GROUP BY ALL
  HAVING count(*) <= 10000
) AS said
ORDER BY said.last DESC
LIMIT $limit;

-- name: events_of_schedules
SELECT seq, payload FROM events
WHERE stream = 'DEFS' AND type LIKE 'schedule.%'
  AND list_contains($schedule_ids::VARCHAR[], payload->>'$.schedule_id')
ORDER BY seq;

-- name: log_of_month
-- What a table of the log holds beyond these sequences, in the order in which it was written.
SELECT stream, seq, run_id::VARCHAR, epoch_us(ts), payload FROM events_{month}
WHERE seq > CASE stream WHEN 'DEFS' THEN $defs::UBIGINT ELSE $events::UBIGINT END;
