-- What `perfect rebuild` reads of the log and puts together, see the package `rebuilding`.

-- name: rebuild.shares
-- The runs in the order of their ids, cut into shares of about as many events.
WITH said AS (
  SELECT run_id, count(*) AS events, min(seq) AS first_seq FROM events
  WHERE stream = 'EVENTS' AND run_id IS NOT NULL
  GROUP BY run_id
), placed AS (
  SELECT *, (sum(events) OVER (ORDER BY run_id ROWS UNBOUNDED PRECEDING) - events) // $size AS share FROM said
)
SELECT min(run_id)::VARCHAR, max(run_id)::VARCHAR, sum(events)::BIGINT, min(first_seq)
FROM placed
GROUP BY share
ORDER BY share;

-- name: rebuild.runs
-- All events of the runs of a share.
SELECT run_id::VARCHAR, seq, payload
FROM events
WHERE stream = 'EVENTS' AND run_id BETWEEN $first::UUID AND $last::UUID;

-- name: rebuild.definitions
-- What the log of a month says of flows, clients and schedules, and behind which sequence of EVENTS.
SELECT said.seq, epoch_us(said.ts), said.payload, coalesce(before.seq, 0)
FROM (
  SELECT rowid AS place, seq, ts, payload FROM events_{month}
  WHERE stream = 'DEFS' AND (type LIKE 'flow.%' OR type LIKE 'client.%' OR type LIKE 'schedule.%')
) AS said
ASOF LEFT JOIN (SELECT rowid AS place, seq FROM events_{month} WHERE stream = 'EVENTS') AS before
  ON said.place > before.place
ORDER BY said.place;

-- name: rebuild.ends
SELECT stream, count(*), max(seq) FROM events GROUP BY stream;
