// How runs ended, day by day (UTC): bars that stand on each other, completed at the bottom, failed on top.
import uPlot from "uplot";
import type { Outcomes } from "./charts-data";
import { axis, type Drawing } from "./charts-frame";

const DAY_MS = 86_400_000;
const SHORT = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });
const LEAST_DAYS = 7;

export function drawOutcomes(outcomes: Outcomes): Drawing {
  const known = new Map(outcomes.day.map((day, n) => [Date.parse(day), n]));
  const last = Math.max(...known.keys());
  const first = Math.min(...known.keys(), last - (LEAST_DAYS - 1) * DAY_MS);
  const days: number[] = [];
  if (known.size > 0) for (let day = first; day <= last; day += DAY_MS) days.push(day);
  const column = (name: "completed" | "failed" | "cancelled"): number[] =>
    days.map((day) => outcomes[name][known.get(day) ?? -1] ?? 0);
  const [completed, failed, cancelled] = [column("completed"), column("failed"), column("cancelled")];
  const ended = sum(completed) + sum(failed);
  const rate = (bad: number, all: number): string => `${all ? Math.round((1000 * bad) / all) / 10 : 0} %`;
  const upTo = (...parts: number[][]): number[] => days.map((_, n) => parts.reduce((all, part) => all + (part[n] ?? 0), 0));
  return {
    words: ended ? `${sum(failed)} of ${ended} failed in 30 days: ${rate(sum(failed), ended)}.` : "No run has ended in the last 30 days.",
    empty: known.size === 0,
    height: 210,
    data: [days.map((_, n) => n), upTo(completed, cancelled, failed), upTo(completed, cancelled), completed],
    tip: (n) => [
      `${SHORT.format(days[n] ?? 0)} (UTC)`,
      `${completed[n] ?? 0} completed`,
      `${failed[n] ?? 0} failed, ${rate(failed[n] ?? 0, (completed[n] ?? 0) + (failed[n] ?? 0))}`,
      ...(cancelled[n] ? [`${cancelled[n]} cancelled`] : []),
    ],
    options: (colours) => {
      const bars = uPlot.paths.bars?.({ size: [0.7, 28] });
      const series = (fill: string): uPlot.Series => ({ fill, width: 0, points: { show: false }, ...(bars && { paths: bars }) });
      return {
        cursor: { points: { show: false } },
        scales: {
          x: { time: false, range: () => [-0.6, days.length - 0.4] },
          y: { range: (_, __, high) => [0, Math.max(1, high * 1.06)] },
        },
        series: [{}, series(colours.bad), series(colours.mute), series(colours.good)],
        axes: [
          axis(colours, { incrs: [1, 2, 5, 7, 14], space: 60, size: 32, grid: { show: false }, values: (_, splits) => splits.map((n) => (days[n] === undefined ? "" : SHORT.format(days[n]))) }),
          axis(colours, { size: 42, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000, 50000, 100000] }),
        ],
      };
    },
  };
}

function sum(numbers: number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}
