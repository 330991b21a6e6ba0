// The task runs of a run, as `GET …/timeline` says them: fetched once, then only what has changed.
export interface Task {
  key: string;
  name: string;
  label: string;
  state: string;
  start: number | null; // ms from the run's first moment
  end: number | null;
  took: number | null; // ms
  attempt: number;
  mean: number | null; // ms, by history
  std: number | null;
  samples: number;
  warning: string;
  error: string;
}

interface Answer {
  seq: number | null;
  start_time: string | null;
  end_ms: number | null;
  total: number;
  tasks: { id: string; name: string; mean_ms: number | null; std_ms: number | null; samples: number }[];
  states: string[];
  key: string[];
  of: number[];
  state: number[];
  start: (number | null)[];
  end: (number | null)[];
  took: (number | null)[];
  attempt: number[];
  warning: Record<number, string>;
  error: Record<number, string>;
  label: Record<number, string>;
}

const TONES: Record<string, string> = {
  SCHEDULED: "wait", PENDING: "wait", PAUSED: "pause", RUNNING: "run", RETRYING: "warn", CANCELLING: "warn",
  COMPLETED: "good", CACHED: "good", FAILED: "bad", CRASHED: "bad", CANCELLED: "mute", SKIPPED: "mute",
};
export const MARKS: Record<string, string> = { good: "✓", bad: "✕", run: "▸", warn: "↻", pause: "‖", wait: "○", mute: "–" };

export function toneOf(state: string): string {
  return TONES[state] ?? "mute";
}

export function isFinal(task: Task): boolean {
  const tone = toneOf(task.state);
  return tone === "good" || tone === "bad" || tone === "mute";
}

/** How far above the usual, in standard deviations; null when nobody knows what is usual. */
export function sigmas(task: Task): number | null {
  if (task.took === null || task.mean === null || !task.std || task.samples < 2) return null;
  return (task.took - task.mean) / task.std;
}

const ROWS_AT_ONCE = 800;

export class Columns {
  tasks: Task[] = [];
  begin: number | null = null; // ms since 1970
  end: number | null = null; // ms from `begin`, once the run is final
  private seq = 0;
  private byKey = new Map<string, Task>();
  private asking: Promise<void> | null = null;

  constructor(private readonly source: string) {}

  /** Ask for what has changed. Who asks while somebody does waits for that answer. */
  async load(): Promise<void> {
    this.asking ??= this.ask().finally(() => (this.asking = null));
    return this.asking;
  }

  private async ask(): Promise<void> {
    const response = await fetch(this.seq ? `${this.source}?after=${this.seq}` : this.source);
    if (!response.ok) throw new Error(`The task runs could not be read (${response.status}).`);
    const answer = (await response.json()) as Answer;
    const begin = answer.start_time ? Date.parse(answer.start_time) : null;
    if (begin !== this.begin) {
      // Something began before what was known as the first moment: all that was told counts from another one.
      for (const task of this.tasks) {
        const moved = (this.begin ?? 0) - (begin ?? 0);
        if (task.start !== null) task.start += moved;
        if (task.end !== null) task.end += moved;
      }
      this.begin = begin;
    }
    this.end = answer.end_ms;
    this.seq = answer.seq ?? this.seq;
    for (let row = 0; row < answer.key.length; row++) {
      if (row % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) await rest();
      const key = answer.key[row] ?? "";
      const of = answer.tasks[answer.of[row] ?? 0];
      const fresh: Task = {
        key, name: of?.name ?? key, label: answer.label[row] ?? labelOf(key, of?.name ?? key),
        state: answer.states[answer.state[row] ?? 0] ?? "", start: answer.start[row] ?? null, end: answer.end[row] ?? null,
        took: answer.took[row] ?? null, attempt: answer.attempt[row] ?? 1, mean: of?.mean_ms ?? null, std: of?.std_ms ?? null,
        samples: of?.samples ?? 0, warning: answer.warning[row] ?? "", error: answer.error[row] ?? "",
      };
      const known = this.byKey.get(key);
      if (known) Object.assign(known, fresh);
      else {
        this.byKey.set(key, fresh);
        this.tasks.push(fresh);
      }
    }
    this.tasks.sort((a, b) => (a.start ?? Infinity) - (b.start ?? Infinity) || 0);
  }
}

/** Lets the page answer to who uses it. */
function rest(): Promise<void> {
  return new Promise((done) => setTimeout(done));
}

function labelOf(key: string, name: string): string {
  const number = Number(/-(\d+)$/.exec(key)?.[1] ?? 0) + 1;
  return number > 1 ? `${name} #${number}` : name;
}
