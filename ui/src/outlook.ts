// When a run will be done, as time passes: of the runs before it, only those count that needed longer than this one has
// taken since. The twin of perfect_schemas/forecast.py and perfect_ui/outlook.py.
import { duration } from "./format";

export function outlookText(element: HTMLElement, now: number): string {
  const elapsed = now - Date.parse(element.dataset.outlookSince ?? "");
  const remaining = JSON.parse(element.dataset.outlookRemaining ?? "[]") as number[];
  const left = remaining.filter((ms) => ms > elapsed);
  if (!left.length) return `takes longer than each of the last ${remaining.length} runs`;
  return `done in about ${duration(quantile(left, 0.5) - elapsed)}, 90 %: within ${duration(quantile(left, 0.9) - elapsed)}`;
}

function quantile(ascending: number[], share: number): number {
  const place = share * (ascending.length - 1);
  const low = Math.floor(place);
  const below = ascending[low] ?? 0;
  return below + ((ascending[low + 1] ?? below) - below) * (place - low);
}
