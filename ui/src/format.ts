// Durations and times as people read them: the twin of perfect_ui/formats.py.
export function duration(value: number): string {
  const ms = Math.max(0, value);
  if (ms < 1) return "< 1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const two = (part: number): string => String(part).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d ${Math.floor(minutes / 60) % 24}h`;
}

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23",
});

export function relative(moment: number, now: number): string {
  const seconds = Math.round((now - moment) / 1000);
  const ahead = seconds < 0;
  const size = Math.abs(seconds);
  if (size < 5) return "just now";
  if (size > 86_400 * 2) return DAY.format(moment);
  const text =
    size < 60 ? `${size} s` : size < 3600 ? `${Math.floor(size / 60)} min` : `${Math.floor(size / 3600)} h`;
  return ahead ? `in ${text}` : `${text} ago`;
}

/** How long until then: `in 12 s`, `in 4m 05s`, `in 3d 4h`; what has just passed is `now`. */
export function away(moment: number, now: number): string {
  const seconds = Math.ceil((moment - now) / 1000);
  if (seconds <= 0) return seconds > -5 ? "now" : relative(moment, now);
  return `in ${seconds < 60 ? `${seconds} s` : duration(seconds * 1000)}`;
}

export function absolute(moment: number): string {
  return FULL.format(moment);
}

export function clock(moment: number): string {
  return CLOCK.format(moment);
}

export function tickLabel(ms: number): string {
  if (ms === 0) return "0";
  if (ms < 1000) return `${ms} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60 ? ` ${Math.floor(seconds % 60)}s` : ""}`;
  const rest = Math.floor((seconds % 3600) / 60);
  return `${Math.floor(seconds / 3600)}h${rest ? ` ${rest}m` : ""}`;
}
