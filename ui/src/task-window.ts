// The tasks tab: filters, the row that a link asked for, and above a page of rows a window over all of them.
import { Columns, isFinal, sigmas, toneOf, type Task } from "./columns";
import { serverNow } from "./clock";
import { duration } from "./format";
import { onLive } from "./live";
import { usualBar } from "./usual-bar";

const ROW = 37;
const BEYOND = 8; // rows drawn above and below what is in view
const SLOW = 2; // standard deviations

export function startTasks(): void {
  const scroller = document.getElementById("task-scroller");
  if (!scroller) return;
  if (scroller.dataset.src) void new TaskWindow(scroller, scroller.dataset.src).start();
  else if (scroller.dataset.task) find(scroller.dataset.task);
}

function find(key: string): void {
  const row = document.querySelector<HTMLElement>(`#run-tasks tr[data-key="${CSS.escape(key)}"]`);
  row?.classList.add("sought");
  row?.scrollIntoView({ block: "center" });
}

class TaskWindow {
  private readonly columns: Columns;
  private shown: Task[] = [];
  private drawn = "";
  private sought: string;

  constructor(
    private readonly scroller: HTMLElement,
    source: string,
  ) {
    this.columns = new Columns(source);
    this.sought = scroller.dataset.task ?? "";
  }

  async start(): Promise<void> {
    await this.columns.load();
    const tools = document.getElementById("task-tools");
    if (tools) tools.hidden = false;
    for (const id of ["task-state", "task-text"]) document.getElementById(id)?.addEventListener("input", () => this.changed());
    this.scroller.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    this.changed();
    if (this.sought) this.toSought();
    onLive(async () => {
      await this.columns.load();
      this.changed();
    });
  }

  private toSought(): void {
    const at = this.shown.findIndex((task) => task.key === this.sought);
    if (at < 0) return;
    this.scroller.scrollTop = Math.max(0, at * ROW - this.scroller.clientHeight / 2);
    this.draw();
  }

  private changed(): void {
    const state = (document.getElementById("task-state") as HTMLSelectElement | null)?.value ?? "";
    const text = ((document.getElementById("task-text") as HTMLInputElement | null)?.value ?? "").toLowerCase();
    this.shown = this.columns.tasks.filter((task) => isWanted(task, state) && (!text || `${task.key} ${task.label}`.toLowerCase().includes(text)));
    const count = document.getElementById("task-count");
    const [some, all] = [this.shown.length, this.columns.tasks.length].map((n) => n.toLocaleString("en"));
    if (count) count.textContent = some === all ? `${all} task runs` : `${some} of ${all} task runs`;
    document.getElementById("task-pages")?.remove();
    this.drawn = "";
    this.draw();
  }

  private draw(): void {
    const body = document.getElementById("task-rows");
    if (!body) return;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - BEYOND);
    const last = Math.min(this.shown.length, Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / ROW) + BEYOND);
    const range = `${first}-${last}`;
    if (range === this.drawn) return;
    this.drawn = range;
    const rows = this.shown.slice(first, last).map((task, n) => this.row(task, first + n));
    body.replaceChildren(space(first * ROW), ...rows, space((this.shown.length - last) * ROW));
    body.closest("table")?.setAttribute("aria-rowcount", String(this.shown.length + 1));
  }

  private row(task: Task, at: number): HTMLTableRowElement {
    const row = document.createElement("tr");
    row.className = `tone-${toneOf(task.state)}${task.key === this.sought ? " sought" : ""}`;
    row.dataset.key = task.key;
    row.dataset.state = task.state;
    row.setAttribute("aria-rowindex", String(at + 2));
    const note = task.error || task.warning;
    const name = cell("name", element("span", "title", task.label), ...(note ? [element("span", task.error ? "note bad" : "note warned-text", note)] : []));
    const lines = document.createElement("a");
    lines.className = "lines";
    lines.href = `?tab=logs&task=${encodeURIComponent(task.key)}`;
    lines.title = "Its log lines";
    lines.ariaLabel = `Log lines of ${task.key}`;
    lines.textContent = "≡";
    name.querySelector(".title")?.after(" ", lines);
    name.title = [task.key, task.error, task.warning].filter(Boolean).join("\n");
    const badge = element("span", `badge tone-${toneOf(task.state)}`);
    badge.append(element("i", "dot"), task.state.toLowerCase());
    const spent = task.took ?? (isFinal(task) || task.start === null ? null : serverNow() - (this.columns.begin ?? 0) - task.start);
    const bar = usualBar(task);
    row.append(
      name, cell("state", badge), cell("right num try", String(task.attempt)),
      cell("right num took", spent === null ? "–" : duration(spent)),
      cell("right wide num faint", ...(bar ? [bar] : []), task.mean === null ? "–" : duration(task.mean)),
    );
    return row;
  }
}

function isWanted(task: Task, state: string): boolean {
  if (state === "live") return !isFinal(task);
  if (state === "bad") return toneOf(task.state) === "bad";
  if (state === "slow") return task.warning !== "" || (sigmas(task) ?? 0) > SLOW;
  return true;
}

function element(tag: string, name: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

function cell(name: string, ...content: (Node | string)[]): HTMLTableCellElement {
  const made = document.createElement("td");
  made.className = name;
  made.append(...content);
  return made;
}

function space(height: number): HTMLTableRowElement {
  const row = document.createElement("tr");
  row.className = "space";
  row.setAttribute("aria-hidden", "true");
  const inside = document.createElement("td");
  inside.colSpan = 5;
  inside.style.height = `${height}px`;
  row.append(inside);
  return row;
}
