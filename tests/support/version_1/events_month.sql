-- The events that were stored in one month, as they came. `{month}` is YYYY_MM; the view `events` joins the months.
-- seq: on `stream`. ts: when it happened, as the event says. payload: the whole event; of a message that is no JSON,
-- its text as a JSON string.
CREATE TABLE IF NOT EXISTS events_{month} (
  stream VARCHAR NOT NULL,
  seq UBIGINT NOT NULL,
  ts TIMESTAMP NOT NULL,
  type VARCHAR NOT NULL,
  run_id UUID,
  task_run_id UUID,
  payload JSON NOT NULL
);
