// The button in the side bar: system → light → dark → system.
const KEY = "perfect-theme";
const ORDER = ["system", "light", "dark"] as const;

export function startThemeToggle(): void {
  document.getElementById("theme-toggle")?.addEventListener("click", nextTheme);
  show();
}

export function nextTheme(): void {
  const next = ORDER[(ORDER.indexOf(current() as (typeof ORDER)[number]) + 1) % ORDER.length] ?? "system";
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // The choice holds for this page then.
  }
  show();
}

function current(): string {
  return document.documentElement.dataset.theme ?? "system";
}

function show(): void {
  const button = document.getElementById("theme-toggle");
  const label = button?.querySelector("span");
  if (!button || !label) return;
  label.textContent = current();
  button.setAttribute("aria-label", `Theme: ${current()}`);
}
