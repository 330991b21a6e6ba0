// How long the tasks of a flow took, run by run: a line a task, those that take longest.
import type { FlowHistory } from "./charts-data";
import { axis, type Drawing } from "./charts-frame";
import type { Palette } from "./charts-palette";
import { durationScale } from "./charts-scale";
import { absolute, duration } from "./format";

const MOST = 6;
const COLOURS: (keyof Palette)[] = ["accent", "point", "warn", "pause", "bad", "wait"];
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3], [10, 4]]; // so that colour is not all that tells them apart

export function drawTasks(history: FlowHistory): Drawing {
  const { runs } = history;
  const tasks = history.tasks.slice(0, MOST);
  const rest = history.tasks.length - tasks.length;
  const { scale, axis: durations, isLogarithmic, floor } = durationScale(tasks.flatMap((task) => task.duration_ms));
  const line = (points: (number | null)[]): (number | null)[] => points.map((ms) => (ms === null ? null : Math.max(ms, floor)));
  return {
    words: tasks.length
      ? `Mean duration in each run${rest ? `, of the ${tasks.length} tasks that take longest` : ""}.${isLogarithmic ? " The scale is logarithmic." : ""}`
      : "No task has completed in these runs yet.",
    empty: tasks.length === 0,
    height: 210,
    data: [runs.id.map((_, n) => n), ...tasks.map((task) => line(task.duration_ms))],
    href: (n) => (runs.id[n] ? `/runs/${runs.id[n]}` : undefined),
    tip: (n) => [
      ...tasks.filter((task) => typeof task.duration_ms[n] === "number").map((task) => `${task.name} ${duration(task.duration_ms[n] ?? 0)}`),
      ...(runs.at[n] === undefined ? [] : [absolute(runs.at[n])]),
    ],
    options: (colours) => ({
      legend: { show: true, live: false },
      padding: [12, 8, 10, 0],
      scales: {
        x: { time: false, range: (_, low, high) => (low === high ? [low - 1, high + 1] : [low - 0.5, high + 0.5]) },
        y: scale,
      },
      series: [
        { label: "run" },
        ...tasks.map((task, n) => ({
          label: task.name,
          stroke: colours[COLOURS[n] ?? "ink"],
          dash: DASHES[n],
          width: 1.6,
          spanGaps: true,
          points: { show: runs.id.length < 40, size: 5 },
        })),
      ],
      axes: [
        axis(colours, { show: false }),
        axis(colours, durations),
      ],
    }),
  };
}
