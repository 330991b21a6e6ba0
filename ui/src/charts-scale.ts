// The scale of durations: from zero up, or logarithmic where something far away would press all others to the ground.
import type uPlot from "uplot";

const FAR = 8; // times the median

export interface DurationScale {
  scale: uPlot.Scale;
  isLogarithmic: boolean;
  /** The least duration that has a place. */
  floor: number;
}

/** durations: ms, all that are to be seen. */
export function durationScale(durations: (number | null | undefined)[]): DurationScale {
  const known = durations.filter((ms): ms is number => typeof ms === "number").sort((a, b) => a - b);
  const most = Math.max(1, known.at(-1) ?? 1);
  const median = known[Math.floor(known.length / 2)] ?? most;
  const floor = Math.max(0.5, (known.find((ms) => ms > 0) ?? 1) / 1.6);
  const isLogarithmic = median >= 1 && most > FAR * median;
  return isLogarithmic
    ? { scale: { distr: 3, range: () => [floor, most * 1.5] }, isLogarithmic, floor }
    : { scale: { range: () => [0, most * 1.06] }, isLogarithmic, floor: 0 };
}
