"""A filling hall on real stacks through power cuts, and through two days without the service.

    python -m tests.campaigns.hall [--seed 1] [--cuts 4] [--rounds 1]     (make campaign-hall)

UHF module with a bar-code scanner, PN532 and PC/SC reader (a pcscd of its own), indicators on a
serial line and behind Modbus, guns behind Modbus, `suyuan-edge run` with the snapshot that the
service signed, `suyuan-cloud broker` and `serve` with certificates. People press the page of the
gates.

1. The hall works with the service; the gateway's power is cut (SIGKILL) once when a gun is open and
   no gas has come yet, and then at random instants.
2. Service and broker end. The hall works on; the gateway is started again with its clock a day and
   then 49 hours later: **the two days themselves are not waited for**. What is moved is what
   `time.time` and `time.time_ns` of Python say in gateway and service, and the clock of mosquitto
   (libfaketime); the clock since boot and the kernel keep the machine's. By then the snapshot is
   ageing, and only what was filled here before is filled.
3. It is truncated and forged on the disk; four days later it is expired; a clock that nobody ever
   set, and one that is set back to 49 hours over a start or under way, are trusted by nobody:
   nothing is filled. Where the service cannot tell the time, `suyuan-edge clock-checked` does.
4. Where the service was, somebody offers forged, changed, truncated, foreign and older snapshots
   and one from the future, to a gateway that keeps nothing and to one that keeps an ageing one, and
   one that has expired.
5. The service is back, with the gateway's clock; what was spooled arrives.

Exit 0 only if no decision was wrong, and no record was lost or is there twice, by a count that asks
bottles, valves, log and registry and not the gateway (`hall_ledger`).
"""

import argparse
import asyncio
import contextlib
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edge.status import read_status
from protocols.records import Fill, Reply
from simulators.filling_hall import has_snapshot, lacking, load_story, open_pcscd
from simulators.hall import Hall
from simulators.hall_crew import Result
from simulators.hall_story import Expect, Visit
from simulators.processes import Child, module_command, module_environment
from simulators.trusted_platform import TrustedPlatform
from simulators.waiting import until
from tests.campaigns.audit import edge_last_seqs, logged_batches
from tests.campaigns.hall_clock import HOUR_S, Clocks
from tests.campaigns.hall_ledger import Ledger, Recorded, Shown, balance, table
from tests.campaigns.hall_offers import (
    FalseService,
    Genuine,
    Offer,
    bad_offers,
    expired,
    genuine,
    older,
)

TAKES = "six minutes, more on a busy machine"
CUT_AFTER_S = 3.0, 12.0
DRAINED_S = 300.0
OFFERED_S = 120.0
"""The gateway asks within five seconds of its start."""
DAY_H = 24
AGEING_H, EXPIRED_H = 49, 100
NEVER_SET_H = -200_000
"""A clock that begins at the start of its time, as one without a battery does."""
WITH_SERVICE, OFFLINE = "with the service, power cuts", "two days without it"
ON_DISK, CLOCKS = "bad snapshot on the disk", "clock unset, set back"
OFFERED, BACK = "bad snapshot offered", "the service is back"
_FILLS_MAX = 1_000


class Campaign:
    """One hall, one platform; `run` goes through all of it."""

    def __init__(self, hall: Hall, platform: TrustedPlatform, rng: random.Random) -> None:
        self.hall, self.platform, self._rng = hall, platform, rng
        self.shown = Shown()
        self.faults: list[str] = []
        """What is wrong with the campaign itself, or with batches."""
        self._clocks = Clocks(platform.folder)
        self._gateway: Child | None = None
        story = hall.story
        self._good = next(one for one in story.visits if one.expect.outcome == "filled")
        self._kept = platform.state / "snapshot"

    async def run(self, cuts: int, rounds: int) -> tuple[Recorded, Ledger]:
        """Go through all phases."""
        story, platform = self.hall.story, self.platform
        await platform.start()
        await platform.register(story)
        await platform.enrol(story.gateway, self.hall.site())
        self.start()
        await has_snapshot(self.hall, platform)
        issued = genuine(platform.state, platform.data)
        services = list(platform.family.children[:2])
        for _ in range(rounds):
            await self._with_cuts(cuts)
        for child in reversed(services):
            platform.end(child)
        await self._without_service()
        await self._bad_snapshots()
        await self._bad_clocks()
        await self._bad_offers(issued)
        self.restart(AGEING_H)
        await platform.start_service(self._clocks.at(AGEING_H))
        await has_snapshot(self.hall, platform)
        await self._work(BACK, story.visits[:2])
        await self._drained()
        self.stop()
        return await self._recorded()

    # --- phases ----------------------------------------------------------------------------------

    async def _with_cuts(self, cuts: int) -> None:
        working = asyncio.create_task(self._work(WITH_SERVICE))
        cutting = asyncio.create_task(self._cut(cuts))
        await working
        cutting.cancel()
        await asyncio.wait([cutting])

    async def _cut(self, cuts: int) -> None:
        """Cut the gateway's power: first between a verdict and the gas, then at any time."""
        places = self.hall.places.values()
        for place in places:
            place.hand_valve_shut = True
        while not any(place.gun.open for place in places):
            await asyncio.sleep(0.01)
        self._cut_now()
        for place in places:
            place.hand_valve_shut = False
        for _ in range(cuts - 1):
            await asyncio.sleep(self._rng.uniform(*CUT_AFTER_S))
            self._cut_now()

    def _cut_now(self) -> None:
        self.stop(kill=True)
        self.shown.cuts_s.append(asyncio.get_running_loop().time())
        self.start()

    async def _without_service(self) -> None:
        """Work on for two days of the clock, without anybody to ask."""
        known = [one for one in self.hall.story.visits if one.operator == "calm"]
        await self._work(OFFLINE, known)
        self.restart(DAY_H)
        await self._work(OFFLINE, known[:4])
        self.restart(AGEING_H)
        await self._work(OFFLINE, [self._good])
        await self._work(OFFLINE, [self._new("snapshot_ageing")])

    async def _bad_snapshots(self) -> None:
        """Let nothing be filled by what is kept on the disk and is not sound, or too old."""
        with self._restored():
            for reason, hours, harm in (
                ("snapshot_none", AGEING_H, truncate),
                ("snapshot_none", AGEING_H, forge),
                ("snapshot_expired", EXPIRED_H, None),
            ):
                self.stop()
                if harm is not None:
                    harm(self._kept)
                self.restart(hours)
                await self._undecided(ON_DISK, reason)
                self._restore()

    async def _bad_clocks(self) -> None:
        """Let nothing be filled by a clock that is not right; a person says when it is again."""
        self.restart(NEVER_SET_H)
        await self._undecided(CLOCKS, "clock_unset")
        self.restart(AGEING_H)  # it was 100 hours before
        await self._undecided(CLOCKS, "clock_unset")
        await self._check_clock()
        await self._work(CLOCKS, [self._good])
        self._clocks.turn(AGEING_H, AGEING_H + 2)
        await self._work(CLOCKS, [self._new("snapshot_ageing")])
        self._clocks.turn(AGEING_H, AGEING_H)
        await self._undecided(CLOCKS, "clock_set_back")
        await self._check_clock()
        await self._work(CLOCKS, [self._good])

    async def _check_clock(self) -> None:
        self.stop()
        told = ("--state", str(self.platform.state), "--name", "王伟", "--why", "days ahead")
        done = await asyncio.to_thread(
            subprocess.run,
            [*self._clocks.at(AGEING_H), *module_command("edge", "clock-checked", *told)],
            env={**os.environ, **module_environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self.faults.append(f"clock-checked: {done.stderr}")
        self.restart(AGEING_H)

    async def _bad_offers(self, issued: Genuine) -> None:
        """Let nothing be filled by what comes over the network and is not the service's word."""
        data, stranger = self.platform.data, self.platform.folder / "stranger"
        now_ms = int((time.time() + AGEING_H * HOUR_S) * 1000)
        bad = bad_offers(issued, self.hall.story, data, now_ms, stranger)
        with self._restored():
            for offer in bad:
                await self._offer(offer, keeps=False)
                await self._undecided(OFFERED, "snapshot_none")
            late = expired(issued, data, now_ms)
            await self._offer(late, keeps=False)
            await self._undecided(OFFERED, "snapshot_expired")
        for offer in (*bad, older(issued, data, now_ms)):
            await self._offer(offer, keeps=True)
            await self._work(OFFERED, [self._new("snapshot_ageing")])
        await self._work(OFFERED, [self._good])

    async def _offer(self, offer: Offer, *, keeps: bool) -> None:
        """Start the gateway, with what it kept or without, and let it see an offer."""
        self.stop()
        if not keeps:
            shutil.rmtree(self._kept)
        self.shown.refusable |= {offer.refused} - {""}
        counter = "snapshots_refused" if offer.refused else "snapshots_taken"

        async def judged() -> bool | None:
            status = await asyncio.to_thread(read_status, self.platform.state)
            return True if status and status.get("counters", {}).get(counter) else None

        with FalseService(self.platform.http_port, offer):
            self.restart(AGEING_H)
            await until(
                judged,
                timeout_s=OFFERED_S,
                what=f"a snapshot is judged: {offer.about}",
                alive=lambda: None,
            )
        print(f"  offered, {'beside a kept one' if keeps else 'alone'}: {offer.about}", flush=True)

    # --- what is done at the places --------------------------------------------------------------

    async def _work(self, phase: str, visits: Sequence[Visit] | None = None) -> None:
        self.shown.phases.setdefault(phase, []).extend(await self.hall.work(visits))

    async def _undecided(self, phase: str, reason: str) -> None:
        """Bring a good bottle of which nothing may be decided."""
        expect = Expect(outcome="undecided", reasons=(reason,))
        await self._work(phase, [msgspec.structs.replace(self._good, expect=expect)])

    def _new(self, reason: str) -> Visit:
        """Return the visit of a bottle that was never filled here, which a fresh list would let."""
        return Visit(
            place=self.hall.story.places[0].id,
            bottle="unfilled",
            about="never filled at this gateway",
            expect=Expect(outcome="undecided", reasons=(reason,)),
        )

    # --- the gateway -----------------------------------------------------------------------------

    def start(self, prefix: Sequence[str] = ()) -> None:
        """Start the gateway."""
        self._gateway = self.platform.start_gateway(prefix)

    def stop(self, *, kill: bool = False) -> None:
        """End it."""
        if self._gateway is not None:
            self.platform.end(self._gateway, kill=kill)
            self._gateway = None

    def restart(self, hours: int) -> None:
        """Let it go on with a clock that is so much later than the machine's."""
        self.stop()
        self.start(self._clocks.at(hours))

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        """Put the snapshot that is kept now back at the end, whatever became of it."""
        self.stop()
        shutil.copytree(self._kept, self._spare)
        yield
        self._restore()
        shutil.rmtree(self._spare)

    def _restore(self) -> None:
        self.stop()
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self._spare, self._kept)

    @property
    def _spare(self) -> Path:
        return self.platform.folder / "snapshot-spare"

    # --- what came to the service ----------------------------------------------------------------

    async def _drained(self) -> None:
        """Wait until the gateway holds nothing that is not settled."""
        end_s = time.monotonic() + DRAINED_S
        while time.monotonic() < end_s:
            status = await asyncio.to_thread(read_status, self.platform.state)
            if status and status["running"] and not status["spool"]["waiting"]:
                return
            await asyncio.sleep(0.3)
        self.faults.append("the gateway's card does not drain")

    async def _recorded(self) -> tuple[Recorded, Ledger]:
        """Read log and registry, and hold them against what was seen."""
        gateway, platform, shown = self.hall.story.gateway, self.platform, self.shown
        _, found = await platform.api.call("GET", f"/api/v1/gateways/{gateway}")
        settled = {(one["spool"], one["stream"]): one["through"] for one in found["spools"]}
        given = edge_last_seqs(platform.state)
        for line, last in given.items():
            if last and settled.get(line) != last:
                self.faults.append(f"{line}: given out to {last}, settled {settled.get(line)}")
        records = [
            record
            for batch in logged_batches(f"sqlite:///{platform.data / 'log.db'}")
            for _, record in batch.taken()
        ]
        fills = [one for one in records if isinstance(one, Fill)]
        registered, batches = await self._registered(fills), sum(given.values())
        recorded = Recorded(fills, registered, refusals(records), batches)
        for name, place in self.hall.places.items():
            shown.opened[name] = place.opened
        return recorded, balance(self.hall.story, shown, recorded)

    async def _registered(self, fills: Sequence[Fill]) -> Sequence[Mapping[str, Any]]:
        """Return the registry's fillings, once it has taken all that the log has."""
        wanted = sum(one.step == "released" for one in fills)
        path = f"/api/v1/cylinder-fills?gateway={self.hall.story.gateway}&limit={_FILLS_MAX}"
        end_s = time.monotonic() + DRAINED_S
        while True:
            _, found = await self.platform.api.call("GET", path)
            if len(found) >= wanted or time.monotonic() > end_s:
                return list(found)
            await asyncio.sleep(0.5)


def refusals(records: Sequence[object]) -> frozenset[str]:
    """Return for which reasons a gateway said that it refused a snapshot."""
    return frozenset(
        str(one.result["reason"])
        for one in records
        if isinstance(one, Reply) and one.command_id == "snapshot:refused"
    )


def truncate(kept: Path) -> None:
    """Cut off the end of the base, as a card does that was pulled out."""
    for path in kept.glob("*.whole"):
        path.write_bytes(path.read_bytes()[:-200])


def forge(kept: Path) -> None:
    """Change what was signed."""
    path = kept / "kept.json"
    text = path.read_text()
    path.write_text(text.replace("hall-gas", "hall-gaz"))


class Report:
    """What a campaign found; `faults` says what must not be."""

    def __init__(self, campaign: Campaign, recorded: Recorded, ledger: Ledger) -> None:
        self.shown, self.recorded, self.ledger = campaign.shown, recorded, ledger
        self.faults = ledger.faults + campaign.faults

    def print(self) -> None:
        """Show it."""
        print("\n".join(["", *table(self.shown, self.recorded, self.ledger)]))
        for fault in self.faults:
            print(f"  FAULT: {fault}")
        print(f"  wrong, lost or doubled: {len(self.faults)}")


async def run(seed: int, cuts: int, rounds: int) -> Report:
    """Run the campaign in a folder of its own."""
    story = load_story()
    if (why := lacking(story)) is not None:
        raise SystemExit(f"not run: {why}")
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hall-")))
        daemon = open_pcscd(stack, story, folder)
        platform = TrustedPlatform(folder, daemon.environment)
        stack.callback(platform.family.stop)
        hall = Hall(story, folder, dial=daemon.dial, tell=_tell)
        await hall.open(stack)
        campaign = Campaign(hall, platform, random.Random(seed))
        return Report(campaign, *await campaign.run(cuts, rounds))


def _tell(result: Result) -> None:
    visit = result.visit
    told = result.fault or f"{result.outcome} {result.block} {result.flowed_kg:.2f} kg"
    print(f"  {visit.place} {visit.bottle}: {told}", flush=True)


def main() -> None:
    """Run, show, exit 1 if anything is wrong or lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cuts", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # a killed gateway hangs up on it
    print(f"The hall, its gateway, broker and service: {TAKES}.", flush=True)
    report = asyncio.run(run(options.seed, options.cuts, options.rounds))
    report.print()
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
