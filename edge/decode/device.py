"""The readings of one device: only what changed, and all of it once a minute."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from edge.decode.codec import Codec, Found, Place, Slot
from edge.decode.deadband import worth_telling
from protocols.catalog.defaults import defaults
from protocols.catalog.point_map import Controller, Table
from protocols.modbus.registers import join_codes
from protocols.readings import Quality, Value
from protocols.topics import Stream

Columns = tuple[Stream, dict[str, Value], dict[str, Quality]]
"""Stream, values, and the qualities that are not good."""

_SNAPSHOT_MS = int(defaults().reporting.snapshot_interval_s * 1000)
"""A little early, so that a poll's interval later is still within the minute."""
_GOLDEN = 0.618_033_988_749_895
_ONLINE = "controller_online"


class Registers(Protocol):
    """Neighbouring registers that were read together; the same object each time."""

    @property
    def table(self) -> Table:
        """Where they are."""
        ...

    @property
    def address(self) -> int:
        """Zero-based address of the first."""
        ...

    @property
    def count(self) -> int:
        """How many."""
        ...


class DeviceDecoder:
    """Keeps the last registers and the last told values of one device.

    Changed urgent points go in stream `alarm`, all else in `data`: so do urgent points that only
    stand again in a snapshot, which is no reason to hurry.
    """

    def __init__(self, codec: Codec, snapshot_phase_ms: int) -> None:
        self._codec = codec
        self._phase_ms = snapshot_phase_ms
        self._raw: dict[Registers, list[int]] = {}
        self._places: dict[Registers, tuple[Place, ...]] = {}
        self._parts: dict[Slot, Found] = {}
        """What each slot of a joined point says."""
        self._now: dict[str, Found] = {}
        self._told: dict[str, Found] = {}
        self._known: set[str] = set()
        """Points that had a value when they were lost, or before."""
        self._snapshot_at: int | None = None
        self._silent = False

    def observe(
        self,
        reads: Sequence[tuple[Registers, list[int]]],
        at_boot_ms: int,
        doubtful: Sequence[Registers] = (),
    ) -> list[Columns]:
        """Take in what the device answered; return what changed, or all when a snapshot is due.

        The urgent points of `doubtful` registers stay as they were.
        """
        touched: set[str] = set()
        for registers, words in reads:
            before = self._raw.get(registers)
            if words != before:
                self._decode(registers, words, before, touched, registers in doubtful)
        online, self._silent = self._silent, False
        snapshot_at = self._snapshot_at
        if snapshot_at is None or at_boot_ms >= snapshot_at:
            if reads:
                first = snapshot_at is None
                self._snapshot_at = at_boot_ms + (self._phase_ms if first else _SNAPSHOT_MS)
            return self._columns(touched, all_points=bool(reads), online=online)
        return self._columns(touched, online=online) if touched or online else []

    def urgent_span(self, registers: Registers, words: list[int]) -> tuple[int, int] | None:
        """Return offset and count of the registers that would change an urgent point, if any."""
        if words == self._raw.get(registers):
            return None
        changed = [
            place
            for place in self._places_in(registers)
            if place.slot.urgent and place.slot.decode(words, place.offset) != self._last(place)
        ]
        if not changed:
            return None
        low = min(place.offset for place in changed)
        return low, max(place.offset + place.slot.width for place in changed) - low

    def agree(
        self, registers: Registers, words: list[int], span: tuple[int, int], again: list[int]
    ) -> bool:
        """Tell whether a second read of `span` says the same of the urgent points in it."""
        low, high = span[0], sum(span)
        return all(
            place.slot.decode(words, place.offset) == place.slot.decode(again, place.offset - low)
            for place in self._places_in(registers)
            if place.slot.urgent and low <= place.offset <= high - place.slot.width
        )

    def lose(self, registers: Registers) -> list[Columns]:
        """Give up the points in these registers until they are read again: null, not good."""
        self._raw.pop(registers, None)
        for place in self._places_in(registers):
            self._parts.pop(place.slot, None)
        values, quality = self._forget({place.slot.name for place in self._places_in(registers)})
        return [("data", values, quality)] if values else []

    def silence(self) -> list[Columns]:
        """Say that the device is put aside as silent; the next answer says that it is back."""
        if self._silent:
            return []
        self._silent = True
        self._snapshot_at = None
        self._raw.clear()
        self._parts.clear()
        online: dict[str, Value] = {_ONLINE: False} if self._codec.tells_online else {}
        columns: list[Columns] = [("alarm", online, {})] if online else []
        return [*columns, ("data", *self._forget(self._codec.points))]

    def _decode(
        self,
        registers: Registers,
        words: list[int],
        before: list[int] | None,
        touched: set[str],
        calm_only: bool,
    ) -> None:
        """Decode what differs from `before`; note the points that changed."""
        if calm_only:
            self._raw.pop(registers, None)  # so that the next read is looked at whole
        else:
            self._raw[registers] = words
        places: Sequence[Place] = self._places.get(registers) or self._places_in(registers)
        if before is not None:
            places = _changed(places, words, before)
        now, joined = self._now, set()
        for slot, offset in places:
            if calm_only and slot.urgent:
                continue
            found = slot.decode(words, offset)
            if slot.joined:
                self._parts[slot] = found
                joined.add(slot.name)
            elif found != now.get(slot.name):
                now[slot.name] = found
                touched.add(slot.name)
        for name in joined:
            self._join(name, touched)

    def _join(self, name: str, touched: set[str]) -> None:
        parts = [self._parts[one] for one in self._codec.slots_of[name] if one in self._parts]
        if len(parts) == len(self._codec.slots_of[name]):
            found = join_codes(parts)
            if found != self._now.get(name):
                self._now[name] = found
                touched.add(name)

    def _columns(
        self, touched: Iterable[str], *, all_points: bool = False, online: bool = False
    ) -> list[Columns]:
        """Sort what is to be told into streams, and remember it as told."""
        alarm: dict[str, Value] = {}
        alarm_quality: dict[str, Quality] = {}
        data: dict[str, Value] = {}
        data_quality: dict[str, Quality] = {}
        points, told, now = self._codec.points, self._told, self._now
        if online and self._codec.tells_online:
            alarm[_ONLINE] = True
        for name in now if all_points else touched:
            found, point = now[name], points[name]
            worth = worth_telling(told.get(name), found, point.deadband)
            if not worth and not all_points:
                continue
            told[name] = found
            urgent = worth and point.urgent
            (alarm if urgent else data)[name] = found[0]
            if found[1] != "good":
                (alarm_quality if urgent else data_quality)[name] = found[1]
        columns: list[Columns] = []
        if alarm:
            columns.append(("alarm", alarm, alarm_quality))
        if data:
            columns.append(("data", data, data_quality))
        return columns

    def _forget(self, names: Iterable[str]) -> tuple[dict[str, Value], dict[str, Quality]]:
        """Make points null; they count as told so."""
        quality: dict[str, Quality] = {}
        for name in names:
            if self._now.get(name, (None, ""))[0] is not None:
                self._known.add(name)
            quality[name] = "stale" if name in self._known else "no_value"
            self._now[name] = self._told[name] = (None, quality[name])
        return dict.fromkeys(quality), quality

    def _last(self, place: Place) -> Found | None:
        slot = place.slot
        return self._parts.get(slot) if slot.joined else self._now.get(slot.name)

    def _places_in(self, registers: Registers) -> tuple[Place, ...]:
        places = self._places.get(registers)
        if places is None:
            places = self._codec.places(registers.table, registers.address, registers.count)
            self._places[registers] = places
        return places


class Decoders:
    """Makes decoders: one codec per controller file, snapshots staggered over the minute."""

    def __init__(self) -> None:
        self._codecs: dict[str, tuple[Controller, Codec]] = {}
        self._made = 0

    def __call__(self, asset: str, controller: Controller) -> DeviceDecoder:
        """Make the decoder of one asset."""
        known = self._codecs.get(controller.id)
        if known is None or known[0] is not controller:
            known = self._codecs[controller.id] = controller, Codec(controller)
        self._made += 1
        del asset
        return DeviceDecoder(known[1], phase_ms(self._made))


def _changed(places: Sequence[Place], words: list[int], before: list[int]) -> list[Place]:
    return [
        place
        for place in places
        if (
            words[place[1]] != before[place[1]]
            if place[0].width == 1
            else words[place[1] : place[1] + 2] != before[place[1] : place[1] + 2]
        )
    ]


def phase_ms(number: int) -> int:
    """Spread first repetitions evenly over the minute, however many there are."""
    return max(1, int(number * _GOLDEN % 1 * _SNAPSHOT_MS))
