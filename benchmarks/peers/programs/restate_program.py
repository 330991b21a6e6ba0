"""Runs in Restate's environment: the benchmark's handlers, served by Hypercorn as Restate's templates do."""

import asyncio
import os
import sys
import time
from pathlib import Path

import hypercorn
import hypercorn.asyncio
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


async def main(port: int) -> None:
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = 2147483647
    config.keep_alive_max_requests = 2147483647
    config.keep_alive_timeout = 2147483647
    await hypercorn.asyncio.serve(restate.app(services=[bench]), config)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
