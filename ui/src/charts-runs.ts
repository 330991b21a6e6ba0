// A run history: one step a run, its duration as a mark, the band mean ± σ, and a line where the version changes.
import type uPlot from "uplot";
import type { RunPoints, Usual } from "./charts-data";
import { axis, type Drawing } from "./charts-frame";
import type { Palette } from "./charts-palette";
import { durationScale } from "./charts-scale";
import { absolute, duration } from "./format";

const DAY_MS = 86_400_000;
const SOON_MS = 600_000;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const SHORT_TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const LONG_TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
type Kind = "completed" | "slow" | "critical" | "failed" | "other";

export function drawRuns(runs: RunPoints, usual: Usual): Drawing {
  const kinds = runs.id.map((_, n) => kindOf(runs.state[n] ?? "", runs.severity[n] ?? null));
  const mean = usual.avg_duration_ms;
  const sigma = usual.std_dev_ms ?? 0;
  const { scale, axis: durations, isLogarithmic, floor } = durationScale([...runs.duration_ms, mean === null ? null : mean + sigma]);
  return {
    words: `${inWords(kinds, usual)}${isLogarithmic ? " The scale is logarithmic." : ""}`,
    empty: runs.id.length === 0,
    height: 240,
    data: [runs.id.map((_, n) => n), runs.duration_ms],
    href: (n) => (runs.id[n] ? `/runs/${runs.id[n]}` : undefined),
    tip: (n) => tipOf(runs, n, usual),
    options: (colours) => ({
      scales: {
        x: { time: false, range: (_, low, high) => (low === high ? [low - 1, high + 1] : [low - 0.5, high + 0.5]) },
        y: scale,
      },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [
        axis(colours, { incrs: STEPS, space: 90, size: 32, grid: { show: false }, values: (_, splits) => splits.map((n) => timeOf(runs.at, n)) }),
        axis(colours, durations),
      ],
      hooks: {
        drawAxes: [(chart) => drawBand(chart, mean, sigma, floor, colours)],
        draw: [
          (chart) => {
            drawVersions(chart, runs.flow_version, colours);
            drawMarks(chart, runs.duration_ms.map((ms) => Math.max(ms ?? 0, floor)), kinds, colours);
          },
        ],
      },
    }),
  };
}

function kindOf(state: string, severity: string | null): Kind {
  if (state === "FAILED" || state === "CRASHED") return "failed";
  if (state !== "COMPLETED") return "other";
  return severity === "critical" ? "critical" : severity ? "slow" : "completed";
}

function inWords(kinds: Kind[], usual: Usual): string {
  if (kinds.length === 0) return "Nothing has ended yet: what runs to its end is drawn here.";
  const count = (...wanted: Kind[]): number => kinds.filter((kind) => wanted.includes(kind)).length;
  const parts = [`${count("completed", "slow", "critical")} completed`];
  if (count("failed")) parts.push(`${count("failed")} failed`);
  if (count("other")) parts.push(`${count("other")} cancelled`);
  const usually = usual.avg_duration_ms === null ? "" : ` Usually ${duration(usual.avg_duration_ms)}${usual.std_dev_ms === null ? "" : ` ± ${duration(usual.std_dev_ms)}`};`;
  const slow = count("slow", "critical");
  const outliers = usually ? ` ${slow || "none"} unusually slow.` : "";
  return `The last ${kinds.length}: ${parts.join(", ")}.${usually}${outliers}`;
}

function tipOf(runs: RunPoints, n: number, usual: Usual): string[] {
  const ms = runs.duration_ms[n];
  const state = (runs.state[n] ?? "").toLowerCase();
  const lines = [ms === null || ms === undefined ? state : `${state} in ${duration(ms)}`];
  if (ms !== null && ms !== undefined && usual.avg_duration_ms !== null && usual.std_dev_ms) {
    const away = (ms - usual.avg_duration_ms) / usual.std_dev_ms;
    lines.push(`${Math.abs(away).toFixed(1)}σ ${away > 0 ? "slower" : "faster"} than the mean`);
  }
  if (runs.severity[n]) lines.push(`performance ${runs.severity[n]}`);
  if (runs.at[n] !== undefined) lines.push(absolute(runs.at[n]));
  if (runs.flow_version[n]) lines.push(`version ${runs.flow_version[n]}`);
  return lines;
}

/** The place of a run as its time: of one day the time, otherwise the day. */
function timeOf(at: number[], n: number): string {
  const moment = at[n];
  if (moment === undefined) return "";
  const span = (at.at(-1) ?? moment) - (at[0] ?? moment);
  return (span < SOON_MS ? LONG_TIME : span < DAY_MS ? SHORT_TIME : SHORT_DAY).format(moment);
}

function drawBand(chart: uPlot, mean: number | null, sigma: number, floor: number, colours: Palette): void {
  if (mean === null) return;
  const { ctx, bbox } = chart;
  const place = (ms: number): number => Math.min(Math.max(chart.valToPos(Math.max(ms, floor), "y", true), bbox.top), bbox.top + bbox.height);
  ctx.save();
  ctx.globalAlpha = 0.13;
  ctx.fillStyle = colours.accent;
  ctx.fillRect(bbox.left, place(mean + sigma), bbox.width, place(mean - sigma) - place(mean + sigma));
  ctx.globalAlpha = 0.8;
  ctx.strokeStyle = colours.accent;
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, place(mean));
  ctx.lineTo(bbox.left + bbox.width, place(mean));
  ctx.stroke();
  ctx.restore();
}

function drawVersions(chart: uPlot, versions: (string | null)[], colours: Palette): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.fillStyle = colours.soft;
  ctx.strokeStyle = colours["line-strong"];
  ctx.font = `${10 * devicePixelRatio}px ui-monospace, "DejaVu Sans Mono", monospace`;
  ctx.lineWidth = devicePixelRatio;
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  let free = bbox.left;
  versions.forEach((version, n) => {
    if (n === 0 || !version || version === versions[n - 1]) return;
    const x = Math.round(chart.valToPos(n - 0.5, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const wide = ctx.measureText(version).width;
    if (x < free || x + wide + 6 > bbox.left + bbox.width) return; // no room beside the one before
    ctx.fillText(version, x + 4 * devicePixelRatio, bbox.top + 10 * devicePixelRatio);
    free = x + wide + 12 * devicePixelRatio;
  });
  ctx.restore();
}

/** Told apart by shape, not by colour alone: a dot, a triangle that is full if critical, a cross, a ring. */
function drawMarks(chart: uPlot, durations: number[], kinds: Kind[], colours: Palette): void {
  const { ctx, bbox } = chart;
  const step = bbox.width / Math.max(1, (chart.scales.x?.max ?? 1) - (chart.scales.x?.min ?? 0));
  const size = Math.min(4, Math.max(1.8, step / 3 / devicePixelRatio)) * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top - size * 2, bbox.width, bbox.height + size * 4);
  ctx.clip();
  ctx.lineWidth = 1.6 * devicePixelRatio;
  kinds.forEach((kind, n) => {
    const x = chart.valToPos(n, "x", true);
    const y = chart.valToPos(durations[n] ?? 0, "y", true);
    if (x < bbox.left - size || x > bbox.left + bbox.width + size) return;
    ctx.beginPath();
    if (kind === "failed") {
      ctx.strokeStyle = colours.bad;
      const arm = size * 1.1;
      ctx.moveTo(x - arm, y - arm);
      ctx.lineTo(x + arm, y + arm);
      ctx.moveTo(x + arm, y - arm);
      ctx.lineTo(x - arm, y + arm);
      ctx.stroke();
    } else if (kind === "slow" || kind === "critical") {
      const arm = size * 1.6;
      ctx.moveTo(x, y - arm);
      ctx.lineTo(x + arm, y + arm * 0.8);
      ctx.lineTo(x - arm, y + arm * 0.8);
      ctx.closePath();
      ctx.strokeStyle = kind === "critical" ? colours.bad : colours.warn;
      ctx.fillStyle = kind === "critical" ? colours.bad : colours.surface;
      ctx.fill();
      ctx.stroke();
    } else {
      ctx.arc(x, y, size, 0, 2 * Math.PI);
      ctx.fillStyle = kind === "other" ? colours.surface : colours.good;
      ctx.strokeStyle = colours.mute;
      ctx.fill();
      if (kind === "other") ctx.stroke();
    }
  });
  ctx.restore();
}
