// Rows that are chosen for an action on all of them: how many there are, and the box that chooses the whole page.
export function startChoosing(): void {
  const all = document.querySelector<HTMLInputElement>("[data-choose-all]");
  const bar = document.querySelector<HTMLElement>("[data-chosen]");
  if (!all || !bar) return;
  all.hidden = false;
  const boxes = (): HTMLInputElement[] => [...document.querySelectorAll<HTMLInputElement>("input.choose")];
  const show = (): void => {
    const every = boxes();
    const count = every.filter((box) => box.checked).length;
    all.checked = count > 0 && count === every.length;
    all.indeterminate = count > 0 && count < every.length;
    bar.textContent = `${count} ${count === 1 ? "run" : "runs"} chosen`;
  };
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    show();
  });
  document.addEventListener("change", (event) => {
    if ((event.target as Element).matches("input.choose")) show();
  });
  show();
}
