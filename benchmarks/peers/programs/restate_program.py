"""Runs in Restate's environment: the benchmark's handlers, as the `app` that Hypercorn serves."""

import os
import time
from pathlib import Path

import restate

bench = restate.Service("Bench")


def nothing(n: int) -> int:
    return n


def write_step(said: str, n: int) -> int:
    with Path(said).open("a") as file:
        file.write(f"{n} {os.getpid()} {time.time_ns()}\n")
    time.sleep(0.01)
    return n


@bench.handler()
async def sequential(ctx: restate.Context, count: int) -> int:
    total = 0
    for n in range(count):
        total += await ctx.run_typed("nothing", nothing, n=n)
    return total


@bench.handler()
async def fan_out(ctx: restate.Context, count: int) -> int:
    futures = [ctx.run_typed("nothing", nothing, n=n) for n in range(count)]
    await restate.gather(*futures)
    return sum([await future for future in futures])


@bench.handler()
async def first_line(_ctx: restate.Context) -> int:
    return time.time_ns()


@bench.handler()
async def steps(ctx: restate.Context, asked: dict) -> int:
    for n in range(asked["count"]):
        await ctx.run_typed("step", write_step, said=asked["said"], n=n)
    return asked["count"]


app = restate.app(services=[bench])
