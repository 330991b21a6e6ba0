// What is drawn in the browser and not sent as a fragment hears here that its run has changed: at most once a second, and
// the more rarely the longer it takes to ask and to draw.
const PERIOD_MS = 1000;
const REST = 5; // times as long as the last time took
const listeners = new Set<() => void | Promise<void>>();
let timer: number | undefined;
let next = 0;
let isBusy = false;
let isLate = false;
let heard = 0; // the EVENTS sequence up to which the stream has been applied

/** position: on the stream, `<EVENTS sequence>.<LOGS sequence>`. */
export function heardUpTo(position: string): void {
  heard = Math.max(heard, Number.parseInt(position, 10) || 0);
}

/** Whether an answer as of `position` lacks what the stream has said: the read model is a moment behind it. */
export function isBehind(position: string | undefined): boolean {
  return position !== undefined && Number.parseInt(position, 10) < heard;
}

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
