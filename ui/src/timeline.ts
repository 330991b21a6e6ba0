// Lets the running bars of a timeline grow and its scale follow. Bars are in ms, so only view boxes and ticks change.
import { tickLabel } from "./format";

const SVG = "http://www.w3.org/2000/svg";
// The same steps as in perfect_ui/timeline.py.
const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500,
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200].map((second) => second * 1000),
];

export function moveTimelines(now: number): void {
  for (const timeline of document.querySelectorAll<HTMLElement>(".timeline[data-live]")) {
    const span = Math.max(now - Date.parse(timeline.dataset.start ?? ""), Number(timeline.dataset.span));
    if (!Number.isFinite(span) || span <= 0) continue;
    for (const track of timeline.querySelectorAll<SVGElement>(".track")) {
      track.setAttribute("viewBox", `0 0 ${span} 10`);
      for (const bar of track.querySelectorAll("[data-live]")) {
        bar.setAttribute("width", String(Math.max(0, span - Number(bar.getAttribute("x")))));
      }
    }
    drawTicks(timeline, span);
  }
}

/** The round time between two marks, so that there are at most `most` of them. */
export function tickStep(span: number, most = 8): number {
  let step = STEPS.find((size) => span / size <= most) ?? 86_400_000;
  while (span / step > most) step *= 2;
  return step;
}

function drawTicks(timeline: HTMLElement, span: number): void {
  const axis = timeline.querySelector(".axis");
  const grid = timeline.querySelector(".grid");
  if (!axis || !grid) return;
  const step = tickStep(span);
  const count = Math.floor(span / step) + 1;
  fit(axis, "text", count);
  fit(grid, "line", count);
  for (let n = 0; n < count; n++) {
    const at = `${((100 * n * step) / span).toFixed(3)}%`;
    const text = axis.children[n];
    const line = grid.children[n];
    text?.setAttribute("x", at);
    text?.setAttribute("y", "11");
    const label = tickLabel(n * step);
    if (text && text.textContent !== label) text.textContent = label;
    line?.setAttribute("x1", at);
    line?.setAttribute("x2", at);
    line?.setAttribute("y1", "0");
    line?.setAttribute("y2", "100%");
  }
}

function fit(parent: Element, tag: string, count: number): void {
  while (parent.children.length > count) parent.lastElementChild?.remove();
  while (parent.children.length < count) parent.append(document.createElementNS(SVG, tag));
}
