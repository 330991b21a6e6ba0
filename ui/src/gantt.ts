// The timeline tab of a run: a canvas over a scroller, zoomed with ctrl and the wheel, moved by dragging.
import { Columns, sigmas, type Task } from "./columns";
import { serverNow } from "./clock";
import { duration } from "./format";
import { AXIS, paint, palette, placeOf, ROW, type Palette, type View } from "./gantt-paint";
import { anyLive, rowsOf, type Row } from "./gantt-rows";
import { onLive } from "./live";

const MOST_HEIGHT = 620;
const LIVE_MS = 200;

export function startGantt(): void {
  const host = document.getElementById("gantt");
  if (host?.dataset.src) void new Gantt(host, host.dataset.src).start();
}

class Gantt {
  private readonly columns: Columns;
  private readonly scroller = document.createElement("div");
  private readonly canvas = document.createElement("canvas");
  private readonly spacer = document.createElement("div");
  private readonly tip = document.createElement("p");
  private readonly open = new Set<string>();
  private colours: Palette = {};
  private rows: Row[] = [];
  private range: [number, number] | null = null; // null: the whole run
  private hovered = -1;
  private frame = 0;
  private painted = 0;

  constructor(
    private readonly host: HTMLElement,
    source: string,
  ) {
    this.columns = new Columns(source);
    this.scroller.className = "gantt-scroller";
    this.scroller.tabIndex = 0;
    this.scroller.setAttribute("role", "group");
    this.scroller.setAttribute("aria-label", "Timeline. Plus and minus zoom, the arrows move it. The same stands in the table below.");
    this.canvas.setAttribute("aria-hidden", "true");
    this.spacer.className = "gantt-spacer";
    this.tip.className = "gantt-tip";
    this.tip.hidden = true;
    this.scroller.append(this.canvas, this.spacer);
  }

  async start(): Promise<void> {
    this.mount();
    this.listen();
    try {
      await this.columns.load();
    } catch (error) {
      this.host.textContent = error instanceof Error ? error.message : "The task runs could not be read.";
      return;
    }
    this.changed();
    onLive(() => this.renew());
  }

  private mount(): void {
    if (!this.host.contains(this.scroller)) this.host.append(this.scroller, this.tip);
    this.colours = palette(this.host);
    const tools = document.getElementById("gantt-tools");
    if (tools) tools.hidden = false;
  }

  private async renew(): Promise<void> {
    this.mount(); // a page that came anew has taken our elements out
    await this.columns.load();
    this.changed();
  }

  private changed(): void {
    const select = document.getElementById("gantt-rows") as HTMLSelectElement | null;
    this.rows = rowsOf(this.columns.tasks, select?.value ?? "auto", this.open);
    const count = document.getElementById("gantt-count");
    const total = this.columns.tasks.length;
    if (count) count.textContent = `${total.toLocaleString("en")} task ${total === 1 ? "run" : "runs"}`;
    const height = AXIS + this.rows.length * ROW + 6;
    this.host.hidden = this.rows.length === 0;
    this.scroller.style.height = `${Math.min(height, MOST_HEIGHT)}px`;
    this.spacer.style.height = `${Math.max(0, height - Math.min(height, MOST_HEIGHT))}px`;
    this.draw();
  }

  private view(): View {
    const width = this.scroller.clientWidth;
    const narrow = width < 620;
    const now = this.columns.end ?? serverNow() - (this.columns.begin ?? serverNow());
    const last = this.columns.tasks.reduce((most, task) => Math.max(most, task.end ?? 0), 1);
    const [from, to] = this.range ?? [0, Math.max(now, last)];
    return {
      rows: this.rows, from, to, now: Math.max(now, last), top: this.scroller.scrollTop, width,
      height: this.scroller.clientHeight, label: narrow ? 116 : 220, took: narrow ? 70 : 96, hovered: this.hovered,
    };
  }

  private draw(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame((at) => {
      this.frame = 0;
      this.painted = at;
      const view = this.view();
      const scale = devicePixelRatio || 1;
      const [wide, high] = [Math.round(view.width * scale), Math.round(view.height * scale)];
      if (this.canvas.width !== wide || this.canvas.height !== high) {
        [this.canvas.width, this.canvas.height] = [wide, high];
        this.canvas.style.width = `${view.width}px`;
        this.canvas.style.height = `${view.height}px`;
      }
      const context = this.canvas.getContext("2d");
      if (!context) return;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      paint(context, view, this.colours);
      this.host.dataset.rows = String(this.rows.length);
      if (this.columns.end === null && anyLive(this.columns.tasks)) this.later();
    });
  }

  /** While something runs, its bar grows: a frame now and then, none in a hidden tab. */
  private later(): void {
    const step = (at: number): void => {
      if (!this.scroller.isConnected) return;
      if (at - this.painted >= LIVE_MS) this.draw();
      else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  private listen(): void {
    const { scroller } = this;
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    scroller.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.at(event.offsetX));
    }, { passive: false });
    scroller.addEventListener("pointermove", (event) => this.hover(event));
    scroller.addEventListener("pointerleave", () => this.unhover());
    scroller.addEventListener("keydown", (event) => this.key(event));
    this.drag();
    new ResizeObserver(() => this.draw()).observe(scroller);
    new MutationObserver(() => this.recolour()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    document.addEventListener("change", (event) => (event.target as Element).id === "gantt-rows" && this.changed());
    document.addEventListener("click", (event) => {
      const id = (event.target as Element | null)?.closest("button")?.id;
      if (id === "gantt-in") this.zoom(0.5);
      else if (id === "gantt-out") this.zoom(2);
      else if (id === "gantt-fit") this.show(null);
    });
  }

  private recolour(): void {
    this.colours = palette(this.host);
    this.draw();
  }

  private drag(): void {
    let from: { x: number; range: [number, number] } | null = null;
    let moved = false;
    this.scroller.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const view = this.view();
      from = { x: event.clientX, range: [view.from, view.to] };
      moved = false;
    });
    addEventListener("pointermove", (event) => {
      if (!from || Math.abs(event.clientX - from.x) < 4) return;
      moved = true;
      if (!this.range) return; // all of it is in view
      const view = this.view();
      const by = ((from.x - event.clientX) / (view.width - view.label - view.took)) * (view.to - view.from);
      this.show([from.range[0] + by, from.range[1] + by]);
    });
    addEventListener("pointerup", () => (from = null));
    this.scroller.addEventListener("click", (event) => !moved && this.choose(this.rowAt(event)));
  }

  private at(x: number): number {
    const view = this.view();
    return view.from + ((x - view.label) / (view.width - view.label - view.took)) * (view.to - view.from);
  }

  private zoom(by: number, around?: number): void {
    const view = this.view();
    const centre = Math.min(Math.max(around ?? (view.from + view.to) / 2, view.from), view.to);
    const range: [number, number] = [centre - (centre - view.from) * by, centre + (view.to - centre) * by];
    const whole = Math.max(view.now, 1);
    this.show(range[1] - range[0] >= whole ? null : range);
  }

  private show(range: [number, number] | null): void {
    this.range = range;
    if (range) {
      const span = Math.max(range[1] - range[0], 0.5);
      const from = Math.min(Math.max(range[0], 0), Math.max(this.view().now - span, 0));
      this.range = [from, from + span];
    }
    this.host.dataset.range = this.range ? this.range.map(Math.round).join("-") : "";
    this.draw();
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const view = this.view();
    const by = (view.to - view.from) / 8;
    if (event.key === "+" || event.key === "=") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else if (event.key === "0") this.show(null);
    else if (event.key === "ArrowLeft" && this.range) this.show([view.from - by, view.to - by]);
    else if (event.key === "ArrowRight" && this.range) this.show([view.from + by, view.to + by]);
    else return;
    event.preventDefault();
  }

  private rowAt(event: MouseEvent): number {
    const y = event.clientY - this.scroller.getBoundingClientRect().top - AXIS;
    const row = Math.floor((y + this.scroller.scrollTop) / ROW);
    return y < 0 || row >= this.rows.length ? -1 : row;
  }

  private choose(at: number): void {
    const row = this.rows[at];
    if (!row) return;
    if (row.group) {
      if (!this.open.delete(row.label)) this.open.add(row.label);
      this.changed();
    } else if (row.tasks[0]) {
      location.assign(`/runs/${this.host.dataset.run ?? ""}?tab=tasks&task=${encodeURIComponent(row.tasks[0].key)}`);
    }
  }

  private hover(event: PointerEvent): void {
    const at = this.rowAt(event);
    const row = this.rows[at];
    if (at !== this.hovered) {
      this.hovered = at;
      this.draw();
    }
    this.tip.hidden = !row;
    if (!row) return;
    this.tip.textContent = row.group ? this.groupText(row, event) : taskText(row.tasks[0], this.view().now);
    const box = this.host.getBoundingClientRect();
    const left = Math.min(event.clientX - box.left + 14, box.width - this.tip.offsetWidth - 8);
    this.tip.style.left = `${Math.max(8, left)}px`;
    this.tip.style.top = `${event.clientY - box.top + 18}px`;
  }

  private groupText(row: Row, event: PointerEvent): string {
    const x = event.clientX - this.scroller.getBoundingClientRect().left;
    const view = this.view();
    const under = row.tasks.find((task) => {
      const start = placeOf(view, task.start ?? 0);
      return x >= start - 2 && x <= Math.max(placeOf(view, task.end ?? view.now), start + 2);
    });
    return under ? taskText(under, view.now) : `${row.label}: ${row.tasks.length} task runs. Click to list them.`;
  }

  private unhover(): void {
    this.hovered = -1;
    this.tip.hidden = true;
    this.draw();
  }
}

export function taskText(task: Task | undefined, now: number): string {
  if (!task) return "";
  const spent = duration(task.took ?? (task.end ?? now) - (task.start ?? now));
  const parts = [`${task.label}: ${task.state.toLowerCase()}, ${spent}`];
  if (task.mean !== null && task.samples > 1) {
    const away = sigmas(task);
    const how = away === null ? "" : `, this is ${Math.abs(away).toFixed(1)}σ ${away > 0 ? "slower" : "faster"}`;
    parts.push(`usually ${duration(task.mean)} ± ${duration(task.std ?? 0)}${how}`);
  }
  if (task.attempt > 1) parts.push(`try ${task.attempt}`);
  if (task.warning) parts.push(task.warning);
  if (task.error) parts.push(task.error);
  return parts.join("\n");
}
