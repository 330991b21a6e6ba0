// Fields for a date and a time: the page says them in UTC, people read and write them in their own zone.
export function startLocalTime(): void {
  for (const field of document.querySelectorAll<HTMLInputElement>("input[data-utc]")) {
    if (field.value) field.value = local(new Date(`${field.value}Z`));
    const zone = field.labels?.[0]?.querySelector("[data-zone]");
    if (zone) zone.textContent = "";
  }
  document.addEventListener("formdata", (event) => {
    for (const field of (event.target as HTMLFormElement).querySelectorAll<HTMLInputElement>("input[data-utc]")) {
      const moment = new Date(field.value); // without a zone it is ours
      if (!Number.isNaN(moment.getTime())) event.formData.set(field.name, moment.toISOString().slice(0, 19));
    }
  });
}

function local(moment: Date): string {
  const shifted = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return Number.isNaN(shifted.getTime()) ? "" : shifted.toISOString().slice(0, 16);
}
