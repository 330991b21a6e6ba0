-- What one transaction of the writer does. Every parameter is a column of the batch: a list with one value a row.
-- Each key stands once in a batch: MERGE would insert two new rows of one key without a word.

-- name: append_events
-- `{month}` is the month in which the events were stored, YYYY_MM.
INSERT INTO events_{month} BY NAME
SELECT
  unnest($1::VARCHAR[]) AS stream,
  unnest($2::UBIGINT[]) AS seq,
  unnest($3::TIMESTAMP[]) AS ts,
  unnest($4::VARCHAR[]) AS type,
  unnest(try_cast($5::VARCHAR[] AS UUID[])) AS run_id,
  unnest(try_cast($6::VARCHAR[] AS UUID[])) AS task_run_id,
  unnest($7::JSON[]) AS payload;

-- name: append_logs
INSERT INTO logs_{month} BY NAME
SELECT
  unnest($1::UBIGINT[]) AS seq,
  unnest($2::UINTEGER[]) AS n,
  unnest($3::TIMESTAMP[]) AS ts,
  unnest(try_cast($4::VARCHAR[] AS UUID[])) AS run_id,
  unnest(try_cast($5::VARCHAR[] AS UUID[])) AS task_run_id,
  unnest($6::VARCHAR[]) AS task_key,
  unnest($7::UTINYINT[]) AS level,
  unnest($8::VARCHAR[]) AS logger,
  unnest($9::VARCHAR[]) AS message;

-- name: merge_runs
MERGE INTO runs USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::UUID[]) AS flow_id,
    unnest($3::VARCHAR[]) AS flow_name,
    unnest($4::VARCHAR[]) AS flow_version,
    unnest($5::VARCHAR[]) AS name,
    unnest($6::VARCHAR[]) AS state,
    unnest($7::DOUBLE[]) AS progress,
    unnest($8::TIMESTAMP[]) AS created_at,
    unnest($9::TIMESTAMP[]) AS start_time,
    unnest($10::TIMESTAMP[]) AS end_time,
    unnest($11::BIGINT[]) AS duration_ms,
    unnest($12::BIGINT[]) AS queued_ms,
    unnest($13::BIGINT[]) AS launch_ms,
    unnest($14::VARCHAR[]) AS configuration,
    unnest($15::JSON[]) AS parameters,
    unnest($16::VARCHAR[][]) AS tags,
    unnest($17::VARCHAR[]) AS client_name,
    unnest($18::INTEGER[]) AS epoch,
    unnest($19::VARCHAR[]) AS origin,
    unnest(try_cast($20::VARCHAR[] AS UUID[])) AS parent_run_id,
    unnest($21::JSON[]) AS error,
    unnest($22::JSON[]) AS result,
    unnest($23::JSON[]) AS performance_warning,
    unnest($24::INTEGER[]) AS tasks_done,
    unnest($25::INTEGER[]) AS tasks_total,
    unnest($26::JSON[]) AS details,
    unnest($27::JSON[]) AS plan,
    unnest($28::UBIGINT[]) AS last_seq
) AS new ON runs.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: merge_task_runs
MERGE INTO task_runs USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::UUID[]) AS run_id,
    unnest($3::UUID[]) AS task_id,
    unnest($4::VARCHAR[]) AS task_key,
    unnest($5::VARCHAR[]) AS name,
    unnest($6::VARCHAR[]) AS state,
    unnest($7::DOUBLE[]) AS progress,
    unnest($8::TIMESTAMP[]) AS start_time,
    unnest($9::TIMESTAMP[]) AS end_time,
    unnest($10::BIGINT[]) AS duration_ms,
    unnest($11::INTEGER[]) AS attempt,
    unnest($12::INTEGER[]) AS epoch,
    unnest($13::JSON[]) AS error,
    unnest($14::JSON[]) AS result,
    unnest($15::JSON[]) AS performance_warning,
    unnest($16::JSON[]) AS details,
    unnest($17::BOOLEAN[]) AS counted,
    unnest($18::UBIGINT[]) AS first_seq,
    unnest($19::UBIGINT[]) AS last_seq
) AS new ON task_runs.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: merge_flows
MERGE INTO flows USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::VARCHAR[]) AS name,
    unnest($3::VARCHAR[]) AS version,
    unnest($4::VARCHAR[]) AS description,
    unnest($5::VARCHAR[][]) AS tags,
    unnest($6::JSON[]) AS parameters,
    unnest($7::JSON[]) AS task_list,
    unnest($8::VARCHAR[]) AS entrypoint,
    unnest($9::VARCHAR[]) AS schedule,
    unnest($10::BOOLEAN[]) AS hidden,
    unnest($11::TIMESTAMP[]) AS created_at,
    unnest($12::TIMESTAMP[]) AS registered_at,
    unnest($13::UBIGINT[]) AS last_seq
) AS new ON flows.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: merge_tasks
MERGE INTO tasks USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::UUID[]) AS flow_id,
    unnest($3::VARCHAR[]) AS name,
    unnest($4::VARCHAR[]) AS description,
    unnest($5::DOUBLE[]) AS weight,
    unnest($6::BIGINT[]) AS estimated_time,
    unnest($7::INTEGER[]) AS position,
    unnest($8::UBIGINT[]) AS last_seq
) AS new ON tasks.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: merge_task_statistics
MERGE INTO task_statistics USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::UUID[]) AS flow_id,
    unnest($3::VARCHAR[]) AS flow_name,
    unnest($4::VARCHAR[]) AS task_name,
    unnest($5::DOUBLE[]) AS avg_duration_ms,
    unnest($6::DOUBLE[]) AS m2,
    unnest($7::BIGINT[]) AS sample_count,
    unnest($8::DOUBLE[]) AS min_duration_ms,
    unnest($9::DOUBLE[]) AS max_duration_ms,
    unnest($10::TIMESTAMP[]) AS last_updated,
    unnest($11::UBIGINT[]) AS last_seq
) AS new ON task_statistics.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: merge_flow_statistics
MERGE INTO flow_statistics USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::VARCHAR[]) AS flow_name,
    unnest($3::DOUBLE[]) AS avg_duration_ms,
    unnest($4::DOUBLE[]) AS m2,
    unnest($5::BIGINT[]) AS sample_count,
    unnest($6::DOUBLE[]) AS min_duration_ms,
    unnest($7::DOUBLE[]) AS max_duration_ms,
    unnest($8::TIMESTAMP[]) AS last_updated,
    unnest($9::UBIGINT[]) AS last_seq
) AS new ON flow_statistics.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: merge_clients
MERGE INTO clients USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::VARCHAR[]) AS name,
    unnest($3::VARCHAR[]) AS host,
    unnest($4::BIGINT[]) AS pid,
    unnest($5::INTEGER[]) AS slots,
    unnest($6::VARCHAR[][]) AS flows,
    unnest($7::VARCHAR[][]) AS queues,
    unnest($8::VARCHAR[]) AS sdk_version,
    unnest($9::VARCHAR[]) AS state,
    unnest($10::TIMESTAMP[]) AS connected_at,
    unnest($11::TIMESTAMP[]) AS last_seen,
    unnest($12::UBIGINT[]) AS last_seq
) AS new ON clients.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: end_clients
UPDATE clients
SET state = ended.state, last_seen = ended.last_seen, last_seq = ended.last_seq
FROM (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::VARCHAR[]) AS state,
    unnest($3::TIMESTAMP[]) AS last_seen,
    unnest($4::UBIGINT[]) AS last_seq
) AS ended
WHERE clients.id = ended.id;

-- name: set_offsets
MERGE INTO consumer_offsets USING (
  SELECT
    'projector' AS consumer,
    unnest($1::VARCHAR[]) AS stream,
    unnest($2::UBIGINT[]) AS seq
) AS new ON consumer_offsets.consumer = new.consumer AND consumer_offsets.stream = new.stream
WHEN MATCHED THEN UPDATE SET seq = new.seq
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: set_created
MERGE INTO consumer_offsets USING (
  SELECT 'projector' AS consumer, $1::VARCHAR AS stream, 0::UBIGINT AS seq, $2::TIMESTAMP AS created
) AS new ON consumer_offsets.consumer = new.consumer AND consumer_offsets.stream = new.stream
WHEN MATCHED THEN UPDATE SET created = new.created
WHEN NOT MATCHED THEN INSERT BY NAME;
