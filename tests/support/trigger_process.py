"""A process that raises alerts from many threads as fast as it can, beside others that do the same.

    python -m tests.support.trigger_process URL TRIGGERS THREADS SEED ASSETS

Each trigger is a transaction of its own that fires one alert of one of a few assets. Prints how
many were carried out.
"""

import random
import sys
from concurrent.futures import ThreadPoolExecutor

from cloud.alarms.desk import AlarmDesk
from cloud.feed.store import FeedStore
from cloud.model.database import Database
from cloud.model.transition import Transition
from protocols.clock import SystemClock

ALERTS = ("Entrapment", "CarDoorNotClosing")


def trigger(url: str, triggers: int, threads: int, seed: int, assets: int) -> int:
    """Fire so many alerts; returns how many transactions were committed."""
    database, clock = Database(url, name="state"), SystemClock()
    feed = FeedStore(database, clock)
    desk = AlarmDesk(
        database=database, clock=clock, append_feed=feed.append, on_commit=lambda: None
    )
    rng = random.Random(seed)
    alerts = [(f"elevator:C{rng.randrange(assets)}", rng.choice(ALERTS)) for _ in range(triggers)]

    def fire(one: tuple[str, str]) -> int:
        now_ms = clock.wall_ms()
        fired = Transition(
            asset=one[0],
            alert=one[1],
            severity="emergency" if one[1] == "Entrapment" else "warning",
            change="fired",
            at=now_ms,
            observed_at=now_ms,
        )
        database.write_now(lambda c: desk.apply(c, [fired]))
        return 1

    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(fire, alerts))
    database.close()
    return done


if __name__ == "__main__":
    print(trigger(sys.argv[1], *(int(text) for text in sys.argv[2:6])))
