// The scale of durations: from zero up, or logarithmic where something far away would press all others to the ground.
import type uPlot from "uplot";
import { tickLabel } from "./format";

const FAR = 8; // times the median

/** axis: what belongs to the scale; its look comes from `axis()`. */
export interface DurationScale {
  scale: uPlot.Scale;
  axis: uPlot.Axis;
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
  const values = (_: uPlot, splits: number[]): string[] => splits.map((ms) => tickLabel(Math.round(ms * 1000) / 1000));
  if (!isLogarithmic) return { scale: { range: () => [0, most * 1.06] }, axis: { size: 62, values }, isLogarithmic, floor: 0 };
  const [least, greatest] = [floor, most * 1.5];
  const axis = { size: 62, values, splits: () => roundBetween(least, greatest), filter: (_: uPlot, splits: number[]) => splits };
  return { scale: { distr: 3, range: () => [least, greatest] }, axis, isLogarithmic, floor };
}

/** 1, 2, 5, 10, 20 … as far as they lie between; over many powers, the powers alone. */
function roundBetween(least: number, greatest: number): number[] {
  const powers = Math.log10(greatest / least);
  const found: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(least)); power <= greatest; power *= 10) {
    for (const size of powers > 3.5 ? [1] : [1, 2, 5]) {
      if (size * power >= least && size * power <= greatest) found.push(size * power);
    }
  }
  return found;
}
