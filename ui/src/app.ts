// What runs in every page. Each module looks for its own elements and does nothing where there are none.
import htmx from "htmx.org";
import { startActions } from "./actions";
import { startClock } from "./clock";
import { startLogs } from "./logs";
import { startSort } from "./sort";
import { startSql } from "./sql";
import { startStream } from "./stream";
import { startThemeToggle } from "./theme-toggle";

declare global {
  interface Window {
    htmx: typeof htmx;
  }
}

window.htmx = htmx;
startThemeToggle();
startActions();
startLogs();
startSort();
startSql();
startClock();
startStream();
