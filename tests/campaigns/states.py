"""What the design says of lost acks and of folders that were put back or lost; prints ledgers.

    python -m tests.campaigns.states

Four cases under load, each on a system of its own: acks lost for a while; the gateway's folder
replaced by a copy some seconds old, taken from under the running daemon as an unsynced power cut
leaves it; the gateway's folder deleted; the cloud's folder put back by some commits.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.campaigns.audit import (
    Audit,
    audit_ledger,
    audit_values,
    edge_last_seqs,
    wait_drained,
)
from tests.support.ack_relay import AckRelay
from tests.support.stack import Stack

LOAD_S = 6.0
LIFTS = 40


def acks_lost(folder: Path, lost_s: float) -> Audit:
    """Lose every ack for `lost_s`; nothing may be lost or doubled."""
    stack = Stack(folder, lifts=LIFTS, poll_interval_s=0.2)
    relay = AckRelay(stack.broker.port)
    relay.start()
    stack.write_site(relay.port, 0.2)
    try:
        stack.start()
        time.sleep(LOAD_S)
        relay.deaf = True
        time.sleep(lost_s)
        relay.deaf = False
        time.sleep(LOAD_S)
        audit = _close(stack)
        print(f"  acks lost            {relay.lost}")
        return audit
    finally:
        stack.stop()
        relay.stop()


def card_put_back(folder: Path) -> Audit:
    """Replace the gateway's folder by an older copy; what that hides is declared."""
    stack, copy = Stack(folder, lifts=LIFTS, poll_interval_s=0.2), folder / "card-copy"
    try:
        stack.start()
        time.sleep(LOAD_S)
        shutil.copytree(stack.edge_state, copy, ignore=shutil.ignore_patterns("*.sock"))
        time.sleep(LOAD_S)
        stack.edge.kill()
        before = edge_last_seqs(stack.edge_state)
        shutil.rmtree(stack.edge_state)
        shutil.move(copy, stack.edge_state)
        stack.edge.start()
        time.sleep(LOAD_S)
        return _close(stack, lost_card=before)
    finally:
        stack.stop()


def card_lost(folder: Path) -> Audit:
    """Delete the gateway's folder; the cloud learns that a tail is unknown."""
    stack = Stack(folder, lifts=LIFTS, poll_interval_s=0.2)
    try:
        stack.start()
        time.sleep(LOAD_S)
        stack.edge.kill()
        before = edge_last_seqs(stack.edge_state)
        shutil.rmtree(stack.edge_state)
        stack.edge.start()
        time.sleep(LOAD_S)
        return _close(stack, lost_card=before)
    finally:
        stack.stop()


def cloud_put_back(folder: Path) -> Audit:
    """Put the cloud's folder back by some commits; what it forgot is declared by the gateway."""
    stack, copy = Stack(folder, lifts=LIFTS, poll_interval_s=0.2), folder / "cloud-copy"
    try:
        stack.start()
        time.sleep(LOAD_S)
        stack.cloud.kill()
        shutil.copytree(stack.cloud_data, copy)
        stack.cloud.start()
        stack.wait_ready()
        time.sleep(LOAD_S)
        stack.cloud.kill()
        shutil.rmtree(stack.cloud_data)
        shutil.move(copy, stack.cloud_data)
        stack.cloud.start()
        stack.wait_ready()
        time.sleep(LOAD_S)
        audit = _close(stack)
        if audit.declared_lost == 0:
            audit.faults.append("the cloud forgot commits and nobody declared them")
        return audit
    finally:
        stack.stop()


def _close(stack: Stack, lost_card: dict[tuple[str, str], int] | None = None) -> Audit:
    audit = Audit()
    stack.lifts.child.kill()
    time.sleep(3)
    wait_drained(stack)
    stack.edge.stop()
    time.sleep(1)
    last_seqs = edge_last_seqs(stack.edge_state)
    if lost_card:
        _audit_lost_card(stack, audit, lost_card, last_seqs)
        last_seqs = {key: last for key, last in last_seqs.items() if key not in lost_card}
    audit_ledger(stack, audit, last_seqs)
    stack.cloud.stop()
    audit_values(stack.cloud_data, audit)
    return audit


def _audit_lost_card(
    stack: Stack,
    audit: Audit,
    lost_card: dict[tuple[str, str], int],
    now: dict[tuple[str, str], int],
) -> None:
    """Every batch of a lost card is stored, declared lost, or behind an unknown tail."""
    rows = {(row["spool"], row["stream"]): row for row in stack.ledger()}
    for key, last in lost_card.items():
        row = rows.get(key)
        if row is None:
            if last:
                audit.faults.append(f"{key}: {last} batches, and the cloud knows nothing of it")
            continue
        known = row["batches"] + row["declared_lost"]
        audit.stored += row["batches"]
        audit.declared_lost += row["declared_lost"]
        audit.duplicates_dropped += row["duplicates"]
        audit.unknown_tails += row["unknown_tail"]
        audit.produced += known if row["unknown_tail"] else last
        if row["received"]:
            audit.faults.append(f"{key}: holes nobody declared: {row['received']}")
        complete = row["through"] == last and now.get(key) == last
        if not complete and not row["unknown_tail"]:
            audit.faults.append(f"{key}: gave out {last}, {known} known, tail not called unknown")


def run_case(name: str, case: Callable[[Path], Audit]) -> bool:
    """Run one case and print its ledger; True when all adds up."""
    folder = Path(tempfile.mkdtemp(prefix=f"suyuan-{name}-"))
    print(f"{name} (in {folder})")
    audit = case(folder)
    audit.print()
    lost = audit.produced - audit.stored - audit.declared_lost
    return not (audit.faults or lost or audit.values_doubled)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--acks-lost-s", type=float, default=60)
    parser.add_argument("--case", default="")
    options = parser.parse_args()
    cases: dict[str, Callable[[Path], Audit]] = {
        "acks-lost": lambda folder: acks_lost(folder, options.acks_lost_s),
        "card-put-back": card_put_back,
        "card-lost": card_lost,
        "cloud-put-back": cloud_put_back,
    }
    chosen = {options.case: cases[options.case]} if options.case else cases
    results = {name: run_case(name, case) for name, case in chosen.items()}
    for name, good in results.items():
        print(f"{name:16} {'all adds up' if good else 'FAULTS'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
