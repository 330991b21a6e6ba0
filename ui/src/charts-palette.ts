// The product's colours for a canvas, which knows no custom property and no light-dark().
const NAMES = ["ink", "soft", "faint", "line", "line-strong", "surface", "accent", "point", "good", "bad", "warn", "pause", "wait", "mute"] as const;
export type Palette = Record<(typeof NAMES)[number], string>;

export function palette(): Palette {
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const found = {} as Palette;
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

/** Says when the theme changes: by our button or by the system. */
export function onTheme(changed: () => void): void {
  new MutationObserver(changed).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}
