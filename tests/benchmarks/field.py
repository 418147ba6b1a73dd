"""The bench of a gateway's readers: `make bench-field [SECONDS=30]`.

`cost`: 100 lifts with field-like changes, 4 readers (two UHF modules on serial lines, two over
LLRP) that each see a tag come and go, 2 scanners with a code each second, 2 serial scales in a
filling cycle, ten weights a second each; the daemon's share of a core and its memory. `burst`: 200
scans/s from two scanners through one gateway; every one must arrive, once. `hook`: from a scan's
last byte on the line to the hook that gives a verdict, in the real agent, by scanner and module.
Simulated devices run in this process, over pseudo-terminals and TCP.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from edge.agent import Agent
from edge.building import build_all
from edge.setup import load_setup
from edge.sources.base import Scanned
from protocols.clock import SystemClock
from protocols.records import Scan
from simulators.llrp_reader import LlrpReader
from simulators.plug import SerialPlug
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import cylinder_tag
from simulators.weighing import FRAME_S, FRAMES, Filling
from tests.benchmarks.edge_run import (
    WARM_UP_S,
    Load,
    counters,
    site_file,
    start_gateway,
    start_lifts,
    wait_until_all_answer,
)
from tests.benchmarks.rig import (
    Child,
    Figures,
    Window,
    Worker,
    markdown,
    percentile,
    where_and_when,
)
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_cloud import MqttCloud

LIFTS = Load(100, 4)
TAG_S = 2.0
"""A tag stays so long at a reader, and then another comes."""
BURST_S = 200
HOOK_SCANS = 300
LABEL = b"]Q380030061414112345%04d\r\n"


class Devices(NamedTuple):
    """What hangs on the gateway beside its lifts."""

    modules: list[UhfModule]
    readers: list[LlrpReader]
    scanners: list[SerialPlug]
    indicators: list[SerialPlug]


@contextlib.contextmanager
def plugged(folder: Path) -> Iterator[tuple[Devices, str]]:
    """Plug all in; yield them and their part of the site file."""
    modules = [UhfModule(folder / f"uhf-{number}") for number in range(2)]
    readers = [LlrpReader() for _ in range(2)]
    scanners = [SerialPlug(folder / f"scanner-{number}") for number in range(2)]
    indicators = [SerialPlug(folder / f"indicator-{number}") for number in range(2)]
    for module in modules:
        module.plug()
    for reader in readers:
        reader.start()
    for plug in (*scanners, *indicators):
        plug.plug()
    text = "".join(
        f'[[readers]]\nid = "uhf-{n}"\nkind = "uhf_serial"\ndevice = "{folder}/uhf-{n}"\n'
        f'[[readers]]\nid = "llrp-{n}"\nkind = "llrp"\ndevice = "{readers[n].address}"\n'
        f'[[scanners]]\nid = "scanner-{n}"\nkind = "barcode_serial"\n'
        f'device = "{folder}/scanner-{n}"\n'
        for n in range(2)
    )
    text += "".join(
        f'[[scales]]\nid = "scale-{n}"\nkind = "scale_serial"\nasset = "scale:{n}"\n'
        f'protocol = "comma-line"\ndevice = "{indicators[n].link}"\n'
        for n in range(2)
    )
    try:
        yield Devices(modules, readers, scanners, indicators), text
    finally:
        for module in modules:
            module.unplug()
        for reader in readers:
            reader.stop()
        for plug in (*scanners, *indicators):
            plug.unplug()


def use(devices: Devices, stop: threading.Event, factor: float = 1.0) -> None:
    """Let tags come and go, codes be scanned and cylinders be weighed, until told to stop.

    `factor`: so many times as often as a busy hall.
    """
    fields = [module.field for module in devices.modules]
    fields += [reader.field for reader in devices.readers]
    cycle, write = Filling(), FRAMES["comma-line"]
    began, number, due = time.monotonic(), 0, 0.0
    tags = [cylinder_tag(place + 1) for place in range(len(fields))]
    while not stop.wait(FRAME_S / factor):
        now = time.monotonic() - began
        for indicator in devices.indicators:
            indicator.send(write(cycle.at(now)))
        if now < due:
            continue
        due += 1.0 / factor
        for scanner in devices.scanners:
            scanner.send(LABEL % (number % 10_000))
        if number % round(TAG_S) == 0:
            for place, field in enumerate(fields):
                field.take(tags[place])
                tags[place] = cylinder_tag(1 + place + len(fields) * (number + 1))
                field.put(tags[place])
        number += 1


def busy_hall(stack: ExitStack, load: Load, factor: float = 1.0) -> tuple[Child, Path]:
    """Start lifts, devices in use, broker, ingester and daemon; they end with the stack.

    Returns:
        The daemon, of which every lift has answered, and its state folder.

    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-field-")))
    devices, text = stack.enter_context(plugged(folder))
    broker = Mosquitto(folder / "broker")
    broker.start()
    stack.callback(broker.stop)
    lifts = start_lifts(load)
    stack.callback(lifts.stop)
    ingester = Worker("tests.benchmarks.edge_ingester", "--port", str(broker.port))
    stack.callback(ingester.stop)
    site = folder / "site.toml"
    site.write_text(site_file(load, lifts.ready["ports"], broker.url) + text)
    gateway = start_gateway(site, folder, slow_card=False)
    stack.callback(gateway.stop)
    stop = threading.Event()
    threading.Thread(target=use, args=(devices, stop, factor), daemon=True).start()
    stack.callback(stop.set)
    wait_until_all_answer(gateway, folder / "state", load.lifts)
    return gateway, folder / "state"


def cost(seconds: float) -> Figures:
    """Run 100 lifts and all devices; return what the daemon takes."""
    with ExitStack() as stack:
        gateway, state = busy_hall(stack, LIFTS)
        time.sleep(WARM_UP_S)
        before = counters(state)
        window = Window({"gateway": gateway.pid})
        time.sleep(seconds)
        length_s, used = window.close()
        after = counters(state)
        return {
            "core": used["gateway"].core,
            "rss_mb": used["gateway"].rss_mb,
            "scans_s": (after["scans"] - before["scans"]) / length_s,
            "weights_s": (after["weights"] - before["weights"]) / length_s,
            "kept": 100
            * (after["polls_done"] - before["polls_done"])
            / max(1, after["polls_due"] - before["polls_due"]),
            "written_kb_s": used["gateway"].written_bytes_s / 1000,
        }


async def burst(seconds: float) -> Figures:
    """Send 200 codes a second; count what arrives."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-field-")))
        devices, text = stack.enter_context(plugged(folder))
        broker = Mosquitto(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        cloud = MqttCloud(broker.port, "bench-edge")
        await cloud.start()
        site = folder / "site.toml"
        site.write_text(
            f'schema = 1\ngateway_id = "bench-edge"\n[uplink]\nbroker = "{broker.url}"\n'
        )
        with site.open("a") as file:
            file.write(text)
        gateway = start_gateway(site, folder, slow_card=False)
        stack.callback(gateway.stop)
        await cloud.until(lambda: cloud.states, 20)
        await asyncio.sleep(3)
        sent = await asyncio.to_thread(_send_burst, devices, round(seconds * BURST_S))
        await asyncio.sleep(3)
        came = [
            record.codes[0].value
            for record in cloud.records()
            if isinstance(record, Scan) and record.reader.startswith("scanner")
        ]
        await cloud.stop()
        return {"sent": sent, "came": len(came), "distinct": len(set(came))}


def _head(broker: str) -> str:
    return f'schema = 1\ngateway_id = "bench-edge"\n[uplink]\nbroker = "{broker}"\n'


def _send_burst(devices: Devices, count: int) -> int:
    began = time.monotonic()
    for number in range(count):
        devices.scanners[number % 2].send(b"BURST-%06d\r\n" % number)
        time.sleep(max(0.0, began + (number + 1) / BURST_S - time.monotonic()))
    return count


async def hook() -> list[list[float]]:
    """Return ms from line to hook: of scans by a scanner, and of tags by a module."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-field-")))
        devices, text = stack.enter_context(plugged(folder))
        site = folder / "site.toml"
        site.write_text(_head("mqtt://127.0.0.1:1") + text)
        (folder / "state").mkdir()
        heard: dict[str, float] = {}
        clock, rng = SystemClock(), random.Random(1)

        def judge(scan: Scanned) -> None:
            for code in scan.codes:
                heard.setdefault(code.value, time.perf_counter())

        agent = Agent(
            load_setup(site, None),
            lambda one, catalog: build_all(one, catalog, clock, rng),
            state_dir=folder / "state",
            clock=clock,
            rng=rng,
            version="bench",
            judge=judge,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(3)
        scanned = await asyncio.to_thread(_scan_for_hook, devices, heard)
        seen = await asyncio.to_thread(_tag_for_hook, devices, heard)
        stop.set()
        await running
        return [scanned, seen]


def _scan_for_hook(devices: Devices, heard: dict[str, float]) -> list[float]:
    began = {}
    for number in range(HOOK_SCANS):
        text = f"HOOK-{number:05d}"
        began[text] = time.perf_counter()
        devices.scanners[number % 2].send(f"{text}\r\n".encode())
        time.sleep(0.02)
    time.sleep(1)
    return [(heard[text] - at) * 1000 for text, at in began.items() if text in heard]


def _tag_for_hook(devices: Devices, heard: dict[str, float]) -> list[float]:
    began = {}
    field = devices.modules[0].field
    for number in range(HOOK_SCANS // 4):
        tag = cylinder_tag(50_000 + number)
        began[tag.epc.hex().upper()] = time.perf_counter()
        field.put(tag)
        time.sleep(0.3)
        field.take(tag)
    time.sleep(1)
    return [(heard[epc] - at) * 1000 for epc, at in began.items() if epc in heard]


def main() -> None:
    """Run all three and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    print(f"{where_and_when()}; {options.seconds:g} s\n")
    found = cost(options.seconds)
    names = ("core", "rss_mb", "scans_s", "weights_s", "kept", "written_kb_s")
    head = ["100 lifts, 4 readers, 2 scanners, 2 scales", "core", "RSS MB", "scans/s", "weights/s"]
    head += ["polls kept %", "disk kB/s"]
    cells = [f"{found[name]:.3f}" if name == "core" else f"{found[name]:.1f}" for name in names]
    print(markdown(head, [["the daemon", *cells]]), flush=True)
    came = asyncio.run(burst(options.seconds))
    head = [f"{BURST_S} scans/s", "sent", "arrived", "distinct"]
    print("\n" + markdown(head, [["two scanners", *(f"{came[n]:.0f}" for n in came)]]), flush=True)
    ways = zip(("bar code", "UHF tag, its memory read"), asyncio.run(hook()), strict=True)
    head = ["from the line to the verdict hook", "scans", "p50 ms", "p99 ms"]
    rows = [
        [name, str(len(ms)), f"{percentile(ms, 0.5):.1f}", f"{percentile(ms, 0.99):.1f}"]
        for name, ms in ways
    ]
    print("\n" + markdown(head, rows))


if __name__ == "__main__":
    main()
