CREATE OR REPLACE VIEW all_runs AS
SELECT *, false AS is_archived FROM runs
UNION ALL BY NAME
SELECT archived_runs.*, true AS is_archived FROM archived_runs ANTI JOIN runs ON runs.id = archived_runs.id;
COMMENT ON VIEW all_runs IS 'runs, and those that were moved to the archive folder.';
COMMENT ON COLUMN all_runs.is_archived IS 'It is in a file of the archive folder.';
CREATE OR REPLACE VIEW all_task_runs AS
SELECT *, false AS is_archived FROM task_runs
UNION ALL BY NAME
SELECT archived_task_runs.*, true AS is_archived
FROM archived_task_runs ANTI JOIN runs ON runs.id = archived_task_runs.run_id;
COMMENT ON VIEW all_task_runs IS 'task_runs, and those of the runs that were moved to the archive folder.';
COMMENT ON COLUMN all_task_runs.is_archived IS 'It is in a file of the archive folder.';
CREATE OR REPLACE VIEW all_artifacts AS
SELECT *, false AS is_archived FROM artifacts
UNION ALL BY NAME
SELECT archived_artifacts.*, true AS is_archived
FROM archived_artifacts ANTI JOIN runs ON runs.id = archived_artifacts.run_id;
COMMENT ON VIEW all_artifacts IS 'artifacts, and those of the runs that were moved to the archive folder.';
COMMENT ON COLUMN all_artifacts.is_archived IS 'It is in a file of the archive folder.';
