"""What a controller file means for decoding, worked out once and shared by all its devices."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from protocols.catalog.point_map import Controller, PointMap, Table
from protocols.catalog.points import Point, load_points
from protocols.modbus.registers import decode_point, decode_raw, width
from protocols.readings import Quality, Value

Found = tuple[Value, Quality]
_KEPT_MAX = 4096


class Slot:
    """One place in the registers that tells a point, or a part of one."""

    __slots__ = ("_point", "_word_order", "joined", "kept", "name", "urgent", "width")

    def __init__(self, point: PointMap, controller: Controller, *, joined: bool, urgent: bool):
        self.name = point.name
        self.width = width(point)
        self.joined = joined
        """Whether the point is told in several places, or valid only when others say so."""
        self.urgent = urgent
        self._point = point
        self._word_order = controller.word_order
        self.kept: dict[int, Found] = {}
        """What a single register meant before; of two there are too many to keep."""

    def decode(self, words: Sequence[int], offset: int) -> Found:
        """Return value and quality; what the same register meant before is remembered."""
        if self.width == 2:
            first, second = words[offset : offset + 2]
            if self._word_order == "little":
                first, second = second, first
            return decode_raw(self._point, first << 16 | second)
        word = words[offset]
        found = self.kept.get(word)
        if found is None:
            if len(self.kept) >= _KEPT_MAX:
                self.kept.clear()
            found = self.kept[word] = decode_point(self._point, (word,), self._word_order)
        return found


class Place(NamedTuple):
    """Where a slot stands in a block."""

    remembered: Callable[[int], Found | None]
    """What its first register meant before, without a call of ours."""
    slot: Slot
    offset: int
    name: str
    joined: bool


class Layout(NamedTuple):
    """The slots that are whole within a block."""

    places: tuple[Place, ...]
    at_word: tuple[tuple[Place, ...], ...]
    """Those that a register of the block is part of, by its offset."""


class Codec:
    """A controller file, ready to decode blocks of its registers."""

    def __init__(self, controller: Controller) -> None:
        points = load_points(controller.kind)
        names = [point.name for point in controller.points]
        self.points: dict[str, Point] = {name: points[name] for name in dict.fromkeys(names)}
        self.tells_online = "controller_online" in points
        self.with_care = frozenset(
            name for name, point in self.points.items() if point.urgent or point.deadband
        )
        """Points of which a change is not simply told in stream `data`."""
        self.valid_when = {
            point.name: point.valid_when
            for point in controller.points
            if point.valid_when is not None
        }
        self.slots_of: dict[str, list[Slot]] = {}
        self._slots: list[tuple[PointMap, Slot]] = []
        for point in controller.points:
            joined = names.count(point.name) > 1 or point.name in self.valid_when
            urgent = points[point.name].urgent
            slot = Slot(point, controller, joined=joined, urgent=urgent)
            self._slots.append((point, slot))
            self.slots_of.setdefault(point.name, []).append(slot)
        self._layouts: dict[tuple[Table, int, int], Layout] = {}

    def layout(self, table: Table, address: int, count: int) -> Layout:
        """Return what stands in a block."""
        key = table, address, count
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = self._lay_out(*key)
        return layout

    def _lay_out(self, table: Table, address: int, count: int) -> Layout:
        places = tuple(
            Place(slot.kept.get, slot, point.address - address, slot.name, slot.joined)
            for point, slot in self._slots
            if point.table == table
            and address <= point.address
            and point.address + slot.width <= address + count
        )
        at_word = tuple(
            tuple(one for one in places if one.offset <= word < one.offset + one.slot.width)
            for word in range(count)
        )
        return Layout(places, at_word)
