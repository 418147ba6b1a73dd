"""What may be written, and to whom: looked at in every frame that leaves, whoever asks. Pure.

The site file lists the addresses. The map of a gun says what stands there. Both must agree, and no
map and no caller can write elsewhere.
"""

from collections.abc import Iterator

from msgspec import Struct

from protocols.catalog.point_map import Controller, PointMap, Table
from protocols.errors import StopService
from protocols.modbus.registers import width

KIND = "filling_gun"
SAID_BY_DEVICE = frozenset({"valve_open", "fault_code"})
"""Points that are read; every other is written."""
_WRITE_COIL, _WRITE_REGISTER, _WRITE_REGISTERS = 0x05, 0x06, 0x10
_READS = frozenset({0x01, 0x02, 0x03, 0x04})
_TCP_HEADER = 6


class Permit(Struct, frozen=True, kw_only=True):
    """The addresses of one unit that may be written."""

    unit_id: int
    coils: frozenset[int] = frozenset()
    holding_registers: frozenset[int] = frozenset()

    def allows(self, table: Table, address: int) -> bool:
        """Tell whether an address may be written."""
        return (table == "coil" and address in self.coils) or (
            table == "holding_register" and address in self.holding_registers
        )

    def check(self, frame: bytes, *, tcp: bool) -> bytes:
        """Return a frame that may leave.

        Raises:
            StopService: it would write what nobody permitted.

        """
        pdu = frame[_TCP_HEADER:] if tcp else frame
        unit, function = pdu[0], pdu[1]
        address = int.from_bytes(pdu[2:4], "big")
        count = int.from_bytes(pdu[4:6], "big") if function == _WRITE_REGISTERS else 1
        table: Table = "coil" if function == _WRITE_COIL else "holding_register"
        writes = function in {_WRITE_COIL, _WRITE_REGISTER, _WRITE_REGISTERS}
        wanted = range(address, address + count)
        allowed = writes and count > 0 and all(self.allows(table, one) for one in wanted)
        if unit != self.unit_id or not (allowed or function in _READS):
            found = f"function {function} at {address}+{count} of unit {unit}"
            raise StopService(f"{found} must never leave: it is not permitted here")
        return frame


def written(gun: Controller) -> tuple[PointMap, ...]:
    """Return the points of a gun that are written."""
    return tuple(point for point in gun.points if point.name not in SAID_BY_DEVICE)


def map_faults(gun: Controller, permit: Permit) -> Iterator[tuple[str, str]]:
    """Tell what speaks against using a map, as (expected, found)."""
    if gun.kind != KIND:
        yield f"a map of kind {KIND}", f"kind {gun.kind}"
        return
    if not any(point.name == "release" for point in gun.points):
        yield "a map with the point release", "none"
    taken: dict[tuple[Table, int], str] = {}
    for point in written(gun):
        for address in range(point.address, point.address + width(point)):
            if not permit.allows(point.table, address):
                expected = f"writes.{point.table} with {address}, for {point.name} of {gun.id}"
                yield expected, "not permitted"
            other = taken.setdefault((point.table, address), point.name)
            if "release" in {point.name, other} and other != point.name:
                yield "a release that shares its register with nothing", f"{other}, {point.name}"
