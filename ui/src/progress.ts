// The time-based part of progress: a running task counts min(elapsed / expected, 0.95) until it reports more.
interface ActiveTask {
  share: number; // its weight over the run's whole weight, 0-1
  start_time: string;
  expected_ms: number | null;
  progress: number;
}

const MOST = 0.95;
const reached = new Map<string, number>(); // per run or task and attempt: progress never goes backwards

export function moveProgress(now: number): void {
  for (const bar of document.querySelectorAll<HTMLElement>("[data-progress]")) {
    const reported = Number(bar.dataset.progress);
    let value = reported;
    if (bar.dataset.live !== undefined) {
      const key = bar.dataset.key ?? "";
      value = Math.max(value, estimate(bar, reported, now), reached.get(key) ?? 0);
      reached.set(key, value);
    }
    draw(bar, value);
  }
}

function estimate(bar: HTMLElement, reported: number, now: number): number {
  if (bar.dataset.active) {
    const tasks = JSON.parse(bar.dataset.active) as ActiveTask[];
    const gained = tasks.reduce((sum, task) => {
      const fraction = fractionOf(task.start_time, task.expected_ms, now);
      return sum + task.share * Math.max(0, fraction * 100 - task.progress);
    }, 0);
    return Math.min(reported + gained, 99);
  }
  if (bar.dataset.start) return 100 * fractionOf(bar.dataset.start, Number(bar.dataset.expected), now);
  return reported;
}

function fractionOf(start: string, expected: number | null, now: number): number {
  return expected ? Math.min(Math.max(0, now - Date.parse(start)) / expected, MOST) : 0;
}

function draw(bar: HTMLElement, value: number): void {
  const width = value.toFixed(2);
  const fill = bar.querySelector(".fill");
  if (fill && fill.getAttribute("width") !== width) {
    fill.setAttribute("width", width);
    bar.setAttribute("aria-valuenow", String(Math.floor(value)));
  }
  const text = `${Math.floor(value)}%`;
  for (const label of document.querySelectorAll(`[data-progress-text="${CSS.escape(bar.dataset.key ?? "")}"]`)) {
    if (label.textContent !== text) label.textContent = text;
  }
}
