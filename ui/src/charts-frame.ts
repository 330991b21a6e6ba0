// The place of one chart: makes it as wide as its figure, in the colours of the theme, with a tip at the pointer.
import uPlot from "uplot";
import { onTheme, palette, type Palette } from "./charts-palette";

const FONT = '11px Inter, ui-sans-serif, system-ui, "DejaVu Sans", sans-serif';

/** words: the chart in one or two sentences. tip: what is said of a point, line by line. href: where a click on it leads. */
export interface Drawing {
  words: string;
  empty: boolean;
  data: uPlot.AlignedData;
  height: number;
  options(colours: Palette): Omit<uPlot.Options, "width" | "height">;
  tip(index: number): string[];
  href?(index: number): string | undefined;
}

export function axis(colours: Palette, more: uPlot.Axis): uPlot.Axis {
  const line = { stroke: colours.line, width: 1 };
  return { stroke: colours.faint, font: FONT, grid: line, ticks: { ...line, size: 4 }, ...more };
}

export class ChartFrame {
  private readonly plot: HTMLElement;
  private readonly words: HTMLElement;
  private drawing: Drawing | undefined;
  private chart: uPlot | undefined;

  constructor(private readonly figure: HTMLElement) {
    this.plot = figure.querySelector<HTMLElement>(".plot") ?? figure.appendChild(document.createElement("div"));
    this.words = figure.querySelector<HTMLElement>(".words") ?? figure.appendChild(document.createElement("p"));
    onTheme(() => this.draw());
    new ResizeObserver(() => this.fit()).observe(figure);
    // A page that was fetched anew brings the figure without its canvas.
    new MutationObserver(() => {
      if (this.chart && !this.plot.contains(this.chart.root)) this.draw();
    }).observe(this.plot, { childList: true });
  }

  show(drawing: Drawing): void {
    this.drawing = drawing;
    this.draw();
  }

  fail(message: string): void {
    this.words.textContent = message;
    this.figure.dataset.state = "failed";
  }

  private draw(): void {
    const { drawing } = this;
    if (!drawing) return;
    this.chart?.destroy();
    this.chart = undefined;
    this.words.textContent = drawing.words;
    this.plot.ariaLabel = drawing.words;
    this.plot.hidden = drawing.empty;
    this.figure.dataset.state = drawing.empty ? "empty" : "drawn";
    if (drawing.empty) return;
    const given = drawing.options(palette());
    this.chart = new uPlot(
      {
        legend: { show: false },
        padding: [12, 8, 0, 0],
        ...given,
        width: this.width(),
        height: drawing.height,
        cursor: { y: false, drag: { x: true, y: false }, ...given.cursor },
        plugins: [this.tips(drawing), ...(given.plugins ?? [])],
      },
      drawing.data,
      this.plot,
    );
  }

  private width(): number {
    return Math.max(200, this.plot.clientWidth);
  }

  private fit(): void {
    if (this.chart && this.drawing && this.chart.width !== this.width()) {
      this.chart.setSize({ width: this.width(), height: this.drawing.height });
    }
  }

  private tips(drawing: Drawing): uPlot.Plugin {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    let pressed = 0;
    return {
      hooks: {
        init: (chart) => {
          chart.over.append(tip);
          chart.over.addEventListener("mousedown", (event) => (pressed = event.clientX));
          chart.over.addEventListener("click", (event) => {
            const { idx } = chart.cursor;
            const href = idx === null || idx === undefined ? undefined : drawing.href?.(idx);
            if (href && Math.abs(event.clientX - pressed) < 4) location.assign(href); // else it was a zoom
          });
        },
        setCursor: (chart) => {
          const { idx, left } = chart.cursor;
          const lines = idx === null || idx === undefined || left === undefined || left < 0 ? [] : drawing.tip(idx);
          tip.hidden = lines.length === 0;
          if (tip.hidden || left === undefined) return;
          tip.replaceChildren(...lines.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
          const toLeft = left > chart.over.clientWidth / 2;
          tip.style.left = toLeft ? "auto" : `${left + 10}px`;
          tip.style.right = toLeft ? `${chart.over.clientWidth - left + 10}px` : "auto";
        },
      },
    };
  }
}
