"""Runs in the environment of DBOS, as another process that starts workflows: on each line of its input how many of
`first_line`; on each of its output how long they took to their first line, ms, as JSON.
"""

import json
import os
import sys
import time

from dbos import DBOSClient


def main() -> None:
    client = DBOSClient(system_database_url=os.environ["BENCH_DATABASE"], application_name="bench")
    for line in sys.stdin:
        took_ms = []
        for _ in range(int(line)):
            before = time.time_ns()
            handle = client.enqueue({"workflow_name": "first_line", "queue_name": "bench"})
            took_ms.append((handle.get_result() - before) / 1e6)
        print(json.dumps(took_ms), flush=True)
    client.destroy()


if __name__ == "__main__":
    main()
