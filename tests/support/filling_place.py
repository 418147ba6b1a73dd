"""A filling place on real stacks: UHF module and scale on pseudo-terminals, gun over Modbus TCP.

The daemon runs in this process, or as a child that a test can kill (`python -m` this module).
"""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from edge.agent import Agent
from edge.building import build_all, screen_of
from edge.decode.pairing import identities
from edge.interlock.base import Answered, Named
from edge.interlock.desk import pin_hash
from edge.interlock.gate import Gate
from edge.interlock.hall import Hall
from edge.setup import load_setup
from protocols.catalog.files import data_root
from protocols.clock import SystemClock
from protocols.cylinders.base import Cylinder, MarkedDate, State
from protocols.cylinders.book import book_bytes
from protocols.cylinders.load import load_rules
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import UhfTag, cylinder_tag
from simulators.weighing import Weight
from tests.support.guns import GunServer, modbus_gun
from tests.support.simulated_scales import SerialScaleRig
from tests.support.stations import held

GATEWAY = "gw-fill"
TARE_KG, LIMIT_KG = 16.0, 14.5
BOOK = load_rules(data_root() / "cylinders")
GOOD, OVERDUE, OTHER, UNKNOWN = 1, 2, 3, 4
"""Serial numbers of tags."""


def tag(serial: int) -> UhfTag:
    """Return the tag of a cylinder."""
    return cylinder_tag(serial)


class Issue(msgspec.Struct, frozen=True):
    """The part of a manifest that a gate asks for."""

    number: int = 41


class Registry:
    """What a snapshot of three cylinders would say."""

    def __init__(self, *, checks: bool = True, plain: bool = False) -> None:
        today = datetime.now(UTC) + timedelta(hours=8)
        good = Cylinder(
            code="cylinder:GOOD",
            kind="lpg_household",
            gas="lpg",
            standard="GB 5842-2006",
            manufactured_on=MarkedDate(today.year - 2, 1),
            filler="org-7",
            tare_kg=TARE_KG,
            allowable_fill_kg=LIMIT_KG,
            tag_uids=(tag(GOOD).tid.hex().upper(),),
        )
        overdue = replace(
            good,
            code="cylinder:OVERDUE",
            manufactured_on=MarkedDate(today.year - 6, 1),
            tag_uids=(tag(OVERDUE).tid.hex().upper(),),
        )
        other = replace(good, code="cylinder:OTHER", tag_uids=(tag(OTHER).tid.hex().upper(),))
        self.cylinders: Mapping[str, Cylinder] = {one.code: one for one in (good, overdue, other)}
        book = BOOK if checks else replace(BOOK, checks=())
        self.rules = book_bytes(book)
        self.manifest = Issue()
        self.permits = held("lpg")
        self.state: Literal["fresh", "ageing", "expired"] = "fresh"

    def find(self, code: str) -> Cylinder | None:
        return self.cylinders.get(code)

    def find_tag(self, uid: str) -> str | None:
        return next((c for c, one in self.cylinders.items() if uid in one.tag_uids), None)

    def denied(self, code: str) -> State | None:
        return None

    def state_at(self, now_ms: int) -> Literal["fresh", "ageing", "expired"]:
        return self.state


_SITE = """
schema = 1
gateway_id = "{gateway}"
[uplink]
broker = "mqtt://127.0.0.1:{broker}"
[local]
{screen}
[[readers]]
id = "fill-1"
kind = "uhf_serial"
device = "{module}"
step = "filling"
away_s = 1.0
banks = ["tid"]
[[scales]]
id = "scale-1"
kind = "scale_serial"
asset = "scale:fill-1"
protocol = "comma-line"
device = "{scale}"
[[gates]]
id = "gun-1"
reader = "fill-1"
scale = "scale:fill-1"
filler = "org-7"
gas = "lpg"
settle_s = 1.0
people = [
  {{ id = "op-7", name = "王伟" }},
  {{ id = "m-1", name = "李娜", role = "enterprise_manager", pin = "{pin}" }},
]
{more}
[gates.output]
kind = "modbus_tcp"
gun = "coil-gun"
host = "127.0.0.1"
port = {gun}
unit_id = 7
writes = {{ coil = [0, 1, 2, 3, 4] }}
refresh_s = 0.2
"""


class Devices:
    """What stands at the place."""

    def __init__(self, folder: Path, server: GunServer, scale: SerialScaleRig) -> None:
        self.folder, self.server, self.scale = folder, server, scale
        self.gun = server.gun
        self.module = UhfModule(folder / "uhf")
        self.module.plug()

    def put(self, serial: int, kg: float = TARE_KG) -> None:
        """Put a cylinder on the scale, before the reader."""
        self.scale.show(Weight(kg))
        self.module.field.put(tag(serial))

    def take(self, serial: int) -> None:
        """Take it away."""
        self.module.field.take(tag(serial))
        self.scale.show(Weight(0.0))

    def site(self, broker: int, *, screen: str = "", more: str = "") -> Path:
        """Write the site file."""
        path = self.folder / "site.toml"
        text = _SITE.format(
            gateway=GATEWAY,
            broker=broker,
            screen=f'screen = "{screen}"' if screen else "",
            module=self.folder / "uhf",
            scale=self.folder / "scale",
            gun=self.server.port,
            more=more,
            pin=pin_hash("2468", b"0123456789abcdef"),
        )
        path.write_text(text)
        return path


@contextmanager
def devices(folder: Path) -> Iterator[Devices]:
    """Plug all in for the length of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    with modbus_gun() as server, SerialScaleRig(folder / "scale", "comma-line") as scale:
        found = Devices(folder, server, scale)
        try:
            yield found
        finally:
            found.module.unplug()


class Daemon:
    """The daemon, in this process."""

    def __init__(self, site: Path, state: Path, registry: Registry) -> None:
        state.mkdir(exist_ok=True)
        clock, rng = SystemClock(), random.Random(1)
        setup = load_setup(site, None)
        assert not setup.faults, setup.faults
        self.hall = Hall(state, names=identities, rules=lambda: BOOK, snapshot=lambda: registry)
        self.agent = Agent(
            setup,
            lambda site, catalog: build_all(site, catalog, clock, rng, hall=self.hall),
            state_dir=state,
            clock=clock,
            rng=rng,
            version="1",
            judge=self.hall.judge,
            watch=self.hall.watch,
        )
        self.hall.use(self.agent)
        self.agent.attach(screen_of(self.hall, self.agent, clock))
        self.port = 0
        self.stop = asyncio.Event()

    @property
    def gate(self) -> Gate:
        """Its only gate."""
        return self.hall.gates["gun-1"]

    async def until(
        self, check: Callable[[], object], within_s: float = 8.0, what: str = ""
    ) -> None:
        """Wait until something is so."""
        end_s = time.monotonic() + within_s
        while not check():
            assert time.monotonic() < end_s, f"not in time: {what} {self.gate.state}"
            await asyncio.sleep(0.005)

    async def weighed(self) -> None:
        """Wait until what is here was read and weighed."""
        await self.until(
            lambda: self.gate.state.phase == "judged" and self.gate.state.rest_kg == TARE_KG,
            what="read and weighed",
        )

    def answer_all(self, *, passed: bool = True) -> None:
        """Answer the checklist."""
        judged = self.gate.state.judged
        assert judged is not None
        self.gate.say(Named("op-7"))
        for check in judged.checks:
            self.gate.say(Answered(check, passed))

    async def run(self) -> None:
        """Run until `stop` is set."""
        await self.agent.run(self.stop)


@contextlib.asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[Daemon]:
    """Run a daemon for the length of a block, then stop it cleanly."""
    task = asyncio.create_task(daemon.run())
    await daemon.until(lambda: daemon.gate.state.output.reachable, what="output")
    await daemon.until(lambda: daemon.gate.state.mass.online, what="scale")
    try:
        yield daemon
    finally:
        daemon.stop.set()
        await asyncio.wait_for(task, 10)


async def _child(site: Path, state: Path) -> None:
    """Run with an operator who answers every check at once."""
    daemon = Daemon(site, state, Registry())
    task = asyncio.create_task(daemon.run())
    while not task.done():
        await asyncio.sleep(0.02)
        if daemon.hall.gates and daemon.gate.state.phase == "judged":
            daemon.gate.say(Named("op-7"))
            daemon.answer_all()
    await task


if __name__ == "__main__":
    asyncio.run(_child(Path(sys.argv[1]), Path(sys.argv[2])))
