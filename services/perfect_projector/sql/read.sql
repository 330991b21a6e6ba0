-- What the queries ask. `{where}` is put together from the conditions named after the statement.

-- name: offsets
SELECT stream, seq FROM consumer_offsets WHERE consumer = 'projector';

-- name: runs
-- A page of runs: the columns of `runs`. What is joined to them, or asked of the same rows again, costs more than a
-- statement of its own.
SELECT
  runs.id::VARCHAR, runs.flow_id::VARCHAR, runs.flow_name, flow_version, runs.name, state, progress, created_at,
  start_time, end_time, duration_ms, queued_ms, launch_ms, configuration, parameters, tags, client_name, epoch, origin,
  parent_run_id::VARCHAR, error, result, performance_warning, tasks_done, tasks_total, details, plan, runs.last_seq,
  forecast
FROM runs
{where}
ORDER BY {order}
LIMIT $limit;

-- name: run_keys
-- A page of `runs`, with no more than tells whether what is kept of them still holds.
SELECT
  runs.rowid, runs.id::VARCHAR, created_at, duration_ms, flow_id::VARCHAR,
  runs.last_seq, state, progress, tasks_done, tasks_total, performance_warning
FROM runs
{where}
ORDER BY {order}
LIMIT $limit;

-- name: expected_ms
-- How long runs of these flows take by history, from three samples on.
SELECT id::VARCHAR, avg_duration_ms
FROM flow_statistics
WHERE sample_count >= 3 AND list_contains($flow_ids::UUID[], id);

-- name: curves
SELECT id::VARCHAR, curves FROM flow_statistics WHERE list_contains($flow_ids::UUID[], id);

-- name: runs_at
-- The rowid, and the columns of `runs`.
SELECT
  runs.rowid,
  runs.id::VARCHAR, runs.flow_id::VARCHAR, runs.flow_name, flow_version, runs.name, state, progress, created_at,
  start_time, end_time, duration_ms, queued_ms, launch_ms, configuration, parameters, tags, client_name, epoch, origin,
  parent_run_id::VARCHAR, error, result, performance_warning, tasks_done, tasks_total, details, plan, runs.last_seq,
  forecast
FROM runs
WHERE runs.rowid IN (SELECT unnest($rowids::BIGINT[]));

-- name: run
-- One run: the columns of `runs`.
SELECT
  runs.id::VARCHAR, runs.flow_id::VARCHAR, runs.flow_name, flow_version, runs.name, state, progress, created_at,
  start_time, end_time, duration_ms, queued_ms, launch_ms, configuration, parameters, tags, client_name, epoch, origin,
  parent_run_id::VARCHAR, error, result, performance_warning, tasks_done, tasks_total, details, plan, runs.last_seq,
  forecast
FROM runs
WHERE runs.id = $run_id::UUID;

-- name: runs.order.start
runs.created_at DESC, runs.id DESC

-- name: runs.order.duration
coalesce(runs.duration_ms, -1) DESC, runs.id DESC

-- name: runs.where.ids
runs.id IN (SELECT unnest($ids::UUID[]))

-- name: runs.where.parent
runs.parent_run_id = try_cast($parent AS UUID)

-- name: runs.where.flow_id
runs.flow_id = $flow_id::UUID

-- name: runs.where.flow_name
runs.flow_name = $flow_name

-- name: runs.where.state
list_contains($state, runs.state)

-- name: runs.where.tag
list_contains(runs.tags, $tag)

-- name: runs.where.worker
client_name = $worker

-- name: runs.where.configuration
runs.configuration = $configuration

-- name: runs.where.text
-- In a name, or of a run with one of `tags`.
(
  contains(lower(runs.flow_name), lower($text))
  OR contains(lower(runs.name), lower($text))
  {of_id}
  {of_tags}
)

-- name: runs.where.text.begin
OR runs.id BETWEEN $first_id::UUID AND $last_id::UUID

-- name: runs.where.text.end
-- As a number: a million ids as text take 50 ms.
OR runs.id::UHUGEINT & $id_mask::UHUGEINT = $id_end::UHUGEINT

-- name: runs.where.text.tag
OR list_contains(runs.tags, $tag)

-- name: runs.where.text.tags
OR contains(lower(array_to_string(runs.tags, chr(10))), lower($text))

-- name: tags_since
-- Of the runs of which anything was said after a sequence.
SELECT DISTINCT unnest(tags) FROM runs WHERE last_seq > $seq LIMIT $limit;

-- name: runs.where.since
coalesce(runs.start_time, runs.created_at) >= $since::TIMESTAMP

-- name: runs.where.until
-- No run begins a day before it is created, whatever the clocks say: what is newer is not read.
coalesce(runs.start_time, runs.created_at) < $until::TIMESTAMP
AND runs.created_at < $until::TIMESTAMP + INTERVAL 1 DAY

-- name: runs.where.after.start
runs.created_at <= $after::TIMESTAMP
AND (runs.created_at < $after::TIMESTAMP OR runs.id < $after_id::UUID)

-- name: runs.where.near.start
-- Of a page that begins in the middle of a row group, all of it would be sorted.
runs.created_at > $after::TIMESTAMP - INTERVAL 3 HOUR

-- name: runs.where.near.now
runs.created_at > $now::TIMESTAMP - INTERVAL 3 HOUR

-- name: runs.where.near.until
-- Likewise.
runs.created_at > $until::TIMESTAMP - INTERVAL 3 HOUR

-- name: runs.where.after.duration
(
  coalesce(runs.duration_ms, -1) < $after::BIGINT
  OR (coalesce(runs.duration_ms, -1) = $after::BIGINT AND runs.id < $after_id::UUID)
)

-- name: run_exists
SELECT count(*) > 0 FROM runs WHERE id = $run_id::UUID;

-- name: task_runs
SELECT
  id::VARCHAR, run_id::VARCHAR, task_id::VARCHAR, task_key, name, state, progress, start_time, end_time, duration_ms,
  attempt, epoch, error, result, performance_warning, details, counted, first_seq, last_seq
FROM task_runs
WHERE run_id = $run_id::UUID AND first_seq > $after
ORDER BY first_seq
LIMIT $limit;

-- name: few_task_runs
-- In no order: of a run with few of them, this is half of the work.
SELECT
  id::VARCHAR, run_id::VARCHAR, task_id::VARCHAR, task_key, name, state, progress, start_time, end_time, duration_ms,
  attempt, epoch, error, result, performance_warning, details, counted, first_seq, last_seq
FROM task_runs
WHERE run_id = $run_id::UUID
LIMIT $limit;

-- name: task_plans
SELECT id::VARCHAR, weight, estimated_time FROM tasks WHERE list_contains($task_ids::UUID[], id);

-- name: task_expected_ms
-- How long these tasks take by history, from three samples on.
SELECT id::VARCHAR, avg_duration_ms
FROM task_statistics
WHERE sample_count >= 3 AND list_contains($task_ids::UUID[], id);

-- name: untaken_queues
SELECT DISTINCT json_extract_string(details, '$.queue')
FROM task_runs
WHERE run_id = $run_id::UUID AND state = 'PENDING' AND json_extract_string(details, '$.queue') IS NOT NULL;

-- name: logs
SELECT seq, n, ts, level, message, logger, task_run_id::VARCHAR, task_key
FROM logs
{where}
ORDER BY seq {direction}, n {direction}
LIMIT $limit;

-- name: few_logs
-- In no order, see `few_task_runs`.
SELECT seq, n, ts, level, message, logger, task_run_id::VARCHAR, task_key
FROM logs
{where}
LIMIT $limit;

-- name: logs.where.run_id
run_id = $run_id::UUID

-- name: logs.where.level
level >= $level

-- name: logs.where.text
contains(lower(CASE WHEN contains(message, chr(27))
  THEN regexp_replace(message, '\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?', '', 'g')
  ELSE message END), lower($text))

-- name: logs.where.task
(task_key = $task OR (starts_with(task_key, $task || '-') AND regexp_full_match(task_key[length($task) + 2:], '[0-9]+')))

-- name: log_tasks
SELECT DISTINCT task_key FROM logs WHERE run_id = $run_id::UUID AND task_key IS NOT NULL ORDER BY task_key LIMIT $limit;

-- name: logs.where.task_run_id
task_run_id = $task_run_id::UUID

-- name: logs.where.after
(seq > $seq OR (seq = $seq AND n > $n))

-- name: logs.where.before
(seq < $seq OR (seq = $seq AND n < $n))

-- name: events
SELECT seq, payload
FROM events
{where}
ORDER BY seq
LIMIT $limit;

-- name: events.where.stream
stream = 'EVENTS' AND seq > $after

-- name: events.where.run_id
run_id = $run_id::UUID

-- name: events.where.kind
starts_with(type, $kind)

-- name: artifacts
SELECT
  id::VARCHAR, run_id::VARCHAR, kind, key, description, data, ref, size_bytes, task_run_id::VARCHAR, task_key, epoch,
  created_at, updated_at, first_seq, last_seq
FROM artifacts
{where}
ORDER BY {order}
LIMIT $limit;

-- name: artifacts.where.id
id = try_cast($id AS UUID)

-- name: artifacts.where.run_id
run_id = $run_id::UUID

-- name: artifacts.where.key
key = $key

-- name: artifacts.where.after
first_seq > $after

-- name: artifacts.where.before
last_seq < $before

-- name: schedule_decisions
SELECT
  decided.id::VARCHAR, decided.schedule_id::VARCHAR, decided.decision, decided.at_instant, decided.decided_at,
  decided.due_at, decided.through, decided.count, decided.late_ms, decided.reason, decided.detail,
  decided.run_id::VARCHAR, decided.backfill, decided.requested_by, decided.seq, schedules.flow_id::VARCHAR,
  schedules.flow_name, schedules.name
FROM schedule_decisions AS decided
LEFT JOIN schedules ON schedules.id = decided.schedule_id
{where}
ORDER BY decided.seq DESC
LIMIT $limit;

-- name: last_schedule_decisions
-- The last of each schedule that there is.
SELECT
  decided.id::VARCHAR, decided.schedule_id::VARCHAR, decided.decision, decided.at_instant, decided.decided_at,
  decided.due_at, decided.through, decided.count, decided.late_ms, decided.reason, decided.detail,
  decided.run_id::VARCHAR, decided.backfill, decided.requested_by, decided.seq, schedules.flow_id::VARCHAR,
  schedules.flow_name, schedules.name
FROM schedule_decisions AS decided
JOIN schedules ON schedules.id = decided.schedule_id
WHERE NOT schedules.removed AND decided.rowid IN (
  SELECT arg_max(rowid, seq) FROM schedule_decisions GROUP BY schedule_id
)
ORDER BY decided.seq DESC;

-- name: schedule_decisions.where.schedule_id
decided.schedule_id = try_cast($schedule_id AS UUID)

-- name: schedule_decisions.where.flow
(schedules.flow_id = try_cast($flow AS UUID) OR schedules.flow_name = $flow)

-- name: schedule_decisions.where.decision
list_contains($decision::VARCHAR[], decided.decision)

-- name: schedule_decisions.where.since
decided.decided_at >= $since

-- name: schedule_decisions.where.until
decided.decided_at < $until

-- name: schedule_decisions.where.late
(NOT decided.backfill AND (decided.decision = 'skipped' OR coalesce(decided.late_ms, 0) >= $late_ms))

-- name: schedule_decisions.where.before
decided.seq < $before

-- name: log_count
SELECT count(*) FROM logs WHERE run_id = $run_id::UUID;

-- name: recent_runs
-- The last 20 runs of each flow.
SELECT flow_id::VARCHAR, id::VARCHAR, created_at, state, start_time, duration_ms
FROM runs
WHERE rowid IN (
  SELECT unnest(max_by(rowid, (created_at, id), 20))
  FROM runs
  WHERE flow_id IS NOT NULL
  GROUP BY flow_id
);

-- name: task_statistics
SELECT
  id::VARCHAR, flow_name, task_name, avg_duration_ms, m2, sample_count, min_duration_ms, max_duration_ms, last_updated
FROM task_statistics
{where}
ORDER BY flow_name, task_name;

-- name: task_statistics.where.flow_id
flow_id = $flow_id::UUID

-- name: task_statistics.where.flow_name
flow_name = $flow_name

-- name: task_statistics.where.task
(task_name = $task OR id::VARCHAR = $task)

-- name: flow_statistics
SELECT
  id::VARCHAR, flow_name, NULL, avg_duration_ms, m2, sample_count, min_duration_ms, max_duration_ms, last_updated
FROM flow_statistics
{where}
ORDER BY flow_name;

-- name: flow_statistics.where.flow_id
id = $flow_id::UUID

-- name: flow_statistics.where.flow_name
flow_name = $flow_name

-- name: rolled_version
-- Of the days before `before`: the same as long as nothing is added to them.
SELECT count(*), coalesce(max(last_seq), 0) FROM daily_statistics {where};

-- name: rolled_days
SELECT
  id::VARCHAR, measure, flow_name, task_name, mean, m2, sample_count, least, greatest, day, buckets,
  configuration, flow_version
FROM daily_statistics
{where};

-- name: rolled.where.run
measure = 'run'

-- name: rolled.where.flows
task_name IS NULL

-- name: rolled.where.begin
day >= $begin::DATE

-- name: rolled.where.before
day < $before::DATE

-- name: rolled.where.from
day >= $from::DATE

-- name: rolled.where.flow_id
flow_id = $flow_id::UUID

-- name: rolled.where.flow_name
flow_name = $flow_name

-- name: rolled.where.task
(task_name = $task OR id::VARCHAR = $task)

-- name: clients
SELECT id::VARCHAR, name, host, pid, slots, flows, state, connected_at, last_seen
FROM clients
ORDER BY connected_at DESC, id DESC;

-- name: open_runs
SELECT id::VARCHAR, state FROM runs WHERE state NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED');

-- name: run_ends
-- How many ended in each minute.
SELECT state, date_trunc('minute', end_time), count(*)
FROM runs
WHERE state IN ('COMPLETED', 'FAILED', 'CRASHED') AND end_time >= $since
GROUP BY ALL;
