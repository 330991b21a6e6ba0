// Keys that work everywhere. The list that people see is templates/base/_help.html; single keys can be switched off there.
import { areKeysOn, openHelp, startHelp } from "./help";
import { openPalette } from "./palette";
import { nextTheme } from "./theme-toggle";

const SEQUENCE_MS = 1500; // between `g` and what follows it
const ROWS = "main tbody tr, main .flow-card, main .run-card";

let after = ""; // the first key of a sequence
let forgetting: number | undefined;

export function startKeyboard(): void {
  for (const button of document.querySelectorAll<HTMLElement>(".needs-script")) button.hidden = false;
  document.getElementById("palette-open")?.addEventListener("click", openPalette);
  startHelp();
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target as HTMLElement;
    if (target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (areKeysOn() && pressed(event.key)) event.preventDefault();
  });
}

/** Whether the key meant something. */
function pressed(key: string): boolean {
  clearTimeout(forgetting);
  const before = after;
  after = "";
  if (before === "g") return follow(key);
  switch (key) {
    case "g":
      after = key;
      forgetting = window.setTimeout(() => (after = ""), SEQUENCE_MS);
      return true;
    case "/":
      return search();
    case "?":
      openHelp();
      return true;
    case "j":
      return step(1);
    case "k":
      return step(-1);
    case "x":
      return choose();
    case "t":
      nextTheme();
      return true;
    default:
      return false;
  }
}

function follow(letter: string): boolean {
  const link = document.querySelector<HTMLAnchorElement>(`[data-go="${CSS.escape(letter)}"]`);
  link?.click();
  return link !== null;
}

function search(): boolean {
  const field = [...document.querySelectorAll<HTMLInputElement>('main input[type="search"]')].find((one) => one.checkVisibility());
  if (!field) {
    location.assign("/runs#search");
    return true;
  }
  field.focus();
  field.select();
  return true;
}

function step(by: 1 | -1): boolean {
  const links = [...document.querySelectorAll<HTMLElement>(ROWS)]
    .filter((row) => row.checkVisibility())
    .map((row) => row.querySelector<HTMLElement>("a[href]"))
    .filter((link) => link !== null);
  if (!links.length) return false;
  const row = document.activeElement?.closest(ROWS);
  const at = links.findIndex((link) => link.closest(ROWS) === row);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
  links[next]?.focus({ focusVisible: true } as FocusOptions);
  links[next]?.scrollIntoView({ block: "nearest" });
  return true;
}

function choose(): boolean {
  const box = document.activeElement?.closest(ROWS)?.querySelector<HTMLInputElement>("input.choose");
  if (!box?.checkVisibility()) return false;
  box.click();
  return true;
}
