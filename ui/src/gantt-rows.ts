// Which rows a timeline has: one a task run, or one for all of a task's name, which can be opened.
import { isFinal, toneOf, type Task } from "./columns";

export interface Row {
  label: string;
  tasks: Task[];
  group: boolean;
  within: boolean; // below the row of its group, which is open
  open: boolean;
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
    rows.push({ label: name, tasks: members, group: true, within: false, open: open.has(name) });
    if (open.has(name)) rows.push(...members.map((task) => single(task, true)));
  }
  return rows;
}

function single(task: Task, within: boolean): Row {
  return { label: task.label, tasks: [task], group: false, within, open: false };
}

export function worst(tasks: Task[]): string {
  const tones = new Set(tasks.map((task) => toneOf(task.state)));
  return WORST_FIRST.find((tone) => tones.has(tone)) ?? "mute";
}

/** The tasks so that what is drawn later, over the others, is what matters more. */
export function byWeight(tasks: Task[]): Task[] {
  return [...tasks].sort((a, b) => WORST_FIRST.indexOf(toneOf(b.state)) - WORST_FIRST.indexOf(toneOf(a.state)));
}

export function anyLive(tasks: Task[]): boolean {
  return tasks.some((task) => task.start !== null && task.end === null && !isFinal(task));
}
