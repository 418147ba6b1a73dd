"""What a controller model can say: canonical points fitted to its file, then written as registers.

Real boards know less than the physics: no button code, no load, one fault at a time. What a model
cannot express leaves its registers as they were, and is named in the statistics.
"""

from collections.abc import Mapping, MutableMapping

from protocols.catalog.point_map import Controller, PointMap
from protocols.modbus.registers import Table, codes_of, encode, width
from protocols.readings import Value

Register = tuple[Table, int]
Image = MutableMapping[Table, MutableMapping[int, int]]

_CODE_ORDER = ("90", "05", "01", "04", "07", "06", "08", "03", "02", "41")
"""Of several codes a board with room for one shows the gravest."""

_MISSED_MAX = 200


def registers_of(point: PointMap) -> list[Register]:
    """List the registers that a point of a controller file takes."""
    return [(point.table, point.address + index) for index in range(width(point))]


class Dialect:
    """One controller file, read the simulator's way round."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self._registers: dict[str, list[Register]] = {}
        self.codes = codes_of(controller)
        """The message codes that this controller has."""
        self.missed: set[str] = set()
        """`name=value` of what was to be said and could not be."""
        for point in controller.points:
            self._registers.setdefault(point.name, []).extend(registers_of(point))

    @property
    def names(self) -> frozenset[str]:
        """The points that this controller has."""
        return frozenset(self._registers)

    def blank(self) -> Image:
        """Return the image of a board of which nothing is known: all zero."""
        image: dict[Table, MutableMapping[int, int]] = {}
        for table, address in sorted(r for found in self._registers.values() for r in found):
            image.setdefault(table, {})[address] = 0
        return image

    def can_say(self, name: str, value: Value) -> bool:
        """Tell whether this controller can show a value of a point."""
        if name not in self._registers:
            return False
        try:
            encode(self.controller, {name: value}, self.blank())
        except ValueError:
            return False
        return True

    def write(self, values: Mapping[str, Value], image: Image) -> dict[str, set[Register]]:
        """Write points into an image.

        Returns:
            the points that changed registers, with those registers.

        """
        changed = {}
        for name, value in values.items():
            registers = self._registers.get(name)
            if registers is None:
                continue
            before = [image[table][address] for table, address in registers]
            self._encode(name, value, image)
            differing = {
                (table, address)
                for (table, address), old in zip(registers, before, strict=True)
                if image[table][address] != old
            }
            if differing:
                changed[name] = differing
        return changed

    def _encode(self, name: str, value: Value, image: Image) -> None:
        if name == "message_code" and isinstance(value, list):
            self._encode_codes(value, image)
            return
        try:
            encode(self.controller, {name: value}, image)
        except ValueError:
            self._miss(name, value)

    def _encode_codes(self, codes: list[str], image: Image) -> None:
        known = [code for code in codes if code in self.codes]
        known.sort(key=lambda code: _CODE_ORDER.index(code) if code in _CODE_ORDER else 99)
        for count in range(len(known), -1, -1):
            try:
                encode(self.controller, {"message_code": known[:count]}, image)
            except ValueError:
                continue
            for code in set(codes) - set(known[:count]):
                self._miss("message_code", code)
            return
        self._miss("message_code", "none")

    def _miss(self, name: str, value: Value) -> None:
        if len(self.missed) < _MISSED_MAX:
            self.missed.add(f"{name}={value}")
