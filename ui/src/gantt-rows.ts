// Which rows a timeline has: one a task run, or one for all of a task's name, which can be opened.
import { isFinal, toneOf, type Task } from "./columns";

export interface Row {
  label: string;
  tasks: Task[];
  group: boolean;
  within: boolean; // below the row of its group, which is open
  open: boolean;
  tone: string; // of the worst of them
  note: string; // of a group: how far it is
}

export const GROUP_ABOVE = 200;
const WORST_FIRST = ["bad", "warn", "run", "pause", "wait", "good", "mute"];

export function rowsOf(tasks: Task[], choice: string, open: ReadonlySet<string>): Row[] {
  const started = tasks.filter((task) => task.start !== null);
  const grouped = choice === "name" || (choice === "auto" && started.length > GROUP_ABOVE);
  if (!grouped) return started.map((task) => single(task, false));
  const groups = new Map<string, Task[]>();
  for (const task of started) {
    const known = groups.get(task.name);
    if (known) known.push(task);
    else groups.set(task.name, [task]);
  }
  const rows: Row[] = [];
  for (const [name, members] of groups) {
    if (members.length === 1 && members[0]) {
      rows.push(single(members[0], false));
      continue;
    }
    const note = noteOf(members);
    rows.push({ label: name, tasks: byWeight(members), group: true, within: false, open: open.has(name), tone: worst(members), note });
    if (open.has(name)) rows.push(...members.map((task) => single(task, true)));
  }
  return rows;
}

function single(task: Task, within: boolean): Row {
  return { label: task.label, tasks: [task], group: false, within, open: false, tone: toneOf(task.state), note: "" };
}

export function worst(tasks: Task[]): string {
  const tones = new Set(tasks.map((task) => toneOf(task.state)));
  return WORST_FIRST.find((tone) => tones.has(tone)) ?? "mute";
}

/** The tasks so that what is drawn later, over the others, is what matters more; else in their order. */
export function byWeight(tasks: Task[]): Task[] {
  const found = new Map<string, Task[]>(WORST_FIRST.map((tone) => [tone, []]));
  for (const task of tasks) found.get(toneOf(task.state))?.push(task);
  return [...found.values()].reverse().flat();
}

function noteOf(tasks: Task[]): string {
  const failed = tasks.filter((one) => toneOf(one.state) === "bad").length;
  const done = tasks.filter(isFinal).length;
  return failed ? `${failed} failed` : done === tasks.length ? `${done} done` : `${done} of ${tasks.length}`;
}

export function anyLive(tasks: Task[]): boolean {
  return tasks.some((task) => task.start !== null && task.end === null && !isFinal(task));
}
