"""A filling hall on real stacks through power cuts, and through two days without the service.

    python -m tests.campaigns.hall [--seed 1] [--cuts 4] [--rounds 1]

UHF module, PN532 and PC/SC reader (a pcscd of its own), indicators on a serial line and behind
Modbus, guns behind Modbus, `suyuan-edge run` with the snapshot that the service signed,
`suyuan-cloud broker` and `serve` with certificates. People press the page of the gates.

1. The hall works with the service; the gateway's power is cut (SIGKILL) at random instants, once
   surely between a verdict and the gas.
2. Service and broker end. The hall works on; the gateway is started again with its clock a day and
   then 49 hours later: **the two days themselves are not waited for**. What is moved is what
   `time.time` and `time.time_ns` of Python say in gateway and service, and the clock of mosquitto
   (libfaketime); the clock since boot and the kernel keep the machine's. By then the snapshot is
   ageing, and only what was filled here before is filled.
3. It is truncated and forged on the disk; four days later it is expired; then the clock is set back
   to 49 hours, which nobody trusts: nothing is filled. `suyuan-edge clock-checked` clears the last.
4. The service is back, with the gateway's clock; what was spooled arrives.

Exit 0 only if nothing became of a bottle that the story does not say, each batch of the gateway is
in the log or told lost, each fill record is there once, and each opening has an end.
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
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.status import read_status
from protocols.records import Fill, Gap
from simulators.filling_hall import has_snapshot, lacking, load_story, open_pcscd
from simulators.hall import Hall
from simulators.hall_crew import Result
from simulators.hall_story import Expect, Visit, asset_of
from simulators.processes import Child, module_command, module_environment
from simulators.trusted_platform import TrustedPlatform
from tests.campaigns.audit import edge_last_seqs, logged_batches
from tests.support.mosquitto import MOSQUITTO

CUT_AFTER_S = 3.0, 12.0
DRAINED_S = 300.0
DAY_H = 24
AGEING_H, EXPIRED_H = 49, 100
_SHIM = """\
import time

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {s}
time.time_ns = lambda: _time_ns() + {s} * 10**9
"""
_BROKER = """\
#!/bin/sh
exec env DONT_FAKE_MONOTONIC=1 faketime -f +{s}s {real} "$@"
"""
CLOSING = frozenset({"weighed", "interrupted"})


@dataclass
class Outcome:
    """What a campaign found; `faults` says what must not be."""

    visits: int = 0
    cuts: int = 0
    cut_before_gas: int = 0
    gas_kg: float = 0.0
    batches: int = 0
    fills: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    faults: list[str] = field(default_factory=list)

    def print(self) -> None:
        """Show it."""
        print(f"visits {self.visits}, gas {self.gas_kg:.1f} kg, power cuts {self.cuts}", end="")
        print(f" ({self.cut_before_gas} between verdict and gas)")
        print(f"batches given out {self.batches}, gap records {self.gaps}")
        print("fill records", ", ".join(f"{n} {step}" for step, n in sorted(self.fills.items())))
        for fault in self.faults:
            print(f"  FAULT: {fault}")
        print(f"wrong or lost: {len(self.faults)}")


class Campaign:
    """One hall, one platform; `run` goes through all of it."""

    def __init__(self, hall: Hall, platform: TrustedPlatform, rng: random.Random) -> None:
        self.hall, self.platform, self._rng = hall, platform, rng
        self.outcome = Outcome()
        self._gateway: Child | None = None

    async def run(self, cuts: int, rounds: int) -> Outcome:
        """Go through all phases."""
        story, platform = self.hall.story, self.platform
        await platform.start()
        await platform.register(story)
        await platform.enrol(story.gateway, self.hall.site())
        self.start()
        await has_snapshot(self.hall, platform)
        services = list(platform.family.children[:2])
        for _ in range(rounds):
            await self._with_cuts(cuts)
        for child in reversed(services):
            platform.end(child)
        await self._without_service()
        await self._bad_knowledge()
        self.restart(AGEING_H)
        await platform.start_service(self._later(AGEING_H))
        await has_snapshot(self.hall, platform)
        self._take(await self.hall.work(story.visits[:2]))
        await self._drained()
        self.stop()
        await self._audit()
        return self.outcome

    # --- phases ----------------------------------------------------------------------------------

    async def _with_cuts(self, cuts: int) -> None:
        working = asyncio.create_task(self.hall.work())
        cutting = asyncio.create_task(self._cut(cuts))
        self._take(await working)
        cutting.cancel()
        await asyncio.wait([cutting])

    async def _cut(self, cuts: int) -> None:
        """Cut the gateway's power: first as soon as a gun may open, then at any time."""
        while not any(
            self.hall.panel.gate(name).get("show") == "fill" and place.flowed_kg == 0
            for name, place in self.hall.places.items()
        ):
            await asyncio.sleep(0.005)
        self._cut_now()
        self.outcome.cut_before_gas += 1
        for _ in range(cuts - 1):
            await asyncio.sleep(self._rng.uniform(*CUT_AFTER_S))
            self._cut_now()

    def _cut_now(self) -> None:
        self.stop(kill=True)
        self.outcome.cuts += 1
        self.start()

    async def _without_service(self) -> None:
        """Work on for two days of the clock, without anybody to ask."""
        story = self.hall.story
        known = [one for one in story.visits if one.operator == "calm"]
        self._take(await self.hall.work(known))
        self.restart(DAY_H)
        self._take(await self.hall.work(known[:4]))
        self.restart(AGEING_H)
        filled = next(one for one in known if one.expect.outcome == "filled")
        self._take(await self.hall.work([filled]))
        new = Visit(
            place=story.places[0].id,
            bottle="unfilled",
            about="never filled at this gateway, and the snapshot is ageing",
            expect=Expect(outcome="undecided", reasons=("snapshot_ageing",)),
        )
        self._take(await self.hall.work([new]))

    async def _bad_knowledge(self) -> None:
        """Let nothing be filled by a bad snapshot, or by a clock that is not right."""
        story = self.hall.story
        good = next(one for one in story.visits if one.expect.outcome == "filled")
        kept = self.platform.state / "snapshot"
        spare = self.platform.folder / "snapshot-spare"
        shutil.copytree(kept, spare)
        for reason, hours, harm in (
            ("snapshot_none", AGEING_H, truncate),
            ("snapshot_none", AGEING_H, forge),
            ("snapshot_expired", EXPIRED_H, None),
            ("clock_unset", AGEING_H, None),
        ):
            self.stop()
            if harm is not None:
                harm(kept)
            self.start(self._later(hours))
            await self._refuses(good, reason)
            self.stop()
            shutil.rmtree(kept)
            shutil.copytree(spare, kept)
        done = await asyncio.to_thread(
            subprocess.run,
            [
                *self._later(AGEING_H),
                *module_command("edge", "clock-checked", "--state", str(self.platform.state)),
                *("--name", "王伟", "--why", "days ahead by mistake"),
            ],
            env={**os.environ, **module_environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self.outcome.faults.append(f"clock-checked: {done.stderr}")

    async def _refuses(self, good: Visit, reason: str) -> None:
        expect = Expect(outcome="undecided", reasons=(reason,))
        self._take(await self.hall.work([msgspec.structs.replace(good, expect=expect)]))

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
        """Let it go on with a clock that is later."""
        self.stop()
        self.start(self._later(hours))

    def _later(self, hours: int) -> tuple[str, ...]:
        return later(self.platform.folder, hours)

    def _take(self, results: list[Result]) -> None:
        self.outcome.visits += len(results)
        self.outcome.gas_kg += sum(one.flowed_kg for one in results)
        self.outcome.faults += [
            f"{one.visit.place} {one.visit.bottle} {one.visit.about}: {one.fault}"
            for one in results
            if one.fault
        ]

    # --- what must hold --------------------------------------------------------------------------

    async def _drained(self) -> None:
        """Wait until the gateway holds nothing that is not settled."""
        end_s = time.monotonic() + DRAINED_S
        while time.monotonic() < end_s:
            status = await asyncio.to_thread(read_status, self.platform.state)
            if status and status["running"] and not status["spool"]["waiting"]:
                return
            await asyncio.sleep(0.3)
        self.outcome.faults.append("the gateway's card does not drain")

    async def _audit(self) -> None:
        outcome, gateway = self.outcome, self.hall.story.gateway
        _, found = await self.platform.api.call("GET", f"/api/v1/gateways/{gateway}")
        settled = {(one["spool"], one["stream"]): one["through"] for one in found["spools"]}
        for line, last in edge_last_seqs(self.platform.state).items():
            outcome.batches += last
            if last and settled.get(line) != last:
                outcome.faults.append(f"{line}: given out to {last}, settled {settled.get(line)}")
        records = [
            record
            for batch in logged_batches(f"sqlite:///{self.platform.data / 'log.db'}")
            for _, record in batch.taken()
            if isinstance(record, Fill | Gap)
        ]
        outcome.gaps = sum(1 for one in records if isinstance(one, Gap))
        fills = [one for one in records if isinstance(one, Fill)]
        outcome.faults += faults_of(fills)
        outcome.fills.update(one.step for one in fills)
        self._compare(fills)

    def _compare(self, fills: list[Fill]) -> None:
        """Compare what flowed with what was recorded: gas without a record is what must not be."""
        released = Counter(one.asset for one in fills if one.step == "released")
        flowed: Counter[str] = Counter()
        for crew in self.hall.crews.values():
            for result in crew.results:
                number, _ = self.hall.story.bottle(result.visit.bottle)
                flowed[asset_of(number)] += result.flowed_kg > 0
        for asset, times in flowed.items():
            if released[asset] < times:
                self.outcome.faults.append(f"{asset}: {times} times gas, {released[asset]} records")


def faults_of(fills: list[Fill]) -> list[str]:
    """Tell which records are there twice, and which openings have no end or no verdict."""
    faults = []
    numbers = Counter((one.gate, one.number) for one in fills)
    faults += [f"{key}: {count} times" for key, count in numbers.items() if count > 1]
    ends = {(one.gate, one.opening) for one in fills if one.step in CLOSING}
    never = {
        (one.gate, one.opening) for one in fills if one.step == "ended" and one.why != "timed_out"
    }
    for one in fills:
        if one.step != "released":
            continue
        if (one.gate, one.number) not in ends | never:
            faults.append(f"{one.gate} {one.number} {one.asset}: opened, and no end is told")
        if one.decision != "fill" and one.override is None:
            faults.append(f"{one.gate} {one.number} {one.asset}: opened by {one.decision}")
    return faults


def later(folder: Path, hours: int) -> tuple[str, ...]:
    """Return what comes before a command of ours whose clock is to be so much later."""
    shim = folder / f"later-{hours}"
    shim.mkdir(exist_ok=True)
    (shim / "sitecustomize.py").write_text(_SHIM.format(s=hours * 3_600))
    broker = shim / "mosquitto"
    broker.write_text(_BROKER.format(s=hours * 3_600, real=MOSQUITTO))
    broker.chmod(0o755)
    modules = os.pathsep.join([str(shim), module_environment()["PYTHONPATH"]])
    programs = os.pathsep.join([str(shim), os.environ["PATH"]])
    return ("env", f"PYTHONPATH={modules}", f"PATH={programs}")


def truncate(kept: Path) -> None:
    """Cut off the end of the base, as a card does that was pulled out."""
    for path in kept.glob("*.whole"):
        path.write_bytes(path.read_bytes()[:-200])


def forge(kept: Path) -> None:
    """Change what was signed."""
    path = kept / "kept.json"
    text = path.read_text()
    path.write_text(text.replace("hall-gas", "hall-gaz"))


async def run(seed: int, cuts: int, rounds: int) -> Outcome:
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
        return await Campaign(hall, platform, random.Random(seed)).run(cuts, rounds)


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
    outcome = asyncio.run(run(options.seed, options.cuts, options.rounds))
    outcome.print()
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
