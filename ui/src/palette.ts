// Ctrl K: everything that has a name, by typing a part of it. Flows and runs are asked for when it is opened, not before.
import { openHelp } from "./help";
import { nextTheme } from "./theme-toggle";

const MOST_SHOWN = 14;
const RUNS = 30;

interface Choice {
  kind: "page" | "flow" | "run" | "action" | "search";
  text: string;
  note?: string;
  go: () => void;
}

let asked: Choice[] = [];
let shown: Choice[] = [];
let at = 0;

export function openPalette(): void {
  const dialog = document.getElementById("palette") as HTMLDialogElement | null;
  const field = document.getElementById("palette-text") as HTMLInputElement | null;
  if (!dialog || !field || dialog.open) return;
  document.querySelector<HTMLDialogElement>("dialog[open]")?.close();
  field.value = "";
  dialog.showModal();
  field.focus();
  draw("");
  void ask().then(() => draw(field.value));
}

export function startPalette(): void {
  const dialog = document.getElementById("palette") as HTMLDialogElement | null;
  const field = document.getElementById("palette-text") as HTMLInputElement | null;
  const list = document.getElementById("palette-list");
  if (!dialog || !field || !list) return;
  field.addEventListener("input", () => draw(field.value));
  field.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) {
      event.preventDefault();
      mark((at + by + shown.length) % Math.max(shown.length, 1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      take(dialog, at);
    }
  });
  list.addEventListener("click", (event) => {
    const option = (event.target as Element).closest('[role="option"]');
    if (option) take(dialog, [...list.children].indexOf(option));
  });
  for (const sheet of document.querySelectorAll<HTMLDialogElement>("dialog.sheet"))
    sheet.addEventListener("click", (event) => {
      if (event.target === sheet) sheet.close(); // beside it
    });
}

function take(dialog: HTMLDialogElement, place: number): void {
  const choice = shown[place];
  dialog.close();
  choice?.go();
}

function draw(text: string): void {
  const list = document.getElementById("palette-list");
  if (!list) return;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = [...here(), ...asked].filter((one) => {
    const whole = `${one.kind} ${one.text} ${one.note ?? ""}`.toLowerCase();
    return words.every((word) => whole.includes(word));
  });
  const begins = (one: Choice): number => (words[0] && one.text.toLowerCase().startsWith(words[0]) ? 0 : 1);
  shown = fits.sort((a, b) => begins(a) - begins(b)).slice(0, MOST_SHOWN);
  const wanted = text.trim();
  if (wanted) shown.push({ kind: "search", text: `Runs with “${wanted}”`, go: () => location.assign(`/runs?text=${encodeURIComponent(wanted)}`) });
  list.replaceChildren(...shown.map(option));
  mark(0);
  const count = document.getElementById("palette-count");
  if (count) count.textContent = `${shown.length} found`;
}

function option(choice: Choice, place: number): HTMLElement {
  const item = document.createElement("li");
  item.id = `palette-${place}`;
  item.role = "option";
  const parts = [["kind", choice.kind], ["text", choice.text], ["note", choice.note ?? ""]] as const;
  for (const [name, words] of parts) {
    const part = document.createElement("span");
    part.className = name;
    part.textContent = words;
    item.append(part);
  }
  return item;
}

function mark(place: number): void {
  at = place;
  const field = document.getElementById("palette-text");
  const list = document.getElementById("palette-list");
  [...(list?.children ?? [])].forEach((item, n) => {
    item.ariaSelected = String(n === place);
    if (n === place) item.scrollIntoView({ block: "nearest" });
  });
  if (list?.children.length) field?.setAttribute("aria-activedescendant", `palette-${place}`);
  else field?.removeAttribute("aria-activedescendant");
}

/** What this page has: the menu, its buttons, and what works everywhere. */
function here(): Choice[] {
  const pages = [...document.querySelectorAll<HTMLAnchorElement>("[data-go]")].map(
    (link): Choice => ({ kind: "page", text: link.textContent?.trim() ?? "", note: `g ${link.dataset.go}`, go: () => link.click() }),
  );
  const further = [...document.querySelectorAll<HTMLAnchorElement>("[data-page]")].map(
    (link): Choice => ({ kind: "page", text: link.textContent?.trim() ?? "", note: new URL(link.href).pathname, go: () => link.click() }),
  );
  const buttons = [...document.querySelectorAll<HTMLButtonElement>('main form[method="post"] button[type="submit"]')]
    .filter((button) => button.checkVisibility() && !button.disabled)
    .map((button): Choice => ({
      kind: "action",
      text: (button.ariaLabel || button.textContent || "").trim().replace(/\s+/g, " "),
      note: "on this page",
      go: () => button.focus(),
    }));
  return [
    ...pages,
    ...further,
    ...buttons.filter((one) => one.text),
    { kind: "action", text: "Next theme", note: "t", go: nextTheme },
    { kind: "action", text: "Show the keys", note: "?", go: openHelp },
    { kind: "action", text: "What has failed", note: "since yesterday", go: () => location.assign("/runs?state=problem") },
    { kind: "action", text: "What runs now", go: () => location.assign("/runs?state=active") },
  ];
}

async function ask(): Promise<void> {
  const get = async <T>(path: string): Promise<T[]> => {
    const answer = await fetch(path, { headers: { accept: "application/json" } });
    return answer.ok ? ((await answer.json()) as T[]) : [];
  };
  try {
    const [flows, runs] = await Promise.all([
      get<{ id: string; name: string }>("/api/engine/flows"),
      get<{ id: string; flow_name: string; name: string | null; state: string }>(`/api/engine/runs?limit=${RUNS}`),
    ]);
    asked = [
      ...flows.map((flow): Choice => ({ kind: "flow", text: flow.name, go: () => location.assign(`/flows/${flow.id}`) })),
      ...runs.map((run): Choice => ({
        kind: "run",
        text: run.name ? `${run.flow_name} ${run.name}` : run.flow_name,
        note: `${run.state.toLowerCase()} ${run.id.slice(-8)}`,
        go: () => location.assign(`/runs/${run.id}`),
      })),
    ];
  } catch {
    asked = []; // the server is away: the pages of the menu are still here
  }
}
