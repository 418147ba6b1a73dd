"""Pushes configurations and software to a gateway, with kills at every step; prints the result.

    python -m tests.campaigns.configuration --pushes 200 --updates 100 --seed 1

Real gateway, launcher, environments, broker and cloud. Exit 0 only if the last good configuration
and the last good software were always what ran, nothing went round in circles, and the card lost
nothing without a word.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from tests.campaigns.audit import Audit, audit_ledger, edge_last_seqs, wait_drained
from tests.campaigns.pushes import Pushes
from tests.campaigns.updates import Updates
from tests.support.stack import Stack


def run_pushes(folder: Path, count: int, seed: int) -> list[str]:
    """Push so many configurations; return what went wrong."""
    campaign = Pushes(folder, seed)
    try:
        campaign.run(count)
        faults = campaign.faults + account(campaign.stack)
    finally:
        campaign.stack.stop()
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(campaign.done.items()))
    print(f"  {count} pushes, {campaign.kills} kills: {kinds}")
    return faults


def run_updates(folder: Path, count: int, seed: int) -> list[str]:
    """Make so many software updates; return what went wrong."""
    campaign = Updates(folder, seed)
    try:
        campaign.run(count)
        faults = campaign.faults + account(campaign.stack)
    finally:
        campaign.stack.stop()
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(campaign.done.items()))
    print(f"  {count} updates, {campaign.kills} kills: {kinds}")
    return faults


def account(stack: Stack) -> list[str]:
    """Let the gateway hand in what it has, and compare what it gave out with what was stored."""
    audit = Audit()
    stack.edge.stop()
    stack.edge.start()  # a last start hands in what the stop left on the card
    stack.lifts.child.kill()
    time.sleep(3)
    wait_drained(stack)
    stack.edge.stop()
    time.sleep(1)
    audit_ledger(stack, audit, edge_last_seqs(stack.edge_state))
    lost = audit.produced - audit.stored - audit.declared_lost
    if lost or audit.declared_lost:
        audit.faults.append(f"{lost} batches lost, {audit.declared_lost} declared lost")
    if (stack.edge_state / "damaged").exists():
        audit.faults.append("the spool was damaged")
    with sqlite3.connect(f"file:{stack.edge_state / 'spool.db'}?mode=ro", uri=True) as spool:
        word = spool.execute("PRAGMA integrity_check").fetchone()[0]
    if word != "ok":
        audit.faults.append(f"the spool is not sound: {word}")
    print(f"  produced {audit.produced}, stored {audit.stored}, lost {lost}")
    return audit.faults


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushes", type=int, default=200)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="suyuan-configuration-"))
    print(f"{options.pushes} pushes, {options.updates} updates, seed {options.seed}, in {folder}")
    started, faults = time.monotonic(), list[str]()
    if options.pushes:
        faults += run_pushes(folder / "pushes", options.pushes, options.seed)
    if options.updates:
        faults += run_updates(folder / "updates", options.updates, options.seed)
    for fault in faults:
        print(f"  FAULT: {fault}")
    print(
        f"{options.pushes} pushes and {options.updates} updates in "
        f"{time.monotonic() - started:.0f} s: {len(faults)} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
