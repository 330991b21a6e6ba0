// Tables with `data-sortable`: a click on a heading sorts, a second one turns the order round.
export function startSort(): void {
  for (const table of document.querySelectorAll<HTMLTableElement>("table[data-sortable]")) {
    const headings = [...table.querySelectorAll<HTMLTableCellElement>("thead th")];
    headings.forEach((heading, column) => {
      if (!heading.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.ariaSort ? heading.ariaSort === "ascending" : heading.dataset.sort === "number";
        for (const other of headings) other.ariaSort = null;
        heading.ariaSort = down ? "descending" : "ascending";
        sortBy(table, column, heading.dataset.sort === "number", down);
      });
    });
  }
}

function sortBy(table: HTMLTableElement, column: number, numeric: boolean, down: boolean): void {
  const body = table.tBodies[0];
  if (!body) return;
  const key = (row: HTMLTableRowElement): string => {
    const cell = row.cells[column];
    return cell?.dataset.value ?? cell?.textContent?.trim() ?? "";
  };
  const compare = new Intl.Collator(undefined, { numeric, sensitivity: "base" }).compare;
  const rows = [...body.rows].sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    const both = numeric ? Number(left) - Number(right) : NaN;
    return (Number.isNaN(both) ? compare(left, right) : both) * (down ? -1 : 1);
  });
  body.append(...rows);
}
