"""Whether stream `data` is taken: a pure decision over what was measured."""

import msgspec


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What the decision is made from."""

    disk_free_bytes: int
    consumer_lag_ms: int
    """Age of the oldest group that some consumer has not passed."""


class RoomLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Where `data` stops; it starts again with a margin, so that it does not flutter."""

    disk_free_bytes_min: int = 512 * 1024 * 1024
    consumer_lag_ms_max: int = 24 * 3600 * 1000
    margin: float = 1.2


def data_taken(room: Room, limits: RoomLimits, *, before: bool) -> bool:
    """Decide whether `data` is taken; `before`: what was decided last."""
    margin = 1.0 if before else limits.margin
    return (
        room.disk_free_bytes >= limits.disk_free_bytes_min * margin
        and room.consumer_lag_ms <= limits.consumer_lag_ms_max / margin
    )
