// Loaded before the first paint: puts the chosen theme on <html>. Without a choice, the system's holds.
export {};

const choice = (() => {
  try {
    return localStorage.getItem("perfect-theme");
  } catch {
    return null; // storage is forbidden: the system's theme it is
  }
})();
if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
