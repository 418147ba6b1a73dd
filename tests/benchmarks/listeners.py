"""1,000 listeners of the feed (server-sent events) on one core.

python -m tests.benchmarks.listeners [--listeners 1000] [--items 60] [--rate 2]

The server, the service's own application with a real feed over SQLite, runs in a process of its
own on core 0; the listeners run on another core, each with a real connection. Measured: the share
of its core that the server takes while items are appended at the given rate, and how long an
emergency takes from its append to the last byte of it at each listener.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import uvicorn

from cloud.api.server import server_config
from cloud.feed.sse import stream
from protocols.clock import SystemClock
from tests.support.feed_items import FeedWriter
from tests.support.http_services import TOKEN, open_world
from tests.support.mosquitto import free_port

SETTLE_S = 3.0


async def serve(folder: Path, port: int, items: int, rate: float) -> None:
    """Serve the feed; append items once a line comes on standard input."""
    world = await open_world(folder, clock=SystemClock(), pages=False)
    write = FeedWriter(world.database, world.clock)
    stopping = asyncio.Event()

    def events(after: int | None, admits: object = None) -> object:
        return stream(
            write.feed,
            after=after,
            admits=admits,  # type: ignore[arg-type]
            lag_ms=lambda: 0,
            stopping=stopping,
        )

    object.__setattr__(world.services, "stream", events)
    config = server_config(
        world.app,
        ("127.0.0.1", port),
        cert_file="",
        key_file="",
        proxies=[],
        sockets=world.services.sockets,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await asyncio.to_thread(sys.stdin.readline)
    for number in range(items):
        await write.append("alarm", _marked(number))
        await asyncio.sleep(1 / rate)
    await asyncio.to_thread(sys.stdin.readline)
    server.should_exit = True
    stopping.set()
    await serving


def _marked(number: int) -> str:
    data = {"id": number, "asset": "elevator:1", "severity": "emergency", "state": "unacknowledged"}
    return json.dumps(data | {"appended_s": time.monotonic(), "filler": "x" * 500})


async def listen(port: int, latencies: list[float], connected: asyncio.Event) -> None:
    """Hold one connection and note how late each item comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /api/v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    writer.write(head.encode())
    while line := await reader.readline():
        if line.startswith(b"event: heartbeat"):
            connected.set()
        elif line.startswith(b"data: ") and b"appended_s" in line:
            sent_s = json.loads(line[6:])["appended_s"]
            latencies.append(time.monotonic() - sent_s)
    writer.close()


async def measure(port: int, server: "subprocess.Popen[bytes]", given: argparse.Namespace) -> None:
    """Connect all, let items be appended, and print."""
    latencies: list[float] = []
    events = [asyncio.Event() for _ in range(given.listeners)]
    tasks = []
    for event in events:
        tasks.append(asyncio.create_task(listen(port, latencies, event)))
        if len(tasks) % 50 == 0:
            await asyncio.sleep(0.05)
    async with asyncio.timeout(120):
        await asyncio.gather(*(event.wait() for event in events))
    await asyncio.sleep(SETTLE_S)
    process = psutil.Process(server.pid)
    idle = await _share(process, 10.0)
    began, used = time.monotonic(), sum(process.cpu_times()[:2])
    assert server.stdin is not None
    server.stdin.write(b"\n")
    server.stdin.flush()
    wanted = given.listeners * given.items
    async with asyncio.timeout(given.items / given.rate + 120):
        while len(latencies) < wanted:
            await asyncio.sleep(0.2)
    busy = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)
    ordered = sorted(latencies)
    print(f"  listeners             {given.listeners}")
    print(f"  items                 {given.items}, {given.rate:g} a second, {len(ordered)} taken")
    print(f"  core share idle       {idle:.1%}  (a heartbeat each 10 s to everybody)")
    print(f"  core share            {busy:.1%}")
    for name, part in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
        at = min(len(ordered) - 1, int(len(ordered) * part))
        print(f"  emergency {name:11} {ordered[at] * 1_000:.0f} ms")
    print(f"  memory                {process.memory_info().rss / 2**20:.0f} MiB")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _share(process: psutil.Process, seconds: float) -> float:
    used = sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    return float(sum(process.cpu_times()[:2]) - used) / seconds


def main() -> None:
    """Start the server, measure, and stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--serve", nargs=2, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        work = serve(Path(given.serve[0]), int(given.serve[1]), given.items, given.rate)
        asyncio.run(work)
        return
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="listeners-") as folder:
        command = [sys.executable, "-m", "tests.benchmarks.listeners", "--serve", folder, str(port)]
        command += ["--items", str(given.items), "--rate", str(given.rate)]
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            time.sleep(6)
            try:
                asyncio.run(measure(port, server, given))
            finally:
                with contextlib.suppress(OSError):
                    server.communicate(b"\n", timeout=10)
                server.kill()


if __name__ == "__main__":
    main()
