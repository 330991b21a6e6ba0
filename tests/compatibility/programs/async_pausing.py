"""Pausing in async flows, for a builtin type; the input is validated before the run goes on."""

import asyncio

from prefect import apause_flow_run, aresume_flow_run, flow
from prefect.runtime import flow_run

NEEDS = "system"
there = {}


@flow
async def main():
    there["id"] = flow_run.id
    count = await apause_flow_run(wait_for_input=int, timeout=60, poll_interval=1)
    return count + 1


async def somebody():
    while True:
        await asyncio.sleep(0.2)
        if "id" not in there:
            continue
        try:
            await aresume_flow_run(there["id"], run_input={"value": 41})
        except Exception:  # it does not wait yet
            continue
        return


async def both():
    result, _ = await asyncio.gather(main(), somebody())
    return result


def check():
    assert asyncio.run(both()) == 42
