// What /api/engine/flows/{id}/history and /api/statistics/tasks/{id} answer, as far as it is drawn.
export interface Usual {
  avg_duration_ms: number | null;
  std_dev_ms: number | null;
}

export interface RunPoints {
  id: string[];
  at: number[];
  duration_ms: (number | null)[];
  state: string[];
  flow_version: (string | null)[];
  severity: (string | null)[];
}

export interface Outcomes {
  day: string[];
  completed: number[];
  failed: number[];
  cancelled: number[];
}

export interface FlowHistory extends Usual {
  runs: RunPoints;
  tasks: { id: string; name: string; duration_ms: (number | null)[] }[];
  outcomes: Outcomes;
}

export interface Completions {
  run_id: string[];
  at: number[];
  duration_ms: (number | null)[];
  severity: (string | null)[];
}

export interface TaskHistory {
  statistic: Usual;
  completions: Completions;
}

/** A task's completions, drawn as runs are. */
export function runsOfTask(found: Completions): RunPoints {
  return {
    ...found,
    id: found.run_id,
    state: found.run_id.map(() => "COMPLETED"),
    flow_version: found.run_id.map(() => null),
  };
}
