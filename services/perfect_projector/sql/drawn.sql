-- What pages of large runs are made of.

-- name: drawn_tasks
SELECT
  id::VARCHAR, task_key, task_id::VARCHAR, name, state, epoch_us(start_time), epoch_us(end_time), duration_ms, attempt,
  performance_warning, error,
  CASE WHEN contains(details::VARCHAR, '"run_name"') THEN json_extract_string(details, '$.run_name') END,
  first_seq, last_seq
FROM task_runs
WHERE run_id = $run_id::UUID AND first_seq > $after
ORDER BY first_seq
LIMIT $limit;

-- name: task_groups
-- Key without its numbers and state → what a box of the graph says.
SELECT
  regexp_replace(task_key, '-[0-9]+(/|$)', '\1', 'g') AS family, state, count(*), min(first_seq),
  arg_min(task_key, first_seq), arg_min(name, first_seq), epoch_us(min(start_time)), epoch_us(max(end_time)),
  count(*) - count(end_time)
FROM task_runs
WHERE run_id = $run_id::UUID AND start_time IS NOT NULL
GROUP BY family, state;

-- name: task_group_sources
-- Key without its numbers and the same of a task that inputs came from → how many tasks. Bounded: a thousand keys a task
-- of ten thousand tasks would take seconds.
SELECT
  regexp_replace(task_key, '-[0-9]+(/|$)', '\1', 'g') AS family,
  regexp_replace(source, '-[0-9]+(/|$)', '\1', 'g') AS from_family,
  count(DISTINCT task_key)
FROM (
  SELECT task_key, unnest(json_extract_string(details, '$.after[*]')) AS source
  FROM task_runs
  WHERE run_id = $run_id::UUID AND start_time IS NOT NULL AND contains(details::VARCHAR, '"after"')
  LIMIT 200000
)
GROUP BY family, from_family
ORDER BY family, from_family;

-- name: run_moment
SELECT state, (SELECT count(*) FROM task_runs WHERE run_id = $run_id::UUID) FROM runs WHERE id = $run_id::UUID;

-- name: moment_kinds
-- How many events of each type a run has, how many of them up to one, and what stands next to it.
SELECT
  type, count(*), count(*) FILTER (seq <= $seq), max(seq) FILTER (seq <= $seq), min(seq) FILTER (seq > $seq)
FROM events
WHERE stream = 'EVENTS' AND run_id = $run_id::UUID
GROUP BY type;

-- name: moment_place
SELECT seq FROM events WHERE stream = 'EVENTS' AND run_id = $run_id::UUID ORDER BY seq LIMIT 1 OFFSET $after;

-- name: moment_event
-- The event, then the one before it.
SELECT seq, payload
FROM events
WHERE stream = 'EVENTS' AND run_id = $run_id::UUID AND seq <= $seq
ORDER BY seq DESC
LIMIT 2;

-- name: moment_beside
SELECT seq, payload
FROM events
WHERE stream = 'EVENTS' AND run_id = $run_id::UUID AND seq <= $seq AND NOT starts_with(type, 'task.')
ORDER BY seq;
