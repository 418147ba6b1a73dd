"""Receivers that fail in turns while the process that delivers is killed: nothing is lost.

python -m tests.campaigns.receivers --each 100 --kills 12 --seed 1
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cloud.feed.cap.desk import CapDesk
from cloud.feed.cap.words import load_words
from cloud.feed.words import load_feed_words
from tests.campaigns import receivers_ledger as ledger
from tests.campaigns.receivers_world import DAY_S, HTTP, World, open_world
from tests.support.receivers import ZONE

SETTLE_S = 60.0
LIMIT_S = 560.0


class Result(msgspec.Struct):
    """The figures of a campaign."""

    items: int = 0
    emergencies: int = 0
    faults_made: dict[str, int] = {}
    kills: int = 0
    taken: dict[str, int] = {}
    repeated: dict[str, int] = {}
    cap_documents: int = 0
    under_faults_p50_s: float = 0.0
    under_faults_p99_s: float = 0.0
    wall_s: float = 0.0
    faults: list[str] = []

    def print(self) -> None:
        """Show the ledger."""
        for name, value in msgspec.structs.asdict(self).items():
            if name == "faults":
                continue
            shown = _words(value) if isinstance(value, dict) else value
            print(f"  {name.replace('_', ' '):18} {shown}")
        for fault in self.faults[:50]:
            print(f"  FAULT: {fault}")
        print(f"  faults             {len(self.faults)}")


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


class Campaign:
    """One run."""

    def __init__(self, world: World, *, each: int, kills: int, rng: random.Random) -> None:
        self.world, self.each, self.kills, self.rng = world, each, kills, rng
        self.result = Result()
        self._number = 0
        self._open: list[tuple[str, int]] = []
        self._appended: dict[int, float] = {}
        self._latency: list[float] = []

    async def run(self) -> Result:
        """Fail, kill, settle, and check."""
        began, world = time.monotonic(), self.world
        world.sinks["webhook"].on_taken = self._see
        world.sinks["gone"].way = "410"
        world.start()
        await self._append()
        await self._until(lambda: world.sinks["webhook"].taken, 30)
        self._latency.clear()  # it had to start
        await self._storm()
        await self._closed_doors()
        await self._day_of_errors()
        await self._end_some()
        items = await self.settled()
        await self._check(items)
        self.result.faults_made = dict(world.faults)
        self.result.kills = world.kills
        self.result.wall_s = round(time.monotonic() - began, 1)
        return self.result

    async def _storm(self) -> None:
        """Append while all receivers fail in turns and the process is killed."""
        world, began = self.world, time.monotonic()
        world.plan_faults(self.each)
        kill_at = sorted(self.rng.uniform(0.1, 0.9) for _ in range(self.kills))
        planned = max(1, world.owed())
        while (owed := world.owed()) > 0 and time.monotonic() - began < LIMIT_S - 150:
            await self._append()
            while kill_at and 1 - owed / planned >= kill_at[0]:
                del kill_at[0]
                world.kill()
                self.broker_dies()
            await asyncio.sleep(self.rng.uniform(0.0, 0.15))
        for _ in kill_at:
            world.kill()
            await asyncio.sleep(1)
        if owed:
            self.result.faults.append(f"{owed} planned faults were never met")

    async def _closed_doors(self) -> None:
        """Refuse connections, each time while there is something to send."""
        for turn in range(self.each):
            sink = self.world.sinks[HTTP[turn % len(HTTP)]]
            sink.close()
            await self._append()
            await asyncio.sleep(0.06)
            await sink.open()
            self.world.faults["refused"] += 1

    def broker_dies(self) -> None:
        """Let the broker be killed as well, every other time."""
        if self.world.kills % 2:
            self.world.broker.kill()
            self.world.broker.start()
            self.world.faults["broker killed"] += 1

    async def _day_of_errors(self) -> None:
        """One receiver answers 500 for a day; what waits is many, and emergencies among it."""
        sink = self.world.sinks["webhook"]
        self._appended.clear()  # how long these take says nothing
        sink.way, until = "500", time.monotonic() + DAY_S * min(1.0, self.each / 20)
        self.world.faults["500 for a day"] += 1
        waiting: list[int] = []
        while time.monotonic() < until:
            waiting.append(await self._append())
            await asyncio.sleep(0.2)
        before = len(sink.taken)
        sink.way = "ok"
        together = [*waiting, await self._append(urgent=True)]
        await self._until(lambda: self._owed_to("webhook", together) == 0, SETTLE_S)
        order = [int(one.headers["webhook-id"].rsplit("_", 1)[1]) for one in sink.taken[before:]]
        self._check_order([one for one in order if one in together])

    def _check_order(self, order: list[int]) -> None:
        """Emergencies of the day go before the rest that waited with them."""
        items = self._read()
        urgent = [json.loads(items[one])["severity"] == "emergency" for one in order]
        first_rest = urgent.index(False) if False in urgent else len(urgent)
        late = [order[n] for n in range(first_rest + 1, len(order)) if urgent[n]]
        # one of the rest may have been under way when the receiver came back
        self.result.faults += [f"emergency {one} waited behind the rest" for one in late[1:]]

    async def _end_some(self) -> None:
        """End half of what is open, so that states are cleared."""
        for kind, number in self._open[::2]:
            if kind == "alarm":
                await self._put(kind, number, change="resolved", state="normal")
            else:
                await self._put(kind, number, change="close", state="closed")

    async def _append(self, *, urgent: bool | None = None) -> int:
        """Append one item of any kind."""
        self._number += 1
        kind = self.rng.choice(("alarm", "alarm", "incident"))
        is_urgent = self.rng.random() < 0.4 if urgent is None else urgent
        if kind == "incident" or is_urgent:
            self._open.append((kind, self._number))
            return await self._put(kind, self._number)
        return await self._put("alarm", self._number, severity="warning", alert="DoorNotClosing")

    async def _put(self, kind: str, number: int, **fields: str) -> int:
        write = self.world.write
        offset = await (write.alarm if kind == "alarm" else write.incident)(number, **fields)
        self._appended[offset] = time.monotonic()
        return offset

    def _see(self, request: object) -> None:
        """Measure how long an emergency took to the first receiver."""
        id_: str = request.headers["webhook-id"]  # type: ignore[attr-defined]
        offset = int(id_.rsplit("_", 1)[1])
        began = self._appended.pop(offset, None)
        if began is not None and b'"severity":"emergency"' in request.body.replace(b" ", b""):  # type: ignore[attr-defined]
            self._latency.append(time.monotonic() - began)

    def _read(self) -> dict[int, str]:
        rows = self.world.database.read_now(
            lambda c: c.exec_driver_sql('SELECT "offset", data FROM feed ORDER BY "offset"').all()
        )
        return {row[0]: row[1] for row in rows}

    def _owed_to(self, name: str, offsets: list[int]) -> int:
        taken = {one.headers["webhook-id"] for one in self.world.sinks[name].taken}
        key = self.world.keys[name]
        return sum(f"msg_{key}_{offset}" not in taken for offset in offsets)

    async def settled(self) -> dict[int, str]:
        """Wait until nothing waits any more; return what the feed holds."""

        async def waiting() -> int:
            found = await self.world.book.find(self.world.granted)
            head = max(self._read(), default=0)
            lanes = self.world.database.read_now(
                lambda c: c.exec_driver_sql(
                    'SELECT l.receiver_id, min(l."offset") FROM receiver_lane l '
                    "JOIN receiver r ON r.id = l.receiver_id WHERE r.state = 'active' "
                    "GROUP BY l.receiver_id"
                ).all()
            )
            behind = sum(bool(offset < head) for _, offset in lanes)
            return behind + sum(one.health.waiting for one in found if one.state == "active")

        deadline = time.monotonic() + SETTLE_S
        while await waiting() and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.5)
        return self._read()

    async def _until(self, holds: object, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds() and time.monotonic() < deadline:  # type: ignore[operator]
            await asyncio.sleep(0.05)

    async def _check(self, items: dict[int, str]) -> None:
        world, faults = self.world, self.result.faults
        for name in ("webhook", "signed"):
            taken, key = world.sinks[name].taken, world.keys[name]
            faults += [
                f"{name}: {one}"
                for one in ledger.check_webhook(items, taken, key, world.secrets[name])
            ]
        cap = CapDesk(
            world.database,
            world.clock,
            words=load_words(),
            said=load_feed_words(),
            zone=ZONE,
            base_url="https://city.test",
            seal=world.book._seal,
        )
        issued = {one: data for one, data in items.items() if await cap.document(one) is not None}
        certificate = (await cap.certificate()).decode()
        faults += ledger.check_cap(issued, world.sinks["cap"].taken, world.keys["cap"], certificate)
        faults += ledger.check_alertmanager(items, world.sinks["alertmanager"].taken)
        faults += ledger.check_panel(items, world.panel.taken, world.panel.states)
        faults += ledger.check_mail(items, world.mail.taken, world.keys["mail"])
        faults += await self._check_health(items)
        self._count(items, len(issued))

    async def _check_health(self, items: dict[int, str]) -> list[str]:
        found = {one.name: one for one in await self.world.book.find(self.world.granted)}
        faults = [
            f"{one.name} is {one.state}: {one.health.last_error}"
            for one in found.values()
            if one.state != "active" and one.name != "gone"
        ]
        faults += [f"{one.name} has a gap" for one in found.values() if one.health.gap_items]
        if found["gone"].why != "gone" or self.world.sinks["gone"].taken:
            faults.append("what said 410 was not stopped")
        if not any(json.loads(data)["alert"] == "ReceiverStopped" for data in items.values()):
            faults.append("no alarm says that a receiver was stopped")
        return faults

    def _count(self, items: dict[int, str], documents: int) -> None:
        world, result = self.world, self.result
        result.items, result.cap_documents = len(items), documents
        result.emergencies = sum('"emergency"' in one for one in items.values())
        for name in ("webhook", "signed", "cap", "alertmanager"):
            ids = Counter(one.headers.get("webhook-id", "") for one in world.sinks[name].taken)
            result.taken[name] = len(world.sinks[name].taken)
            if name != "alertmanager":
                result.repeated[name] = ids.total() - len(ids)
        result.taken |= {"mqtt": len(world.panel.taken), "mail": len(world.mail.taken)}
        result.repeated["mqtt"] = len(world.panel.taken) - len(
            {one["offset"] for one in world.panel.taken}
        )
        latency = sorted(self._latency)
        if latency:
            result.under_faults_p50_s = round(latency[len(latency) // 2], 3)
            result.under_faults_p99_s = round(latency[int(len(latency) * 0.99)], 3)


async def campaign(folder: Path, *, each: int, kills: int, seed: int) -> Result:
    """Carry out one run."""
    rng = random.Random(seed)
    async with open_world(folder, rng) as world:
        return await Campaign(world, each=each, kills=kills, rng=rng).run()


def main() -> None:
    """Run, print, and fail when something does not add up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=100, help="faults of each kind")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="receivers-") as folder:
        Path(folder).chmod(0o755)
        work = campaign(Path(folder), each=given.each, kills=given.kills, seed=given.seed)
        result = asyncio.run(work)
    print(f"receivers: {given.each} faults of each kind, seed {given.seed}")
    result.print()
    sys.exit(bool(result.faults))


if __name__ == "__main__":
    main()
