// The button in the side bar: system → light → dark → system.
const KEY = "perfect-theme";
const ORDER = ["system", "light", "dark"] as const;

export function startThemeToggle(): void {
  const button = document.getElementById("theme-toggle");
  const label = button?.querySelector("span");
  if (!button || !label) return;
  const current = (): string => document.documentElement.dataset.theme ?? "system";
  const show = (): void => {
    label.textContent = current();
    button.setAttribute("aria-label", `Theme: ${current()}`);
  };
  button.addEventListener("click", () => {
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
  });
  show();
}
