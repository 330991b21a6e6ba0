"""10,000 log lines of one run: from the trigger until the API shows all of them, in order."""

import time

from harness import report, system

LINES = 10_000


def main() -> None:
    with system() as running:
        api = running.api
        api.wait(api.trigger("bench log lines", count=100))
        started = time.monotonic()
        run_id = api.trigger("bench log lines", count=LINES)
        shown: list[str] = []
        while len(shown) < LINES:
            shown = []
            path = f"/api/engine/runs/{run_id}/logs?limit=1000"
            while path:
                _, page, headers = api.call("GET", path)
                shown += [line["message"] for line in page]
                link = headers.get("link") or headers.get("Link")
                path = link[link.index("<") + 1 : link.index(">")] if link else ""
            if time.monotonic() > started + 60:
                raise TimeoutError(f"{len(shown)} of {LINES} lines after 60 s")
        seconds = time.monotonic() - started
    if shown != [f"line {n}" for n in range(LINES)]:
        raise RuntimeError("the lines are not in order")
    report("log_lines", f"{LINES:,} lines readable after {seconds:.2f} s", seconds=seconds)


if __name__ == "__main__":
    main()
