// The pages with charts load this beside app.js. A `figure[data-chart]` names its kind and where its data come from;
// several figures share one answer. It is asked again when something in `[data-chart-live]` moves: a run has ended.
import { ChartFrame, type Drawing } from "./charts-frame";
import { type FlowHistory, type TaskHistory, runsOfTask } from "./charts-data";
import { drawOutcomes } from "./charts-outcomes";
import { drawRuns } from "./charts-runs";
import { drawTasks } from "./charts-tasks";

const AGAIN_MS = 2000;
const DRAW: Record<string, (data: never) => Drawing> = {
  runs: (data: FlowHistory) => drawRuns(data.runs, data),
  tasks: (data: FlowHistory) => drawTasks(data),
  outcomes: (data: FlowHistory) => drawOutcomes(data.outcomes),
  completions: (data: TaskHistory) => drawRuns(runsOfTask(data.completions), data.statistic),
};

/** The figures that are drawn from one answer. */
class Source {
  readonly frames: [ChartFrame, (data: never) => Drawing][] = [];
  private due = 0;

  constructor(private readonly url: string) {}

  async load(): Promise<void> {
    try {
      const answer = await fetch(this.url, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const data = (await answer.json()) as never;
      for (const [frame, draw] of this.frames) frame.show(draw(data));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      for (const [frame] of this.frames) frame.fail(`The chart could not be drawn: ${why}. Reload the page to try again.`);
    }
  }

  /** Once, a little later, however often it is said meanwhile. */
  again(): void {
    if (this.due) return;
    this.due = window.setTimeout(() => {
      this.due = 0;
      void this.load();
    }, AGAIN_MS);
  }
}

const sources = new Map<string, Source>();
for (const figure of document.querySelectorAll<HTMLElement>("figure[data-chart]")) {
  const draw = DRAW[figure.dataset.chart ?? ""];
  const url = figure.dataset.source;
  if (!draw || !url) continue;
  const source = sources.get(url) ?? new Source(url);
  sources.set(url, source);
  source.frames.push([new ChartFrame(figure), draw]);
}
for (const source of sources.values()) void source.load();
for (const live of document.querySelectorAll("[data-chart-live]")) {
  new MutationObserver(() => {
    for (const source of sources.values()) source.again();
  }).observe(live, { childList: true, subtree: true, characterData: true });
}
