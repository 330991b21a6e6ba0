// The list of keys, and the switch in it that keeps single keys from doing anything.
const KEY = "perfect-keys";

export function openHelp(): void {
  (document.getElementById("help") as HTMLDialogElement | null)?.showModal();
}

export function areKeysOn(): boolean {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true; // storage is forbidden
  }
}

export function startHelp(): void {
  document.getElementById("help-open")?.addEventListener("click", openHelp);
  const box = document.getElementById("keys-on") as HTMLInputElement | null;
  if (!box) return;
  box.checked = areKeysOn();
  box.addEventListener("change", () => {
    try {
      if (box.checked) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, "off");
    } catch {
      box.checked = true;
    }
  });
}
