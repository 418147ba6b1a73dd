"""What a controller file means for decoding, worked out once and shared by all its devices."""

from collections.abc import Sequence
from typing import NamedTuple

from protocols.catalog.point_map import Controller, PointMap, Table
from protocols.catalog.points import Point, load_points
from protocols.modbus.registers import decode_point, width
from protocols.readings import Quality, Value

Found = tuple[Value, Quality]
_KEPT_MAX = 4096


class Slot:
    """One place in the registers that tells a point, or a part of one."""

    __slots__ = ("_kept", "_point", "_word_order", "joined", "name", "urgent", "width")

    def __init__(self, point: PointMap, controller: Controller, *, joined: bool, urgent: bool):
        self.name = point.name
        self.width = width(point)
        self.joined = joined
        """Whether the point is told in several places."""
        self.urgent = urgent
        self._point = point
        self._word_order = controller.word_order
        self._kept: dict[int | tuple[int, ...], Found] = {}

    def decode(self, words: Sequence[int], offset: int) -> Found:
        """Return value and quality; what the same words meant before is remembered."""
        key = words[offset] if self.width == 1 else tuple(words[offset : offset + self.width])
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            raw = words[offset : offset + self.width]
            found = self._kept[key] = decode_point(self._point, raw, self._word_order)
        return found


class Place(NamedTuple):
    """Where a slot stands in a block."""

    slot: Slot
    offset: int


class Codec:
    """A controller file, ready to decode blocks of its registers."""

    def __init__(self, controller: Controller) -> None:
        points = load_points(controller.kind)
        names = [point.name for point in controller.points]
        self.points: dict[str, Point] = {name: points[name] for name in dict.fromkeys(names)}
        self.tells_online = "controller_online" in points
        self.slots_of: dict[str, list[Slot]] = {}
        self._slots: list[tuple[PointMap, Slot]] = []
        for point in controller.points:
            joined, urgent = names.count(point.name) > 1, points[point.name].urgent
            slot = Slot(point, controller, joined=joined, urgent=urgent)
            self._slots.append((point, slot))
            self.slots_of.setdefault(point.name, []).append(slot)
        self._places: dict[tuple[Table, int, int], tuple[Place, ...]] = {}

    def places(self, table: Table, address: int, count: int) -> tuple[Place, ...]:
        """Return the slots that are whole within a block."""
        key = table, address, count
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = tuple(
                Place(slot, point.address - address)
                for point, slot in self._slots
                if point.table == table
                and address <= point.address
                and point.address + slot.width <= address + count
            )
        return places
