// What runs in every page. Each module looks for its own elements and does nothing where there are none.
import htmx from "htmx.org";
import { startActions } from "./actions";
import { startChoosing } from "./choosing";
import { startClock } from "./clock";
import { startGantt } from "./gantt";
import { startKeyboard } from "./keyboard";
import { startLocalTime } from "./local-time";
import { startLogs } from "./logs";
import { startMoment } from "./moment";
import { startPalette } from "./palette";
import { startRenew } from "./renew";
import { startScrolling } from "./scrolling";
import { startSort } from "./sort";
import { startSql } from "./sql";
import { startStream } from "./stream";
import { startTasks } from "./task-window";
import { startThemeToggle } from "./theme-toggle";

declare global {
  interface Window {
    htmx: typeof htmx;
  }
}

window.htmx = htmx;
startThemeToggle();
startKeyboard();
startPalette();
startActions();
startChoosing();
startLocalTime();
startScrolling();
startLogs();
startSort();
startSql();
startClock();
startGantt();
startTasks();
startMoment();
startRenew();
startStream();
