"""When stream data is taken, and that the decision does not flutter."""

import pytest

from cloud.ingest.gate import Room, RoomLimits, data_taken

LIMITS = RoomLimits(disk_free_bytes_min=100, consumer_lag_ms_max=1_200)


@pytest.mark.parametrize(
    ("free", "lag_ms", "before", "taken"),
    [
        (100, 0, True, True),
        (99, 0, True, False),
        (119, 0, False, False),
        (120, 0, False, True),
        (500, 1_200, True, True),
        (500, 1_201, True, False),
        (500, 1_100, False, False),
        (500, 1_000, False, True),
    ],
)
def test_data_taken(free: int, lag_ms: int, before: bool, taken: bool) -> None:
    room = Room(disk_free_bytes=free, consumer_lag_ms=lag_ms)
    assert data_taken(room, LIMITS, before=before) is taken
