// The log panel: appends lines as they come, follows the end, filters by level.
import { refresh } from "./clock";

export function startLogs(): void {
  const list = document.getElementById("run-logs");
  const follow = document.getElementById("log-follow") as HTMLInputElement | null;
  const level = document.getElementById("log-level") as HTMLSelectElement | null;
  if (!list || !follow) return;
  toEnd(list);
  follow.addEventListener("change", () => follow.checked && toEnd(list));
  // Scrolling up means reading: following stops until one is back at the end.
  let before = list.scrollTop;
  list.addEventListener("scroll", () => {
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
    if (atEnd) follow.checked = true;
    else if (list.scrollTop < before) follow.checked = false;
    before = list.scrollTop;
  });
  level?.addEventListener("change", () => {
    list.dataset.level = level.value;
    if (follow.checked) toEnd(list);
  });
}

export function appendLogs(id: string, lines: DocumentFragment): void {
  const list = document.getElementById(id);
  if (!list) return;
  let last = Number((list.lastElementChild as HTMLElement | null)?.dataset.seq ?? -1);
  for (const line of [...lines.children] as HTMLElement[]) {
    const seq = Number(line.dataset.seq);
    if (seq <= last) line.remove(); // sent again after a reconnect
    else last = seq;
  }
  refresh(lines);
  list.append(...lines.children);
  const keep = Number(list.dataset.keep ?? 0);
  while (keep && list.children.length > keep) list.firstElementChild?.remove();
  const follow = document.getElementById("log-follow") as HTMLInputElement | null;
  if (follow?.checked) toEnd(list);
}

function toEnd(list: HTMLElement): void {
  list.scrollTop = list.scrollHeight;
}
