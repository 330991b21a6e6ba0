// The one live connection of a tab. The protocol is in README.md, "The stream".
//
// A plain EventSource and not htmx's SSE extension: that one never retries a connection that fails the first time, gives
// up the stream in the moment a tab is hidden, and cannot notice a silent, half-open connection.
import { correctClock } from "./clock";
import { applyFragments, morph } from "./fragments";
import { heardUpTo, tellLive } from "./live";

const SILENCE_MS = 40_000;
const HIDDEN_MS = 60_000;
const BANNER_MS = 1000;
const RETRY_MS = { first: 500, most: 15_000 };

type State = "connecting" | "live" | "lost" | "paused";

export function startStream(): void {
  const { seq, topics } = document.body.dataset;
  if (!seq || !topics) return;
  const stream = new Stream(topics, seq);
  stream.open();
  let hiding: number | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = window.setTimeout(() => stream.pause(), HIDDEN_MS);
    else stream.resume();
  });
  addEventListener("online", () => stream.resume());
  addEventListener("pagehide", () => stream.pause());
  addEventListener("pageshow", (event) => event.persisted && stream.resume());
}

class Stream {
  private source: EventSource | null = null;
  private state: State = "connecting";
  private failures = 0;
  private retry: number | undefined;
  private watchdog: number | undefined;
  private banner: number | undefined;
  private work: Promise<void> = Promise.resolve(); // messages are applied one after the other
  private generation = 0; // what came before a resync is not applied after it

  constructor(
    private readonly topics: string,
    private seq: string,
  ) {}

  open(): void {
    this.close();
    const source = new EventSource(`/events?topics=${encodeURIComponent(this.topics)}&after=${encodeURIComponent(this.seq)}`);
    this.source = source;
    source.onopen = () => {
      this.failures = 0;
      this.show("live");
      this.heard();
    };
    source.onmessage = (message) => {
      this.heard();
      const { generation } = this;
      this.enqueue(async () => {
        if (generation !== this.generation) return;
        await applyFragments(message.data as string);
        if (!message.lastEventId) return;
        this.seq = message.lastEventId;
        heardUpTo(this.seq);
      });
    };
    source.addEventListener("ping", () => this.heard());
    source.addEventListener("hello", (message) => {
      this.heard();
      const { assets } = document.body.dataset;
      if (assets && message.data !== assets) showBanner("A new version of Perfect is running.", "Reload");
    });
    source.addEventListener("resync", () => {
      this.heard();
      this.generation += 1;
      this.close();
      this.enqueue(() => this.resync());
    });
    // We reconnect ourselves, with jitter and from the last position that was applied.
    source.onerror = () => this.failed();
  }

  pause(): void {
    if (this.state === "paused") return;
    this.close();
    clearTimeout(this.retry);
    this.show("paused");
  }

  resume(): void {
    if (this.state !== "paused" && this.state !== "lost") return;
    this.failures = 0;
    clearTimeout(this.retry);
    if (this.state === "paused") this.show("connecting");
    this.enqueue(async () => this.open());
  }

  private enqueue(step: () => Promise<void>): void {
    this.work = this.work.then(step).catch((error: unknown) => console.error("A live update failed.", error));
  }

  private async resync(): Promise<void> {
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (!response.ok) throw new Error(`${response.status}`);
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      const main = fresh.getElementById("main");
      const present = document.getElementById("main");
      if (!main || !present || !fresh.body.dataset.seq) throw new Error("no page");
      document.title = fresh.title;
      correctClock(fresh.body.dataset.now);
      await morph(present, main);
      tellLive();
      this.seq = fresh.body.dataset.seq;
      this.open();
    } catch {
      this.failed();
    }
  }

  private heard(): void {
    clearTimeout(this.watchdog);
    this.watchdog = window.setTimeout(() => this.failed(), SILENCE_MS);
  }

  private failed(): void {
    this.close();
    this.show("lost");
    this.failures += 1;
    const delay = Math.min(RETRY_MS.first * 2 ** (this.failures - 1), RETRY_MS.most) * (0.7 + 0.6 * Math.random());
    clearTimeout(this.retry);
    this.retry = window.setTimeout(() => this.enqueue(async () => this.open()), delay);
  }

  private close(): void {
    this.source?.close();
    this.source = null;
    clearTimeout(this.watchdog);
  }

  private show(state: State): void {
    this.state = state;
    const place = document.getElementById("link-state");
    if (place) {
      place.dataset.state = state;
      const label = place.querySelector("span");
      if (label && label.textContent !== state) label.textContent = state;
    }
    clearTimeout(this.banner);
    if (state === "lost") {
      this.banner = window.setTimeout(() => showBanner("Connection lost. What you see may be old; trying again.", "Try now", () => this.resume()), BANNER_MS);
    } else if (state === "live") {
      hideBanner();
    }
  }
}

function showBanner(text: string, action: string, act: () => void = () => location.reload()): void {
  const banner = document.getElementById("banner");
  if (!banner) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button plain";
  button.textContent = action;
  button.addEventListener("click", act);
  banner.replaceChildren(text, button);
  banner.hidden = false;
}

function hideBanner(): void {
  const banner = document.getElementById("banner");
  if (banner) banner.hidden = true;
}
