"""A gateway's keeper that takes one issue after another, and is killed: FOLDER of a `Station`."""

import sys
from pathlib import Path

from tests.support.snapshot_station import Station


def main(folder: Path) -> None:
    """Take what was issued, merge now and then."""
    station = Station(folder)
    print("ready", flush=True)
    while station.fetch():
        newest = station.keeper.newest
        assert newest
        print(newest.number, flush=True)
        if newest.number % 4 == 0:
            station.keeper.merge()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
