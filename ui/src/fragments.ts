// Puts the fragments of a live message into the page. The rules are in README.md, "Fragments".
import htmx from "htmx.org";
import { refresh, serverNow } from "./clock";
import { tellLive } from "./live";
import { appendLogs } from "./logs";
import { moveProgress } from "./progress";
import { moveTimelines } from "./timeline";

const leaving = new WeakSet<Element>();

export async function applyFragments(html: string): Promise<void> {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  for (const fragment of [...holder.content.children]) {
    if (!(fragment instanceof HTMLTemplateElement)) await put(fragment);
    else if (fragment.dataset.append) appendLogs(fragment.dataset.append, fragment.content, Number(fragment.dataset.skipped ?? 0));
    else for (const row of [...fragment.content.children]) await put(row);
  }
  const now = serverNow();
  moveProgress(now);
  moveTimelines(now);
  tellLive();
}

async function put(fragment: Element): Promise<void> {
  const present = fragment.id ? document.getElementById(fragment.id) : null;
  if (present) await morph(present, fragment);
  else insert(fragment);
}

/** Morph one element; what has the focus, is selected, scrolled or opened stays as it is. */
export async function morph(present: Element, fresh: Element): Promise<void> {
  refresh(fresh);
  const { id } = present;
  await htmx.swap({ text: fresh.outerHTML, target: present, swap: "outerMorph", transition: false });
  const now = document.getElementById(id);
  if (!now) return;
  refresh(now);
  if (now instanceof HTMLElement && now.dataset.title) document.title = now.dataset.title;
  scheduleLeave(now);
}

function insert(fragment: Element): void {
  if (!(fragment instanceof HTMLElement) || !fragment.dataset.into || fragment.dataset.leave) return;
  const container = document.getElementById(fragment.dataset.into);
  if (!container) return;
  const place = container.dataset.insert;
  if (place === "count") return count(container, fragment.id);
  refresh(fragment);
  fragment.classList.add("arrived");
  if (place === "first") container.prepend(fragment);
  else container.append(fragment);
  htmx.process(fragment);
  trim(container, place === "first");
}

/** Keep at most `data-keep` children; what has not finished or has failed stays. */
function trim(container: HTMLElement, newestFirst: boolean): void {
  const keep = Number(container.dataset.keep ?? 0);
  if (!keep || container.children.length <= keep) return;
  const children = newestFirst ? [...container.children].reverse() : [...container.children];
  const settled = children.find((child) => child.matches(".tone-good, .tone-mute"));
  (settled ?? children[0])?.remove();
}

const counted = new Set<string>();

function count(container: HTMLElement, id: string): void {
  counted.add(id);
  const pill = document.querySelector<HTMLElement>(`[data-count-for="${CSS.escape(container.id)}"]`);
  const link = pill?.querySelector("a");
  if (!pill || !link) return;
  link.textContent = `${counted.size} new ${counted.size === 1 ? "run" : "runs"} since this page was loaded`;
  pill.hidden = false;
}

function scheduleLeave(element: Element): void {
  if (!(element instanceof HTMLElement) || !element.dataset.leave || leaving.has(element)) return;
  leaving.add(element);
  setTimeout(() => {
    leaving.delete(element);
    if (!element.dataset.leave) return; // it came back to life
    element.classList.add("leaving");
    setTimeout(() => element.remove(), 400);
  }, Number(element.dataset.leave));
}
