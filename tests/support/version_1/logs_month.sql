-- The log lines that were stored in one month. `{month}` is YYYY_MM; the view `logs` joins the months.
-- (seq, n): sequence of the message on LOGS and the line's place in it. level: Python's number.
CREATE TABLE IF NOT EXISTS logs_{month} (
  seq UBIGINT NOT NULL,
  n UINTEGER NOT NULL,
  ts TIMESTAMP NOT NULL,
  run_id UUID,
  task_run_id UUID,
  task_key VARCHAR,
  level UTINYINT NOT NULL,
  logger VARCHAR NOT NULL,
  message VARCHAR NOT NULL
);
