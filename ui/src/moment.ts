// The time machine: a slider over the events of a run. What is behind it is drawn by the server, as it was then.
import { freezeClock, refresh } from "./clock";
import { morph } from "./fragments";
import { clock } from "./format";

interface Moments {
  step: number[];
  at: number[];
  kind: number[];
  task: number[];
  kinds: string[];
  tasks: string[];
}

export function startMoment(): void {
  const place = document.getElementById("moment");
  const source = place?.dataset.moments;
  if (place && source) void new Machine(place.dataset.run ?? "", source).start();
}

class Machine {
  private moments: Moments | null = null;
  private seq: number[] = []; // on the stream, of each moment
  private wanted = -1;
  private isBusy = false;

  constructor(
    private readonly run: string,
    private readonly source: string,
  ) {}

  async start(): Promise<void> {
    const response = await fetch(this.source);
    if (!response.ok) return; // the form still works
    this.moments = (await response.json()) as Moments;
    let seq = 0;
    this.seq = this.moments.step.map((step) => (seq += step));
    document.addEventListener("input", (event) => {
      if ((event.target as Element).id === "moment-slider") this.go(Number((event.target as HTMLInputElement).value));
    });
    document.addEventListener("click", (event) => {
      const id = (event.target as Element | null)?.closest("a")?.id;
      const slider = document.getElementById("moment-slider") as HTMLInputElement | null;
      if (!slider || (id !== "moment-prior" && id !== "moment-following")) return;
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.go(Number(slider.value) + (id === "moment-prior" ? -1 : 1));
    });
    const button = document.querySelector<HTMLElement>('#moment button[type="submit"]');
    if (button) button.hidden = true;
    const slider = document.getElementById("moment-slider") as HTMLInputElement | null;
    if (slider && slider.value !== slider.defaultValue) this.go(Number(slider.value)); // moved while this was loading
  }

  private go(n: number): void {
    const { moments } = this;
    if (!moments || this.seq[n] === undefined) return;
    this.wanted = n;
    const said = document.getElementById("moment-said");
    const task = moments.tasks[moments.task[n] ?? -1];
    if (said) said.textContent = `Event ${n + 1} of ${this.seq.length}: ${moments.kinds[moments.kind[n] ?? 0]} ${task ?? ""}, ${clock(moments.at[n] ?? 0)}`;
    if (!this.isBusy) void this.show();
  }

  /** One question at a time; while it is answered the slider may move on, and only where it stands then is asked for. */
  private async show(): Promise<void> {
    this.isBusy = true;
    try {
      for (let shown = -1; shown !== this.wanted; ) {
        shown = this.wanted;
        const url = `/runs/${this.run}?at=${this.seq[shown]}`;
        const response = await fetch(url, { headers: { accept: "text/html" } });
        if (!response.ok) return;
        const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
        const main = fresh.getElementById("main");
        const present = document.getElementById("main");
        if (!main || !present) return;
        freezeClock(fresh.getElementById("moment")?.dataset.frozen);
        if (shown !== this.wanted) continue;
        const slider = main.querySelector<HTMLInputElement>("#moment-slider");
        slider?.setAttribute("value", String(shown));
        main.querySelector('#moment button[type="submit"]')?.setAttribute("hidden", "");
        await morph(present, main);
        const now = document.getElementById("moment-slider") as HTMLInputElement | null;
        if (now && shown === this.wanted) now.value = String(shown);
        document.title = fresh.title;
        history.replaceState(null, "", url);
        refresh(document);
      }
    } finally {
      this.isBusy = false;
    }
  }
}
