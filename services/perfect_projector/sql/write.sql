-- What one transaction of the writer does. Every parameter is a column of the batch with one value a row, as `binding`
-- hands it over. An id that is none becomes NULL in the log.
-- Each key stands once in a batch. The columns are named here alone: rows are made in their order, `load.sql` reads them
-- back in it, and the UPDATE of what can change is made from an INSERT by `changing`.

-- name: append_events
-- `{month}` is the month in which the events were stored, YYYY_MM.
INSERT INTO events_{month} BY NAME
SELECT
  unnest($1::VARCHAR[]) AS stream,
  unnest($2::UBIGINT[]) AS seq,
  unnest($3::TIMESTAMP[]) AS ts,
  unnest($4::VARCHAR[]) AS type,
  unnest(json_transform($5::JSON, '["UUID"]')) AS run_id,
  unnest(json_transform($6::JSON, '["UUID"]')) AS task_run_id,
  unnest($7::VARCHAR[])::JSON AS payload;

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

-- name: forget_runs
DELETE FROM runs WHERE id IN (SELECT unnest($1::UUID[]));

-- name: forget_task_runs
DELETE FROM task_runs WHERE run_id IN (SELECT unnest($1::UUID[]));

-- name: insert_runs
INSERT INTO runs BY NAME
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
  unnest($28::UBIGINT[]) AS last_seq,
  unnest($29::JSON[]) AS forecast;

-- name: insert_task_runs
INSERT INTO task_runs BY NAME
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
  unnest($19::UBIGINT[]) AS last_seq;

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
    unnest($13::UBIGINT[]) AS last_seq,
    unnest($14::JSON[]) AS deployments
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

-- name: insert_task_statistics
INSERT INTO task_statistics BY NAME
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
  unnest($11::UBIGINT[]) AS last_seq;

-- name: insert_flow_statistics
INSERT INTO flow_statistics BY NAME
SELECT
  unnest($1::UUID[]) AS id,
  unnest($2::VARCHAR[]) AS flow_name,
  unnest($3::DOUBLE[]) AS avg_duration_ms,
  unnest($4::DOUBLE[]) AS m2,
  unnest($5::BIGINT[]) AS sample_count,
  unnest($6::DOUBLE[]) AS min_duration_ms,
  unnest($7::DOUBLE[]) AS max_duration_ms,
  unnest($8::TIMESTAMP[]) AS last_updated,
  unnest($9::UBIGINT[]) AS last_seq,
  unnest($10::JSON[]) AS curves;

-- name: insert_daily_statistics
INSERT INTO daily_statistics BY NAME
SELECT
  unnest($1::UUID[]) AS id,
  unnest($2::VARCHAR[]) AS measure,
  unnest($3::DATE[]) AS day,
  unnest($4::VARCHAR[]) AS configuration,
  unnest($5::VARCHAR[]) AS flow_version,
  unnest($6::UUID[]) AS flow_id,
  unnest($7::VARCHAR[]) AS flow_name,
  unnest($8::VARCHAR[]) AS task_name,
  unnest($9::DOUBLE[]) AS mean,
  unnest($10::DOUBLE[]) AS m2,
  unnest($11::BIGINT[]) AS sample_count,
  unnest($12::DOUBLE[]) AS least,
  unnest($13::DOUBLE[]) AS greatest,
  unnest($14::JSON[]) AS buckets,
  unnest($15::UBIGINT[]) AS last_seq;

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

-- name: merge_artifacts
-- A row without kind changes one that is there.
MERGE INTO artifacts USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::UUID[]) AS run_id,
    unnest($3::VARCHAR[]) AS kind,
    unnest($4::VARCHAR[]) AS key,
    unnest($5::VARCHAR[]) AS description,
    unnest($6::JSON[]) AS data,
    unnest($7::VARCHAR[]) AS ref,
    unnest($8::BIGINT[]) AS size_bytes,
    unnest($9::UUID[]) AS task_run_id,
    unnest($10::VARCHAR[]) AS task_key,
    unnest($11::INTEGER[]) AS epoch,
    unnest($12::TIMESTAMP[]) AS created_at,
    unnest($13::TIMESTAMP[]) AS updated_at,
    unnest($14::UBIGINT[]) AS first_seq,
    unnest($15::UBIGINT[]) AS last_seq
) AS new ON artifacts.id = new.id
WHEN MATCHED AND new.epoch >= artifacts.epoch THEN UPDATE SET
  kind = coalesce(new.kind, artifacts.kind),
  key = CASE WHEN new.kind IS NULL THEN artifacts.key ELSE new.key END,
  description = CASE WHEN new.kind IS NULL THEN coalesce(new.description, artifacts.description) ELSE new.description END,
  data = new.data,
  ref = new.ref,
  size_bytes = new.size_bytes,
  epoch = new.epoch,
  updated_at = new.updated_at,
  last_seq = new.last_seq
WHEN NOT MATCHED AND new.kind IS NOT NULL THEN INSERT BY NAME;

-- name: merge_schedules
MERGE INTO schedules USING (
  SELECT
    unnest($1::UUID[]) AS id,
    unnest($2::UUID[]) AS flow_id,
    unnest($3::VARCHAR[]) AS flow_name,
    unnest($4::VARCHAR[]) AS name,
    unnest($5::VARCHAR[]) AS rule,
    unnest($6::JSON[]) AS spec,
    unnest($7::VARCHAR[]) AS made_by,
    unnest($8::BOOLEAN[]) AS paused,
    unnest($9::VARCHAR[]) AS paused_by,
    unnest($10::BOOLEAN[]) AS removed,
    unnest($11::TIMESTAMP[]) AS created_at,
    unnest($12::TIMESTAMP[]) AS updated_at,
    unnest($13::TIMESTAMP[]) AS decided_through,
    unnest($14::JSON[]) AS deferred,
    unnest($15::BIGINT[]) AS fired,
    unnest($16::BIGINT[]) AS skipped,
    unnest($17::TIMESTAMP[]) AS last_fired_at,
    unnest($18::TIMESTAMP[]) AS last_instant,
    unnest($19::UUID[]) AS last_run_id,
    unnest($20::BIGINT[]) AS last_late_ms,
    unnest($21::UBIGINT[]) AS last_seq
) AS new ON schedules.id = new.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: insert_schedule_decisions
INSERT INTO schedule_decisions BY NAME
SELECT
  unnest($1::UUID[]) AS id,
  unnest($2::UUID[]) AS schedule_id,
  unnest($3::VARCHAR[]) AS decision,
  unnest($4::TIMESTAMP[]) AS at_instant,
  unnest($5::TIMESTAMP[]) AS decided_at,
  unnest($6::TIMESTAMP[]) AS due_at,
  unnest($7::TIMESTAMP[]) AS through,
  unnest($8::BIGINT[]) AS count,
  unnest($9::BIGINT[]) AS late_ms,
  unnest($10::VARCHAR[]) AS reason,
  unnest($11::VARCHAR[]) AS detail,
  unnest($12::UUID[]) AS run_id,
  unnest($13::BOOLEAN[]) AS backfill,
  unnest($14::VARCHAR[]) AS requested_by,
  unnest($15::UBIGINT[]) AS seq;

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

-- name: set_offset
UPDATE consumer_offsets SET seq = $2 WHERE consumer = 'projector' AND stream = $1;

-- name: set_offsets
-- $1: {stream: sequence} as JSON, with all streams or some.
UPDATE consumer_offsets SET seq = ($1::JSON ->> stream)::UBIGINT
WHERE consumer = 'projector' AND ($1::JSON ->> stream) IS NOT NULL;

-- name: set_created
UPDATE consumer_offsets SET created = $2::TIMESTAMP WHERE consumer = 'projector' AND stream = $1;

-- name: forget_created
UPDATE consumer_offsets SET created = NULL;

-- name: make_offsets
INSERT INTO consumer_offsets (consumer, stream, seq)
SELECT 'projector', wanted.stream, 0
FROM (VALUES ('DEFS'), ('EVENTS'), ('LOGS')) AS wanted(stream)
WHERE wanted.stream NOT IN (SELECT stream FROM consumer_offsets WHERE consumer = 'projector');
