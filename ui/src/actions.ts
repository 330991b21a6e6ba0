// Small conveniences: copy buttons, filters that submit themselves, short filter URLs, the CSRF token of htmx requests.
export function startActions(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element | null)?.closest<HTMLElement>("[data-copy]");
    if (button) void copy(button);
  });
  document.addEventListener("change", (event) => {
    const input = event.target as HTMLElement | null;
    if (input?.dataset.submit !== undefined) (input as HTMLSelectElement).form?.requestSubmit();
  });
  // Empty fields stay out of the URL.
  document.addEventListener("formdata", (event) => {
    const form = event.target as HTMLFormElement;
    if (form.dataset.dropEmpty === undefined) return;
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (form.method === "post" && form.dataset.stays === undefined) form.classList.add("busy");
  });
  addEventListener("pageshow", () => document.querySelectorAll("form.busy").forEach((form) => form.classList.remove("busy")));
  document.addEventListener("htmx:config:request", (event) => {
    const token = document.body.dataset.csrf;
    const { ctx } = (event as CustomEvent<{ ctx: { request: { headers: Record<string, string> } } }>).detail;
    if (token) ctx.request.headers["x-csrftoken"] = token;
  });
  document.addEventListener("htmx:finally:request", () =>
    document.querySelectorAll("form.busy").forEach((form) => form.classList.remove("busy")),
  );
}

async function copy(button: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
  } catch {
    return; // not allowed here (plain http on another host): the text stays selectable
  }
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
}
