"""States and hooks of async flows."""

import asyncio

from prefect import flow

calls = []


async def on_failure(flow, flow_run, state):
    await asyncio.sleep(0)
    calls.append(state.name)


@flow(on_failure=[on_failure])
async def breaks():
    raise ValueError("broken")


async def main():
    state = await breaks(return_state=True)
    return state, await state.aresult(raise_on_failure=False)


def check():
    state, error = asyncio.run(main())
    assert state.is_failed()
    assert isinstance(error, ValueError)
    assert calls == ["Failed"]
