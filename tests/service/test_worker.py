"""Worker processes with the real engine and registry."""

import asyncio
import os
import signal
from pathlib import Path

from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import codec, subjects
from perfect_schemas.events import ClientDisconnected

FLOWS = Path(__file__).parent.parent / "flows" / "worked.py"


def traced(path: str) -> list[str]:
    return Path(path).read_text().split() if Path(path).exists() else []


async def test_sync_and_async_flows_run(eyes: Eyes, workers: Workers, path: str) -> None:
    workers.start(FLOWS)
    await eyes.connected()
    run = await eyes.until_final(await eyes.trigger("steps", path=path, count=5))
    assert run.run.state == "COMPLETED"
    assert run.run.client_name == "w"
    assert bytes(run.run.result.value) == b"10"
    run = await eyes.until_final(await eyes.trigger("steps-async", path=path, count=5))
    assert run.run.state == "COMPLETED"
    assert sorted(traced(path)) == sorted([str(n) for n in range(5)] * 2)
    run = await eyes.until_final(await eyes.trigger("failing"))
    assert run.run.state == "FAILED"
    assert run.run.error.message == "not today"


async def test_many_runs_at_once_share_the_slots(eyes: Eyes, workers: Workers, path: str) -> None:
    workers.start(FLOWS, processes=2, concurrency=2)
    await eyes.connected()
    runs = [await eyes.trigger("steps", path=path, count=3) for _ in range(30)]
    for run in runs:
        assert (await eyes.until_final(run)).run.state == "COMPLETED"
    assert len(traced(path)) == 90


async def test_a_file_that_fails_to_import_leaves_the_others_served(
    eyes: Eyes, workers: Workers, path: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken_flows.py"
    broken.write_text("def f():\n    return 1 / 0\nf()\n")
    worker = workers.start(broken, FLOWS, tmp_path / "absent.py")
    await eyes.connected()
    assert (await eyes.until_final(await eyes.trigger("steps", path=path, count=1))).run.state == "COMPLETED"
    assert "ZeroDivisionError" in worker.log
    assert "broken_flows.py is not served" in worker.log
    assert "there is no file" in worker.log
    assert "importlib" not in worker.log


async def test_nothing_to_serve_is_exit_code_1(eyes: Eyes, workers: Workers, tmp_path: Path) -> None:
    worker = workers.start(tmp_path / "absent.py")
    assert await worker.exit_code() == 1
    assert "there is no file" in worker.log
    assert "nothing to serve" in worker.log


async def test_a_module_that_kills_its_process_ends_the_worker(
    eyes: Eyes, workers: Workers, tmp_path: Path
) -> None:
    deadly = tmp_path / "deadly_import.py"
    deadly.write_text("import os\nos._exit(3)\n")
    worker = workers.start(deadly, processes=1)
    assert await worker.exit_code() == 1
    assert "exited with code 3 while it imported the flows" in worker.log


async def test_a_run_that_kills_its_executors_is_given_back_and_crashes(
    eyes: Eyes, workers: Workers, path: str
) -> None:
    worker = workers.start(FLOWS)
    await eyes.connected()
    good = await eyes.trigger("steps", path=path + ".good", count=40, seconds=0.05)
    run = await eyes.until_final(await eyes.trigger("deadly", path=path))
    assert run.run.state == "CRASHED"
    assert "died" in run.run.reason
    assert (await eyes.until_final(good)).run.state == "COMPLETED"
    assert "was killed by SIGKILL" in worker.log


async def test_cancel_a_sync_flow_at_its_next_task(eyes: Eyes, workers: Workers, path: str) -> None:
    workers.start(FLOWS)
    await eyes.connected()
    run = await eyes.trigger("steps", path=path, count=2000, seconds=0.02)
    await eyes.until_tasks(run, 3)
    await eyes.cancel(run)
    assert (await eyes.until_final(run)).run.state == "CANCELLED"


async def test_cancel_an_async_flow_where_it_waits(eyes: Eyes, workers: Workers, path: str) -> None:
    workers.start(FLOWS)
    await eyes.connected()
    run = await eyes.trigger("stuck-async", path=path)
    await eyes.until_state(run, "RUNNING")
    await asyncio.sleep(0.1)
    await eyes.cancel(run)
    assert (await eyes.until_final(run)).run.state == "CANCELLED"
    assert traced(path) == ["cleaned", "up"]


async def test_a_flow_that_does_not_end_is_ended_and_its_neighbours_go_on(
    eyes: Eyes, workers: Workers, path: str
) -> None:
    worker = workers.start(FLOWS, processes=1)
    await eyes.connected()
    neighbour = await eyes.trigger("steps", path=path, count=500, seconds=0.02)
    run = await eyes.trigger("stuck", path=path + ".stuck")
    await eyes.until_state(run, "RUNNING")
    await eyes.until_tasks(neighbour, 5)
    await eyes.cancel(run)
    assert (await eyes.until_final(run)).run.state == "CANCELLED"
    history = await eyes.until_final(neighbour)
    assert history.run.state == "COMPLETED"
    assert history.run.epoch == 2
    assert len(traced(path)) <= 501  # at most the step in flight ran twice
    assert "does not end after its cancellation" in worker.log


async def test_sigterm_drains_and_another_worker_goes_on(
    eyes: Eyes, workers: Workers, path: str, bus: Bus
) -> None:
    first = workers.start(FLOWS, name="first", drain=2)
    client = await eyes.connected("first")
    short = await eyes.trigger("steps", path=path + ".short", count=1, seconds=0.3)
    long = await eyes.trigger("steps", path=path, count=200, seconds=0.03)
    await eyes.until_tasks(long, 5)
    first.signal(signal.SIGTERM)
    assert await first.exit_code() == 0
    assert first.executors() == []
    said = [
        codec.decode(data)
        for _, _, data in await bus.read_raw(subjects.client(client.client_id), stream="DEFS")
    ]
    assert isinstance(said[-1], ClientDisconnected)
    assert (await eyes.until_final(short)).run.client_name == "first"
    workers.start(FLOWS, name="second")
    history = await eyes.until_final(long)
    assert history.run.state == "COMPLETED"
    assert history.run.client_name == "second"
    assert len(traced(path)) <= 201


async def test_an_idle_worker_ends_at_once(eyes: Eyes, workers: Workers) -> None:
    worker = workers.start(FLOWS, drain=600)
    await eyes.connected()
    executors = worker.executors()
    worker.signal(signal.SIGINT)
    assert await worker.exit_code() == 0
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in executors)


async def test_executors_end_with_a_killed_supervisor(eyes: Eyes, workers: Workers) -> None:
    worker = workers.start(FLOWS)
    await eyes.connected()
    executors = worker.executors()
    assert len(executors) == 2
    handles = [os.pidfd_open(pid) for pid in executors]
    loop = asyncio.get_running_loop()
    gone = [asyncio.Event() for _ in handles]
    for handle, event in zip(handles, gone, strict=True):
        loop.add_reader(handle, event.set)
    worker.kill()
    async with asyncio.timeout(60):
        for event in gone:
            await event.wait()
    for handle in handles:
        loop.remove_reader(handle)
        os.close(handle)


async def test_a_worker_may_start_before_registry_and_engine(
    bus: Bus, start_service, workers: Workers, path: str
) -> None:
    eyes = Eyes(bus, workers)
    workers.start(FLOWS)
    await eyes.connected()
    await start_service(RegistryService)
    await start_service(EngineService)
    assert (await eyes.until_final(await eyes.trigger("steps", path=path, count=1))).run.state == "COMPLETED"


async def test_runs_outlive_a_restart_of_nats(eyes: Eyes, workers: Workers, path: str, nats_server) -> None:
    workers.start(FLOWS)
    await eyes.connected()
    run = await eyes.trigger("steps", path=path, count=100, seconds=0.02)
    await eyes.until_tasks(run, 5)
    nats_server.kill()
    await asyncio.sleep(1)
    nats_server.start()
    history = await eyes.until_final(run)
    assert history.run.state == "COMPLETED"
    assert history.run.epoch == 1
    assert traced(path) == [str(n) for n in range(100)]
    assert (await eyes.until_final(await eyes.trigger("steps", path=path, count=1))).run.state == "COMPLETED"


async def test_other_queues_are_left_alone(eyes: Eyes, workers: Workers, path: str) -> None:
    workers.start(FLOWS, name="gpu", queue="gpu")
    await eyes.connected("gpu")
    run = await eyes.trigger("steps", path=path, count=1)
    await eyes.until_state(run, "PENDING")
    workers.start(FLOWS, name="plain")
    assert (await eyes.until_final(run)).run.client_name == "plain"


async def test_a_worker_waits_for_nats_and_can_be_stopped_meanwhile(workers: Workers, nats_server) -> None:
    called = asyncio.Semaphore(0)

    def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        called.release()

    async with await asyncio.start_server(refuse, "127.0.0.1") as nobody:
        worker = workers.start(FLOWS, nats=f"nats://127.0.0.1:{nobody.sockets[0].getsockname()[1]}")
        for _ in range(2):  # it comes again
            await asyncio.wait_for(called.acquire(), 60)
        worker.signal(signal.SIGTERM)
        assert await worker.exit_code() == 0


async def test_a_supervisor_that_stood_still_starts_its_executors_anew(
    eyes: Eyes, workers: Workers, path: str, settings: Settings
) -> None:
    """Nobody else took the run (nobody was there): it goes on here, in the next epoch."""
    worker = workers.start(FLOWS)
    await eyes.connected()
    run = await eyes.trigger("steps", path=path, count=1000, seconds=0.01)
    await eyes.until_tasks(run, 5)
    before = worker.executors()
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(settings.lease_s + settings.presence_every_s + 1)
    worker.signal(signal.SIGCONT)
    history = await eyes.until_final(run)
    assert history.run.state == "COMPLETED"
    assert history.run.epoch >= 2
    assert not set(before) & set(worker.executors())
