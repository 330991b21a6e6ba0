// A duration against what is usual, as perfect_ui/spread.py draws it: the band mean ± σ, the mean, a mark at the value.
import { sigmas, type Task } from "./columns";
import { duration } from "./format";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const EDGE = 3;

export function usualBar(task: Task): SVGSVGElement | null {
  if (task.mean === null || task.samples < 2) return null;
  const { mean, took } = task;
  const std = task.std ?? 0;
  const longest = Math.max(mean + 2 * std, took ?? 0, 1);
  const place = (ms: number): number => EDGE + ((WIDTH - 2 * EDGE) * Math.min(Math.max(ms, 0), longest)) / longest;
  const away = sigmas(task) ?? 0;
  const bar = shape("svg", { class: `spread tone-${away <= 2 ? "run" : away <= 4 ? "warn" : "bad"}`, viewBox: "0 0 120 14", role: "img" }) as SVGSVGElement;
  const how = std && took !== null ? `; ${Math.abs(away).toFixed(1)}σ ${away > 0 ? "slower" : "faster"}` : "";
  bar.setAttribute("aria-label", `usually ${duration(mean)} ± ${duration(std)}, ${task.samples} times${how}`);
  const low = place(mean - std);
  bar.append(
    shape("line", { class: "axis-line", x1: 0, x2: WIDTH, y1: 7, y2: 7 }),
    shape("rect", { class: "band", x: low, width: place(mean + std) - low, y: 2, height: 10, rx: 2 }),
    shape("line", { class: "mean", x1: place(mean), x2: place(mean), y1: 1, y2: 13 }),
  );
  if (took !== null) bar.append(shape("circle", { class: "mark", cx: place(took), cy: 7, r: 3.5 }));
  return bar;
}

function shape(tag: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}
