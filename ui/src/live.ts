// What is drawn in the browser and not sent as a fragment hears here that its run has changed: at most once a second, and
// the more rarely the longer it takes to ask and to draw.
const PERIOD_MS = 1000;
const REST = 5; // times as long as the last time took
const listeners = new Set<() => void | Promise<void>>();
let timer: number | undefined;
let next = 0;
let isBusy = false;
let isLate = false;

export function onLive(listener: () => void | Promise<void>): void {
  listeners.add(listener);
}

export function tellLive(): void {
  if (!listeners.size) return;
  if (isBusy) isLate = true;
  else timer ??= window.setTimeout(() => void tell(), Math.max(0, next - performance.now()));
}

async function tell(): Promise<void> {
  isBusy = true;
  const begun = performance.now();
  try {
    await Promise.all([...listeners].map((listener) => listener()));
  } catch {
    isLate = false; // the connection is gone: the banner says so, and what comes with the next message tells us again
  } finally {
    const now = performance.now();
    next = now + Math.max(PERIOD_MS, REST * (now - begun));
    timer = undefined;
    isBusy = false;
    if (isLate) {
      isLate = false;
      tellLive();
    }
  }
}
