-- What the purge asks: which runs ended long ago, and who needs them still.

-- name: purge.ended
-- Those whose last event stands after a sequence, in the order of their ends.
SELECT
  id::VARCHAR, parent_run_id::VARCHAR, state,
  greatest(coalesce(end_time, created_at), try_cast(details->>'$.restored_at' AS TIMESTAMP)), last_seq,
  coalesce((details->>'$.archived')::BOOLEAN, false)
FROM runs
WHERE last_seq > $after AND state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
ORDER BY last_seq
LIMIT $limit;

-- name: purge.ended_of
SELECT
  id::VARCHAR, parent_run_id::VARCHAR, state,
  greatest(coalesce(end_time, created_at), try_cast(details->>'$.restored_at' AS TIMESTAMP)), last_seq,
  coalesce((details->>'$.archived')::BOOLEAN, false)
FROM runs
WHERE id IN (SELECT unnest($run_ids::UUID[])) AND state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
ORDER BY last_seq;

-- name: purge.live
-- Those that another run called, or that were forked from another one.
SELECT id::VARCHAR, parent_run_id::VARCHAR, details->>'$.fork_of'
FROM runs
WHERE state NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
  AND (parent_run_id IS NOT NULL OR contains(details::VARCHAR, '"fork_of"'));

-- name: purge.parents
SELECT id::VARCHAR, parent_run_id::VARCHAR, state IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
FROM runs
WHERE id IN (SELECT unnest($run_ids::UUID[]));

-- name: purge.known
SELECT id::VARCHAR FROM runs WHERE id IN (SELECT unnest(try_cast($run_ids::VARCHAR[] AS UUID[])));

-- name: purge.results
-- Every object that a result names, that of a child run within its parent's record included.
SELECT DISTINCT unnest(regexp_extract_all(result::VARCHAR, '"ref":"([^"]+)"', 1))
FROM (SELECT result FROM runs UNION ALL SELECT result FROM task_runs)
WHERE contains(result::VARCHAR, '"ref":"');
