// Paints a timeline on a canvas: only the rows that are in view. The state is told by mark and pattern, too.
import { isFinal, MARKS, toneOf, type Task } from "./columns";
import { duration, tickLabel } from "./format";
import type { Row } from "./gantt-rows";
import { tickStep } from "./timeline";

export const ROW = 24;
export const AXIS = 24;
const BAR = 12;

export interface View {
  rows: Row[];
  from: number; // ms: what the left edge of the bars shows
  to: number;
  now: number; // ms: where an open bar ends
  top: number; // px scrolled
  width: number;
  height: number;
  label: number; // px for the labels
  took: number; // px for the durations
  hovered: number;
}

export type Palette = Record<string, string>;

const TONES = ["run", "good", "bad", "warn", "pause", "wait", "mute"];

/** The colours of the theme as the browser works them out. */
export function palette(host: HTMLElement): Palette {
  const found: Palette = {};
  const probe = document.createElement("i");
  host.append(probe);
  for (const name of [...TONES, "ink", "soft", "faint", "line", "surface", "accent", "hover"]) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  found.font = getComputedStyle(host).fontFamily;
  probe.remove();
  return found;
}

export function placeOf(view: View, ms: number): number {
  const span = Math.max(view.to - view.from, 1e-6);
  return view.label + ((ms - view.from) / span) * (view.width - view.label - view.took);
}

export function paint(context: CanvasRenderingContext2D, view: View, colours: Palette): void {
  const { width, height } = view;
  context.clearRect(0, 0, width, height);
  context.textBaseline = "middle";
  ticks(context, view, colours);
  const first = Math.floor(view.top / ROW);
  const last = Math.min(view.rows.length - 1, Math.ceil((view.top + height - AXIS) / ROW));
  context.save();
  context.beginPath();
  context.rect(0, AXIS, width, height - AXIS);
  context.clip();
  for (let at = first; at <= last; at++) {
    const row = view.rows[at];
    if (row) paintRow(context, view, row, AXIS + at * ROW - view.top, at === view.hovered, colours);
  }
  context.restore();
}

function ticks(context: CanvasRenderingContext2D, view: View, colours: Palette): void {
  const right = view.width - view.took;
  const step = tickStep(view.to - view.from, Math.max(2, Math.floor((right - view.label) / 90)));
  context.font = `11px ${colours.font}`;
  context.textAlign = "center";
  for (let ms = Math.ceil(view.from / step) * step; ms <= view.to; ms += step) {
    const x = Math.round(placeOf(view, ms)) + 0.5;
    context.fillStyle = colours.line ?? "";
    context.fillRect(x - 0.5, AXIS, 1, view.height - AXIS);
    context.fillStyle = colours.faint ?? "";
    context.fillText(tickLabel(ms), Math.min(Math.max(x, view.label + 12), right - 12), AXIS / 2);
  }
}

function paintRow(context: CanvasRenderingContext2D, view: View, row: Row, y: number, hovered: boolean, colours: Palette): void {
  const { tone } = row;
  const middle = y + ROW / 2;
  if (hovered) {
    context.fillStyle = colours.hover ?? "";
    context.fillRect(0, y, view.width, ROW);
  }
  context.save();
  context.beginPath();
  context.rect(view.label, y, view.width - view.label - view.took, ROW);
  context.clip();
  bars(context, view, row.tasks, middle - BAR / 2, colours);
  context.restore();
  const [only] = row.tasks;
  if (!row.group && only) elsewhere(context, view, only, middle, colours);
  const indent = row.within ? 14 : 0;
  context.textAlign = "left";
  context.font = `12px ${colours.font}`;
  context.fillStyle = colours[tone] ?? "";
  context.fillText(MARKS[tone] ?? "", 14 + indent, middle);
  context.fillStyle = colours.ink ?? "";
  context.font = `13px ${colours.font}`;
  const text = row.group ? `${row.open ? "▾" : "▸"} ${row.label} ×${row.tasks.length}` : row.label;
  context.fillText(fitted(context, text, view.label - 42 - indent), 32 + indent, middle);
  context.textAlign = "right";
  context.font = `12px ${colours.font}`;
  context.fillStyle = colours.soft ?? "";
  context.fillText(noteOf(row, view.now), view.width - 14, middle);
}

/** Where to look for a bar that is beside what is shown. */
function elsewhere(context: CanvasRenderingContext2D, view: View, task: Task, middle: number, colours: Palette): void {
  const before = (task.end ?? view.now) < view.from;
  if (!before && (task.start ?? 0) <= view.to) return;
  context.font = `11px ${colours.font}`;
  context.fillStyle = colours.faint ?? "";
  context.textAlign = before ? "left" : "right";
  context.fillText(before ? "◂" : "▸", before ? view.label + 4 : view.width - view.took - 4, middle);
}

function noteOf(row: Row, now: number): string {
  const [task] = row.tasks;
  return row.group || !task ? row.note : duration(task.took ?? (task.end ?? now) - (task.start ?? now));
}

/** Of thousands of short ones, many would lie on one pixel: what is drawn already is not drawn again. */
function bars(context: CanvasRenderingContext2D, view: View, tasks: Task[], y: number, colours: Palette): void {
  let drawn = { tone: "", from: 0, to: 0 };
  for (const task of tasks) {
    const start = task.start ?? 0;
    const end = task.end ?? (isFinal(task) ? start : Math.max(view.now, start));
    if (end < view.from || start > view.to) continue;
    const x = Math.max(placeOf(view, start), view.label - 4);
    const width = Math.max(Math.min(placeOf(view, end), view.width) - x, 2);
    const tone = toneOf(task.state);
    const isCovered = tone === drawn.tone && x >= drawn.from && x + width <= drawn.to + 0.5;
    if (isCovered) continue;
    bar(context, x, y, width, tone, colours);
    drawn = tone === drawn.tone && x <= drawn.to ? { tone, from: drawn.from, to: Math.max(drawn.to, x + width) } : { tone, from: x, to: x + width };
  }
}

function bar(context: CanvasRenderingContext2D, x: number, y: number, width: number, tone: string, colours: Palette): void {
  const colour = colours[tone] ?? "";
  context.fillStyle = colour;
  if (tone === "mute") {
    context.strokeStyle = colour;
    context.strokeRect(x + 0.5, y + 0.5, Math.max(width - 1, 1), BAR - 1);
  } else if (tone === "run" || tone === "warn") {
    context.globalAlpha = 0.55;
    context.fillRect(x, y, width, BAR);
    context.globalAlpha = 1;
    context.fillRect(x + width - 2, y, 2, BAR);
  } else context.fillRect(x, y, width, BAR);
  if (tone === "bad" && width > 6) hatch(context, x, y, width, colours.surface ?? "");
}

function hatch(context: CanvasRenderingContext2D, x: number, y: number, width: number, colour: string): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, BAR);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  for (let at = x - BAR; at < x + width; at += 6) {
    context.moveTo(at, y + BAR);
    context.lineTo(at + BAR, y);
  }
  context.stroke();
  context.restore();
}

function fitted(context: CanvasRenderingContext2D, text: string, most: number): string {
  if (context.measureText(text).width <= most) return text;
  let kept = text;
  while (kept.length > 1 && context.measureText(`${kept}…`).width > most) kept = kept.slice(0, -1);
  return `${kept}…`;
}
