"""Takes the broker away under load, kills the gateway meanwhile, and brings it back.

    python -m tests.campaigns.outage --minutes 10

An alarm is raised during the outage. Exit 0 only if it is on the feed within 2 s of the link's
return, live readings never waited behind the backlog, and nothing was lost or doubled.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.campaigns.audit import (
    Audit,
    audit_ledger,
    audit_values,
    edge_last_seqs,
    wait_drained,
)
from tests.support.stack import Stack, wait_until

LIFTS = 20
ALARM_WITHIN_S = 2.0
LIVE_AGE_MAX_S = 3.0


def run(folder: Path, outage_s: float) -> Audit:
    """Run the campaign in `folder`."""
    stack = Stack(folder, lifts=LIFTS, poll_interval_s=0.5)
    try:
        stack.start()
        wait_until(lambda: "car_position" in stack.latest(0), timeout_s=30, what="first readings")
        stack.broker.kill()
        time.sleep(outage_s / 2)
        stack.edge.kill()
        stack.edge.start()
        time.sleep(outage_s / 2 - 2)
        stack.lifts.order(op="fault", lift=3, name="entrapment", evidence="alarm_button")
        time.sleep(2)
        audit = Audit()
        _return_link(stack, audit)
        _watch_live(stack, audit)
        stack.lifts.child.kill()
        time.sleep(3)
        wait_drained(stack, 300)
        stack.edge.stop()
        time.sleep(1)
        audit_ledger(stack, audit, edge_last_seqs(stack.edge_state))
        stack.cloud.stop()
        audit_values(stack.cloud_data, audit)
        return audit
    finally:
        stack.stop()


def _return_link(stack: Stack, audit: Audit) -> None:
    stack.broker.start()
    back = time.monotonic()  # from here on somebody listens; finding that out is part of the time
    wait_until(
        lambda: stack.alarms(stack.asset(3), "Entrapment"),
        timeout_s=30,
        what="the alarm",
        every_s=0.01,
    )
    took = time.monotonic() - back
    audit.alarms = len(stack.alarms(stack.asset(3), "Entrapment"))
    print(f"  alarm after the link's return  {took:.3f} s")
    if took > ALARM_WITHIN_S or audit.alarms != 1:
        audit.faults.append(f"{audit.alarms} alarms, after {took:.3f} s")


def _watch_live(stack: Stack, audit: Audit) -> None:
    """Watch how old the newest reading is while the backlog drains."""
    ages = []
    for floor in range(20):
        stack.lifts.hold(0, car_position=floor % 9 + 1)
        since = time.monotonic()
        _wait_floor(stack, floor % 9 + 1)
        ages.append(time.monotonic() - since)
    open_ranges = sum(len(row["received"]) for row in stack.ledger())
    print(f"  live reading, change to shown  p50 {statistics.median(ages):.2f} s", end="")
    print(f", worst {max(ages):.2f} s; open ranges at the end {open_ranges}")
    if max(ages) > LIVE_AGE_MAX_S:
        audit.faults.append(f"a live reading took {max(ages):.2f} s")


def _wait_floor(stack: Stack, floor: int) -> None:
    wait_until(
        lambda: stack.latest(0).get("car_position", {}).get("value") == floor,
        timeout_s=60,
        what="a live reading",
        every_s=0.02,
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="suyuan-outage-"))
    print(f"broker away for {options.minutes:g} minutes, in {folder}")
    audit = run(folder, options.minutes * 60)
    audit.print()
    lost = audit.produced - audit.stored - audit.declared_lost
    return 1 if audit.faults or lost or audit.values_doubled else 0


if __name__ == "__main__":
    sys.exit(main())
