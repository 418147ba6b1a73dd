"""Kills edge, broker, cloud and all together under load; prints the ledger.

    python -m tests.campaigns.kill --kills 80 --seed 1

Load: one real gateway with simulated lifts over Modbus TCP, twenty gateways made by hand with an
out-of-order backlog and repeated batches, and passengers who keep getting trapped. Exit 0 only if
nothing was lost or doubled, neither values nor alarms.
"""

import argparse
import random
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from tests.campaigns.audit import (
    Audit,
    audit_fleet,
    audit_ledger,
    audit_values,
    edge_last_seqs,
    wait_drained,
)
from tests.campaigns.passengers import Passengers
from tests.support.fleet import HandFleet
from tests.support.mosquitto import Mosquitto
from tests.support.stack import Child, Stack

TARGETS = ("edge", "broker", "cloud", "all")
LIFTS = 12
TRAPPED_LIFTS = 3


def kill(stack: Stack, target: str, rng: random.Random) -> None:
    """Kill one part, or all, and start it again a moment later."""
    parts: dict[str, Child | Mosquitto] = {
        "edge": stack.edge,
        "broker": stack.broker,
        "cloud": stack.cloud,
    }
    chosen = list(parts) if target == "all" else [target]
    rng.shuffle(chosen)
    for name in chosen:
        parts[name].kill()
    time.sleep(rng.uniform(0.1, 1.0))
    for name in ("broker", "cloud", "edge"):
        if name in chosen:
            parts[name].start()
    if "cloud" in chosen:
        stack.wait_ready(60)


def run(folder: Path, kills: int, seed: int) -> Audit:
    """Run the campaign in `folder` and return its account."""
    rng = random.Random(seed)
    stack = Stack(folder, lifts=LIFTS, poll_interval_s=0.5)
    fleet = HandFleet(20, stack.broker.port, batches_per_s=100, seed=seed)
    order = [TARGETS[number % len(TARGETS)] for number in range(kills)]
    rng.shuffle(order)
    try:
        stack.start()
        fleet.start()
        passengers = Passengers(stack, range(TRAPPED_LIFTS))
        passengers.start()
        for number, target in enumerate(order, 1):
            time.sleep(rng.uniform(0.5, 3.0))
            kill(stack, target, rng)
            print(f"\r  kill {number}/{kills}: {target:6}", end="", flush=True)
        print()
        episodes = passengers.finish()
        return account(stack, fleet, episodes)
    finally:
        stack.stop()


def account(stack: Stack, fleet: HandFleet, episodes: list[str], log_url: str = "") -> Audit:
    """Let everything settle, stop, and compare what was produced with what is there."""
    audit = Audit()
    unsettled = fleet.finish(120)
    if unsettled:
        audit.faults.append(f"{unsettled} batches made by hand never settled")
    stack.edge.stop()
    stack.edge.start()  # a last start hands in what the stop left on the card
    stack.lifts.child.kill()
    time.sleep(3)
    wait_drained(stack)
    stack.edge.stop()
    time.sleep(1)
    audit_ledger(stack, audit, edge_last_seqs(stack.edge_state))
    audit_fleet(stack, audit, fleet)
    _audit_alarms(stack, audit, episodes)
    stack.cloud.stop()
    audit_values(stack.cloud_data, audit, log_url)
    return audit


def _audit_alarms(stack: Stack, audit: Audit, episodes: list[str]) -> None:
    alarms = stack.alarms(alert="Entrapment")
    audit.alarms = len(alarms)
    if len(alarms) != len(episodes):
        audit.faults.append(f"{len(episodes)} entrapments, {len(alarms)} alarms")
    items = [item for item in stack.feed(0) if item["event"] == "alarm"]
    offsets = [item["offset"] for item in items]
    if offsets != sorted(set(offsets)):
        audit.faults.append("feed offsets repeat or fall back")
    states: dict[int, list[tuple[str, str]]] = {}
    for item in items:  # a stronger proof tells the same state again, with other evidence
        told = (item["data"]["state"], item["data"]["evidence"])
        states.setdefault(item["data"]["id"], []).append(told)
    for alarm_id, seen in states.items():
        doubled = [a for a, b in pairwise(seen) if a == b]
        if doubled:
            audit.faults.append(f"alarm {alarm_id} told twice: {seen}")
    missing = {alarm["id"] for alarm in alarms} - set(states)
    if missing:
        audit.faults.append(f"alarms that the feed never told: {sorted(missing)}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="suyuan-kill-"))
    print(f"{options.kills} kills, seed {options.seed}, in {folder}")
    started = time.monotonic()
    audit = run(folder, options.kills, options.seed)
    print(f"ledger after {time.monotonic() - started:.0f} s:")
    audit.print()
    lost = audit.produced - audit.stored - audit.declared_lost
    return 1 if audit.faults or lost or audit.values_doubled else 0


if __name__ == "__main__":
    sys.exit(main())
