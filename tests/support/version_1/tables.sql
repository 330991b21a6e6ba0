-- The read model: one DuckDB file, owned by the projector. Timestamps are UTC, durations milliseconds, progress 0–100.
-- Ids of runs and task runs are UUIDv7 (time-ordered), those of flows and tasks UUIDv5 of their names.
-- No PRIMARY KEY and no index: one row a key is kept by collapsing each batch before its MERGE, and checked by the
-- query `integrity`.

-- The versions of this schema that the file has seen; the highest is its present one.
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL, applied TIMESTAMP NOT NULL);

-- How far each stream is in the file. created: when the stream was made, to recognise it again.
CREATE TABLE IF NOT EXISTS consumer_offsets (
  consumer VARCHAR NOT NULL,
  stream VARCHAR NOT NULL,
  seq UBIGINT NOT NULL,
  created TIMESTAMP
);

-- The months that have left the file; with an archive folder, each is <name>_<month>.parquet there. name: events or
-- logs; with a month of events go the runs that had ended in it, and their task runs.
CREATE TABLE IF NOT EXISTS archives (name VARCHAR NOT NULL, month VARCHAR NOT NULL);

-- The newest version of each flow. task_list: its tasks as they were registered.
CREATE TABLE IF NOT EXISTS flows (
  id UUID NOT NULL,
  name VARCHAR NOT NULL,
  version VARCHAR NOT NULL,
  description VARCHAR NOT NULL,
  tags VARCHAR[] NOT NULL,
  parameters JSON NOT NULL,
  task_list JSON NOT NULL,
  entrypoint VARCHAR,
  schedule VARCHAR,
  hidden BOOLEAN NOT NULL,
  created_at TIMESTAMP NOT NULL,
  registered_at TIMESTAMP NOT NULL,
  last_seq UBIGINT NOT NULL
);

-- Every task that a registered version of a flow could reach. position: its place in the newest version, from 0;
-- NULL when the newest version has it no more.
CREATE TABLE IF NOT EXISTS tasks (
  id UUID NOT NULL,
  flow_id UUID NOT NULL,
  name VARCHAR NOT NULL,
  description VARCHAR NOT NULL,
  weight DOUBLE NOT NULL,
  estimated_time BIGINT,
  position INTEGER,
  last_seq UBIGINT NOT NULL
);

-- queued_ms: from when it was due to its first start; launch_ms: from the hand-over to that start; duration_ms: the run.
-- progress: what is known for sure, without the part that follows from time alone.
-- details: what its events say beyond the columns. plan: what it was expected to run, as long as it is not final.
-- forecast: how long it was expected to take, ms, as of its start and as of half of its progress (p50, p90), and when it
-- reached each tenth of its progress (marks).
CREATE TABLE IF NOT EXISTS runs (
  id UUID NOT NULL,
  flow_id UUID,
  flow_name VARCHAR,
  flow_version VARCHAR,
  name VARCHAR,
  state VARCHAR NOT NULL,
  progress DOUBLE NOT NULL,
  created_at TIMESTAMP NOT NULL,
  start_time TIMESTAMP,
  end_time TIMESTAMP,
  duration_ms BIGINT,
  queued_ms BIGINT,
  launch_ms BIGINT,
  configuration VARCHAR NOT NULL,
  parameters JSON NOT NULL,
  tags VARCHAR[] NOT NULL,
  client_name VARCHAR,
  epoch INTEGER NOT NULL,
  origin VARCHAR NOT NULL,
  parent_run_id UUID,
  error JSON,
  result JSON,
  performance_warning JSON,
  tasks_done INTEGER NOT NULL,
  tasks_total INTEGER NOT NULL,
  details JSON NOT NULL,
  plan JSON,
  last_seq UBIGINT NOT NULL,
  forecast JSON
);
ALTER TABLE runs ADD COLUMN IF NOT EXISTS forecast JSON;

-- One row a task key of a run. first_seq: sequence of its first event, the order in which a run's tasks began.
-- counted: whether its completion has entered the statistics.
CREATE TABLE IF NOT EXISTS task_runs (
  id UUID NOT NULL,
  run_id UUID NOT NULL,
  task_id UUID NOT NULL,
  task_key VARCHAR NOT NULL,
  name VARCHAR NOT NULL,
  state VARCHAR NOT NULL,
  progress DOUBLE NOT NULL,
  start_time TIMESTAMP,
  end_time TIMESTAMP,
  duration_ms BIGINT,
  attempt INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  error JSON,
  result JSON,
  performance_warning JSON,
  details JSON NOT NULL,
  counted BOOLEAN NOT NULL,
  first_seq UBIGINT NOT NULL,
  last_seq UBIGINT NOT NULL
);

-- Welford's summary of the durations of completed task runs; the sample variance is m2 ÷ (sample_count − 1).
CREATE TABLE IF NOT EXISTS task_statistics (
  id UUID NOT NULL,
  flow_id UUID NOT NULL,
  flow_name VARCHAR NOT NULL,
  task_name VARCHAR NOT NULL,
  avg_duration_ms DOUBLE NOT NULL,
  m2 DOUBLE NOT NULL,
  sample_count BIGINT NOT NULL,
  min_duration_ms DOUBLE,
  max_duration_ms DOUBLE,
  last_updated TIMESTAMP NOT NULL,
  last_seq UBIGINT NOT NULL
);

-- The same of completed runs; id is the flow's. curves: of the last 50 of them, when each reached 10 %, 20 % … 100 %.
CREATE TABLE IF NOT EXISTS flow_statistics (
  id UUID NOT NULL,
  flow_name VARCHAR NOT NULL,
  avg_duration_ms DOUBLE NOT NULL,
  m2 DOUBLE NOT NULL,
  sample_count BIGINT NOT NULL,
  min_duration_ms DOUBLE,
  max_duration_ms DOUBLE,
  last_updated TIMESTAMP NOT NULL,
  last_seq UBIGINT NOT NULL,
  curves JSON
);
ALTER TABLE flow_statistics ADD COLUMN IF NOT EXISTS curves JSON;

-- The same by day, configuration and flow version. id: of the task, or of the flow with task_name NULL.
-- measure: run, queued and launch are durations in ms, of a flow's runs apart; eta_start and eta_half say by how much
-- percent the forecasts of a run's duration were off, eta_within is 100 for a run that was done by its 90 % forecast.
-- buckets: {n: how many}; bucket 0 is below 1, bucket n holds 1.02^(n-1) up to 1.02^n.
CREATE TABLE IF NOT EXISTS daily_statistics (
  id UUID NOT NULL,
  measure VARCHAR NOT NULL,
  day DATE NOT NULL,
  configuration VARCHAR NOT NULL,
  flow_version VARCHAR NOT NULL,
  flow_id UUID NOT NULL,
  flow_name VARCHAR NOT NULL,
  task_name VARCHAR,
  mean DOUBLE NOT NULL,
  m2 DOUBLE NOT NULL,
  sample_count BIGINT NOT NULL,
  least DOUBLE NOT NULL,
  greatest DOUBLE NOT NULL,
  buckets JSON NOT NULL,
  last_seq UBIGINT NOT NULL
);

-- state: CONNECTED, DISCONNECTED (it said good-bye) or LOST.
CREATE TABLE IF NOT EXISTS clients (
  id UUID NOT NULL,
  name VARCHAR NOT NULL,
  host VARCHAR NOT NULL,
  pid BIGINT NOT NULL,
  slots INTEGER NOT NULL,
  flows VARCHAR[] NOT NULL,
  queues VARCHAR[] NOT NULL,
  sdk_version VARCHAR NOT NULL,
  state VARCHAR NOT NULL,
  connected_at TIMESTAMP NOT NULL,
  last_seen TIMESTAMP NOT NULL,
  last_seq UBIGINT NOT NULL
);
