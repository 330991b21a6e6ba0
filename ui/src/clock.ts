// Time passes here, not on the server: elapsed times, relative times, progress and running bars move in the browser.
import { absolute, away, clock, duration, relative } from "./format";
import { outlookText } from "./outlook";
import { moveProgress } from "./progress";
import { moveTimelines } from "./timeline";

const PERIOD_MS = 200;
let skew = 0; // the server's clock minus ours
let frozen: number | null = null; // a page that shows a moment of the past stays at it

export function serverNow(): number {
  return frozen ?? Date.now() + skew;
}

export function freezeClock(moment: string | undefined): void {
  frozen = moment ? Date.parse(moment) : null;
}

export function correctClock(serverTime: string | undefined): void {
  const rendered = serverTime ? Date.parse(serverTime) : NaN;
  // Only a skew that cannot be the page's own travel time is one.
  if (!Number.isNaN(rendered)) skew = Math.abs(rendered - Date.now()) > 3000 ? rendered - Date.now() : 0;
}

/** Bring everything below `root` that shows time to now. Called for new content before it is painted. */
export function refresh(root: ParentNode): void {
  const now = serverNow();
  for (const time of root.querySelectorAll("time")) showTime(time, now);
  showElapsed(root, now);
}

export function startClock(): void {
  correctClock(document.body.dataset.now);
  freezeClock(document.querySelector<HTMLElement>("[data-frozen]")?.dataset.frozen);
  refresh(document);
  moveProgress(serverNow());
  let last = 0;
  let lastRelative = 0;
  const frame = (at: number): void => {
    if (at - last >= PERIOD_MS) {
      last = at;
      const now = serverNow();
      showElapsed(document, now);
      moveProgress(now);
      moveTimelines(now);
      if (at - lastRelative >= 1000) {
        lastRelative = at;
        for (const time of document.querySelectorAll<HTMLTimeElement>('time[data-style="relative"], time[data-style="away"]')) showTime(time, now);
      }
    }
    requestAnimationFrame(frame); // stops by itself in a hidden tab
  };
  requestAnimationFrame(frame);
}

function showTime(time: HTMLTimeElement, now: number): void {
  const moment = Date.parse(time.dateTime);
  if (Number.isNaN(moment)) return;
  const style = time.dataset.style;
  const text =
    style === "relative" ? relative(moment, now) : style === "away" ? away(moment, now) : style === "clock" ? clock(moment) : absolute(moment);
  if (time.textContent !== text) time.textContent = text;
  if (!time.title) {
    const utc = time.dateTime.replace("T", " ").replace(/(\.\d{3})\d*/, "$1").replace("Z", " UTC");
    time.title = style === "relative" || style === "away" ? `${absolute(moment)}\n${utc}` : utc;
  }
}

function showElapsed(root: ParentNode, now: number): void {
  for (const element of root.querySelectorAll<HTMLElement>("[data-since]")) {
    const since = Date.parse(element.dataset.since ?? "");
    if (!Number.isNaN(since)) setText(element, duration(now - since));
  }
  for (const element of root.querySelectorAll<HTMLElement>("[data-outlook-since]")) {
    setText(element, outlookText(element, now));
  }
  for (const element of root.querySelectorAll<HTMLElement>("[data-eta-start]")) {
    const left = Date.parse(element.dataset.etaStart ?? "") + Number(element.dataset.etaExpected) - now;
    setText(element, left > 0 ? `about ${duration(left)} left` : `${duration(-left)} over the usual ${duration(Number(element.dataset.etaExpected))}`);
  }
}

function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
