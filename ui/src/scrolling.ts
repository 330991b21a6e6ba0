// Boxes that scroll sideways can be reached, and scrolled, without a mouse: only while there is something to scroll.
export function startScrolling(): void {
  const boxes = document.querySelectorAll<HTMLElement>(".table-wrap:not([tabindex])"); // the others say it themselves
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => show(entry.target as HTMLElement)));
  for (const box of boxes) {
    watch.observe(box);
    if (box.firstElementChild) watch.observe(box.firstElementChild);
  }
}

function show(element: HTMLElement): void {
  const box = element.closest<HTMLElement>(".table-wrap");
  if (!box) return;
  const scrolls = box.scrollWidth > box.clientWidth + 1;
  if (scrolls === box.hasAttribute("tabindex")) return;
  if (scrolls) {
    box.tabIndex = 0;
    box.role = "group";
    box.ariaLabel = "Table, scrolls sideways";
  } else {
    for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
  }
}
