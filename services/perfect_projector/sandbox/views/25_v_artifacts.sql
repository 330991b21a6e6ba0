CREATE OR REPLACE VIEW v_artifacts AS
SELECT
  artifacts.id AS artifact_id,
  artifacts.run_id,
  coalesce(runs.flow_name, '') AS flow,
  artifacts.key,
  artifacts.kind,
  artifacts.description,
  artifacts.data,
  artifacts.ref,
  artifacts.size_bytes,
  artifacts.task_key,
  artifacts.task_run_id,
  artifacts.created_at,
  artifacts.updated_at,
  artifacts.is_archived
FROM all_artifacts AS artifacts
LEFT JOIN all_runs AS runs ON runs.id = artifacts.run_id;
COMMENT ON VIEW v_artifacts IS 'What runs show to people: texts, tables, links, images, progress, with the name of their flow.';
COMMENT ON COLUMN v_artifacts.kind IS 'markdown, link, table, progress or image.';
COMMENT ON COLUMN v_artifacts.data IS 'As JSON: data->>''$''. NULL or null for what is so large that the object store has it, under ref.';
