// Parts that the server draws anew when their run changes: `data-renew`, with an id. The page is asked for once for all.
import { morph } from "./fragments";
import { isBehind, onLive, tellLive } from "./live";

export function startRenew(): void {
  if (document.querySelector("[data-renew][id]")) onLive(renew);
}

async function renew(): Promise<void> {
  const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const present of document.querySelectorAll("[data-renew][id]")) {
    const other = fresh.getElementById(present.id);
    if (other && other.outerHTML !== present.outerHTML) await morph(present, other);
  }
  if (isBehind(fresh.body.dataset.seq)) tellLive(); // no further message may come
}
