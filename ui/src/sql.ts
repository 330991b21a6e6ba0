// The SQL page: Ctrl+Enter runs the query, a click on a name of the schema writes it where the cursor is.
export function startSql(): void {
  const editor = document.querySelector<HTMLTextAreaElement>("#sql-query");
  const run = document.querySelector<HTMLButtonElement>("#sql-run");
  if (!editor || !run) return;
  editor.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    editor.form?.requestSubmit(run);
  });
  document.addEventListener("click", (event) => {
    const button = (event.target as Element | null)?.closest<HTMLElement>("[data-sql]");
    if (!button) return;
    insert(editor, button.dataset.sql ?? "");
  });
}

function insert(editor: HTMLTextAreaElement, name: string): void {
  const before = editor.value.slice(0, editor.selectionStart);
  const gap = before === "" || /[\s(.,]$/.test(before) ? "" : " ";
  editor.setRangeText(gap + name, editor.selectionStart, editor.selectionEnd, "end");
  editor.focus();
}
