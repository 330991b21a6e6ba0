-- The roll-ups of tasks and flows, merged over all days since `from`, apart by what `by` says, with percentiles of the
-- days since `since` as numbers of buckets. m2 is merged by Chan's formula.
WITH rolls AS (
  SELECT
    *,
    CASE $by
      WHEN 'configuration' THEN configuration
      WHEN 'flow_version' THEN flow_version
      WHEN 'day' THEN day::VARCHAR
      ELSE ''
    END AS part
  FROM daily_statistics
), totals AS (
  SELECT id, measure, part, sum(mean * sample_count) / sum(sample_count) AS whole_mean
  FROM rolls
  WHERE day >= $from::DATE
  GROUP BY ALL
), merged AS (
  SELECT
    id, measure, part, any_value(flow_name) AS flow_name, any_value(task_name) AS task_name,
    any_value(whole_mean) AS mean, sum(m2 + sample_count * (mean - whole_mean) ** 2) AS m2,
    sum(sample_count)::BIGINT AS sample_count, min(least) AS least, max(greatest) AS greatest, max(day) AS last_day
  FROM rolls
  JOIN totals USING (id, measure, part)
  WHERE day >= $from::DATE
  GROUP BY id, measure, part
), counted AS (
  SELECT id, measure, part, unnest(map_keys(held)) AS bucket, unnest(map_values(held)) AS n
  FROM (SELECT id, measure, part, buckets::MAP(INTEGER, BIGINT) AS held FROM rolls WHERE day >= $since::DATE)
), ranked AS (
  SELECT
    id, measure, part, bucket, sum(sum(n)) OVER (PARTITION BY id, measure, part ORDER BY bucket) AS rank,
    sum(sum(n)) OVER (PARTITION BY id, measure, part) AS total
  FROM counted
  GROUP BY id, measure, part, bucket
), percentiles AS (
  SELECT
    id, measure, part, min(bucket) FILTER (rank >= ceil(total * 0.5)) AS p50,
    min(bucket) FILTER (rank >= ceil(total * 0.95)) AS p95, min(bucket) FILTER (rank >= ceil(total * 0.99)) AS p99
  FROM ranked
  GROUP BY id, measure, part
)
SELECT
  merged.id::VARCHAR, measure, part, flow_name, task_name, mean, m2, sample_count, least, greatest, last_day, p50, p95,
  p99
FROM merged
LEFT JOIN percentiles USING (id, measure, part)
ORDER BY flow_name, task_name, part;
