"""Moves shards between ingesters under load, kills these and the database; prints the ledger.

    python -m tests.campaigns.shards --moves 20 --kills 4 --seed 1

The service runs as separate processes on PostgreSQL: two ingesters that own eight groups, and one
that consumes and serves. Load as in the campaign of kills. Exit 0 only if nothing was lost or
doubled, neither values nor alarms.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.campaigns.audit import Audit
from tests.campaigns.kill import LIFTS, TRAPPED_LIFTS, account
from tests.campaigns.passengers import Passengers
from tests.support.cluster import Cluster
from tests.support.fleet import HandFleet
from tests.support.postgres import BIN, MISSING, Postgres

GATEWAYS, BATCHES_PER_S = 40, 200


def run(folder: Path, moves: int, kills: int, seed: int) -> Audit:
    """Run the campaign in `folder` and return its account."""
    rng = random.Random(seed)
    postgres = Postgres(folder / "postgres")
    postgres.start()
    cluster = Cluster(folder / "cluster", postgres, lifts=LIFTS, poll_interval_s=0.5)
    fleet = HandFleet(GATEWAYS, cluster.stack.broker.port, batches_per_s=BATCHES_PER_S, seed=seed)
    try:
        cluster.start()
        fleet.start()
        passengers = Passengers(cluster.stack, range(TRAPPED_LIFTS))
        passengers.start()
        steps = ["move"] * moves + ["kill"] * kills
        rng.shuffle(steps)
        for number, step in enumerate(steps, 1):
            time.sleep(rng.uniform(0.5, 3.0))
            told = _move(cluster, rng) if step == "move" else _kill(cluster, postgres, rng)
            print(f"  {number}/{len(steps)}: {told}", flush=True)
        episodes = passengers.finish()
        return account(cluster.stack, fleet, episodes, cluster.log_url)
    finally:
        cluster.stop()
        postgres.stop()


def _move(cluster: Cluster, rng: random.Random) -> str:
    row = rng.choice(cluster.groups())
    to = rng.choice([name for name in cluster.ingesters if name != row.owner])
    began = time.monotonic()
    cluster.move(row.name, to)
    return f"{row.name} from {row.owner} to {to} in {time.monotonic() - began:.1f} s"


def _kill(cluster: Cluster, postgres: Postgres, rng: random.Random) -> str:
    """Kill an ingester, for a moment or until another takes over what it had, or the database."""
    name = rng.choice([*cluster.ingesters, "postgres"])
    if name == "postgres":
        postgres.kill()
        time.sleep(3)
        postgres.start()
        return "postgres killed, away for 3 s"
    cluster.ingesters[name].kill()
    away_s = rng.choice([0.5, 8.0])
    time.sleep(away_s)
    cluster.ingesters[name].start()
    cluster.wait_ready(name)
    return f"{name} killed, away for {away_s} s"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if BIN is None:
        print(MISSING)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="suyuan-shards-"))
    print(f"{options.moves} moves, {options.kills} kills, seed {options.seed}, in {folder}")
    started = time.monotonic()
    audit = run(folder, options.moves, options.kills, options.seed)
    print(f"ledger after {time.monotonic() - started:.0f} s:")
    audit.print()
    lost = audit.produced - audit.stored - audit.declared_lost
    return 1 if audit.faults or lost or audit.values_doubled else 0


if __name__ == "__main__":
    sys.exit(main())
