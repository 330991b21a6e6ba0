// The log panel: appends lines as they come and follows the end. Paused, by the button or by scrolling up, it counts and
// holds what comes. It keeps a bounded number of lines; the link above it leads to those before them.
import { refresh } from "./clock";

const NEAR_PX = 8;

let panel: Panel | null = null;

export function startLogs(): void {
  const list = document.getElementById("run-logs");
  if (list) panel = new Panel(list);
}

export function appendLogs(id: string, lines: DocumentFragment, skipped: number): void {
  if (panel?.list.id === id) panel.take([...lines.children] as HTMLElement[], skipped);
}

class Panel {
  private held: HTMLElement[] = [];
  private meanwhile = 0; // lines that came while it was paused
  private hasGap = false; // lines are missing between what is shown and what is held
  private isPaused = false;
  private last: number;
  private readonly keep: number;
  private readonly button = document.getElementById("log-pause") as HTMLButtonElement | null;

  constructor(readonly list: HTMLElement) {
    this.keep = Number(list.dataset.keep ?? 0) || Infinity;
    this.last = this.lastShown();
    const level = document.getElementById("log-level") as HTMLSelectElement | null;
    level?.addEventListener("change", () => {
      list.dataset.level = level.value;
      if (!this.isPaused) this.toEnd();
    });
    const isLinked = location.hash.startsWith("#line-");
    if (!isLinked && list.dataset.still === undefined) this.toEnd();
    if (!this.button) return;
    this.say();
    this.button.addEventListener("click", () => (this.isPaused ? this.resume() : this.pause()));
    if (isLinked) this.pause();
    let before = list.scrollTop;
    list.addEventListener("scroll", () => {
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
      if (!this.isPaused && !atEnd && list.scrollTop < before) this.pause(); // scrolling up means reading
      before = list.scrollTop;
    }, { passive: true });
  }

  take(lines: HTMLElement[], skipped: number): void {
    this.last = Math.max(this.last, this.lastShown()); // the page may have been asked for again
    const fresh = lines.filter((line) => Number(line.dataset.seq) > this.last); // others were sent again after a reconnect
    const newest = fresh[fresh.length - 1];
    if (newest) this.last = Number(newest.dataset.seq);
    if (skipped) {
      this.held = [];
      this.hasGap = true;
    }
    this.held.push(...fresh);
    if (this.held.length > this.keep) {
      this.held.splice(0, this.held.length - this.keep);
      this.hasGap = true;
    }
    if (this.isPaused) this.meanwhile += fresh.length + skipped;
    else this.show();
    this.say();
  }

  private lastShown(): number {
    return Number((this.list.lastElementChild as HTMLElement | null)?.dataset.seq ?? -1);
  }

  private show(): void {
    const { list } = this;
    const { hasGap } = this;
    if (hasGap) list.replaceChildren();
    const lines = document.createDocumentFragment();
    const shown = this.lastShown();
    lines.append(...this.held.filter((line) => Number(line.dataset.seq) > shown));
    refresh(lines);
    this.held = [];
    this.hasGap = false;
    list.append(lines);
    const beyond = list.children.length - this.keep;
    if (beyond > 0) {
      const range = document.createRange();
      range.setStartBefore(list.children[0]!);
      range.setEndAfter(list.children[beyond - 1]!);
      range.deleteContents();
    }
    if (hasGap || beyond > 0) this.showEarlier();
    this.toEnd();
  }

  /** What has left the list is before its first line. */
  private showEarlier(): void {
    const place = document.getElementById("logs-before");
    const link = place?.querySelector("a");
    const first = (this.list.firstElementChild as HTMLElement | null)?.dataset.seq;
    if (!place || !link?.dataset.before || !first) return;
    link.href = link.dataset.before + first;
    place.hidden = false;
  }

  private pause(): void {
    this.isPaused = true;
    this.meanwhile = 0;
    this.say();
  }

  private resume(): void {
    this.isPaused = false;
    this.say();
    this.show();
  }

  private say(): void {
    if (!this.button) return;
    this.button.hidden = false;
    this.button.textContent = this.isPaused ? "Resume" : "Pause";
    this.button.setAttribute("aria-pressed", String(this.isPaused));
    const place = document.getElementById("log-held");
    if (!place) return;
    const count = this.meanwhile.toLocaleString("en");
    place.textContent = this.isPaused && this.meanwhile ? `${count} new ${this.meanwhile === 1 ? "line" : "lines"}` : this.isPaused ? "paused" : "";
  }

  private toEnd(): void {
    this.list.scrollTop = this.list.scrollHeight;
  }
}
