"""From the messages of a weighing indicator to readings of its asset: only what changed."""

from collections.abc import Iterator

from edge.sources.base import MovingWeight, Sample, Seen, WeightSeen
from protocols.catalog.defaults import defaults
from protocols.readings import Quality, Value
from protocols.weighing.decode import MOVING

_ONLINE = "controller_online"
_SNAPSHOT_MS = int(defaults().reporting.snapshot_interval_s * 1000)
PACE_MS = 500
"""A weight that trembles by a digit is told again after so long; a change of anything else, or
from a weight to none, at once."""

Found = tuple[Value, Quality]


class WeightReadings:
    """Handles one scale. Its weights are null as soon as it is silent or gone."""

    def __init__(self, asset: str) -> None:
        self._asset = asset
        self._told: dict[str, Found] = {}
        self._told_at_ms = self._snapshot_at_ms = 0
        self._online = True
        self.counters = {"weights": 0}

    def handle(self, seen: Seen, at_boot_ms: int) -> Iterator[Sample | MovingWeight]:
        """Report what a message changes, or all of it when a snapshot is due.

        A weight that moves is told with every message: the gun is closed by it.
        """
        if not isinstance(seen, WeightSeen):
            return
        online = bool(seen.values.get(_ONLINE, True))
        if online != self._online:
            self._online = online
            yield self._sample(at_boot_ms, {_ONLINE: (online, "good")}, urgent=True)
        if not online:
            lost: dict[str, Found] = dict.fromkeys(self._told, (None, "stale"))
            yield from self._tell(lost, at_boot_ms)
            return
        self.counters["weights"] += 1
        moving_kg = seen.values.get(MOVING)
        if isinstance(moving_kg, float):
            yield MovingWeight(self._asset, at_boot_ms, moving_kg)
        found = {
            name: (value, seen.quality.get(name, "good"))
            for name, value in seen.values.items()
            if name not in (_ONLINE, MOVING)
        }
        if at_boot_ms >= self._snapshot_at_ms:
            self._snapshot_at_ms = at_boot_ms + _SNAPSHOT_MS
            self._told.clear()
        yield from self._tell(found, at_boot_ms)

    def passed(self, at_boot_ms: int) -> Iterator[Sample]:
        """Tell nothing: an indicator's silence is told by its driver."""
        del at_boot_ms
        yield from ()

    def resumed(self, broke_at_ms: int, at_boot_ms: int) -> None:
        """Need nothing: what the scale says next is told."""

    def _tell(self, found: dict[str, Found], at_boot_ms: int) -> Iterator[Sample]:
        changed = {name: one for name, one in found.items() if self._told.get(name) != one}
        paced = all(self._trembles(name, one) for name, one in changed.items())
        if not changed or (paced and at_boot_ms - self._told_at_ms < PACE_MS):
            return
        self._told |= changed
        self._told_at_ms = at_boot_ms
        yield self._sample(at_boot_ms, changed)

    def _trembles(self, name: str, found: Found) -> bool:
        before = self._told.get(name, (None, "good"))[0]
        return type(before) is type(found[0]) is float

    def _sample(self, at_boot_ms: int, found: dict[str, Found], *, urgent: bool = False) -> Sample:
        return Sample(
            asset=self._asset,
            at_boot_ms=at_boot_ms,
            stream="alarm" if urgent else "data",
            values={name: value for name, (value, _) in found.items()},
            quality={name: quality for name, (_, quality) in found.items() if quality != "good"},
        )
