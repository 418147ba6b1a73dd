"""The readings of one device: only what changed, and all of it once a minute."""

from collections.abc import Iterable, Sequence
from itertools import chain, compress
from operator import ne
from typing import Protocol

from edge.decode.codec import Codec, Found, Layout, Place, Slot
from edge.decode.deadband import worth_telling
from protocols.catalog.defaults import defaults
from protocols.catalog.point_map import Controller, Table
from protocols.modbus.registers import join_codes, valid
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
        self._layouts: dict[Registers, Layout] = {}
        self._parts: dict[Slot, Found] = {}
        """What each slot of a joined point says."""
        self._now: dict[str, Found] = {}
        self._told: dict[str, Found] = {}
        """Of the points with care; of the others what is now was told."""
        self._known: set[str] = set()
        """Points that had a value when they were lost, or before."""
        self._snapshot_at: int | None = None
        self._silent = False
        self._heard = False
        """The first answer says that the device is online: an earlier start may have said other."""

    def observe(
        self,
        reads: Sequence[tuple[Registers, list[int]]],
        at_boot_ms: int,
        doubtful: Sequence[Registers] = (),
    ) -> list[Columns]:
        """Take in what the device answered; return what changed, or all when a snapshot is due.

        The urgent points of `doubtful` registers stay as they were.
        """
        changed: dict[str, Found] = {}
        for registers, words in reads:
            before = self._raw.get(registers)
            if words != before:
                self._decode(registers, words, before, changed, registers in doubtful)
        online, self._silent, self._heard = self._silent or not self._heard, False, True
        snapshot_at = self._snapshot_at
        if (snapshot_at is None or at_boot_ms >= snapshot_at) and reads:
            first = snapshot_at is None
            self._snapshot_at = at_boot_ms + (self._phase_ms if first else _SNAPSHOT_MS)
            return self._columns(changed, all_points=True, online=online)
        return self._columns(changed, online=online) if changed or online else []

    def urgent_span(self, registers: Registers, words: list[int]) -> tuple[int, int] | None:
        """Return offset and count of the registers that would change an urgent point, if any."""
        if words == self._raw.get(registers):
            return None
        changed = [
            place
            for place in self._layout(registers).places
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
            for place in self._layout(registers).places
            if place.slot.urgent and low <= place.offset <= high - place.slot.width
        )

    def lose(self, registers: Registers) -> list[Columns]:
        """Give up the points in these registers until they are read again: null, not good."""
        self._raw.pop(registers, None)
        slots = [place.slot for place in self._layout(registers).places]
        for slot in slots:
            self._parts.pop(slot, None)
        values, quality = self._forget({slot.name for slot in slots})
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
        changed: dict[str, Found],
        calm_only: bool,
    ) -> None:
        """Decode what differs from `before`; note the points that changed."""
        if calm_only:
            self._raw.pop(registers, None)  # so that the next read is looked at whole
        else:
            self._raw[registers] = words
        layout = self._layouts.get(registers) or self._layout(registers)
        places: Iterable[Place] = layout.places
        if before is not None:
            places = chain.from_iterable(compress(layout.at_word, map(ne, words, before)))
        if calm_only:
            places = [place for place in places if not place.slot.urgent]
        now, joined = self._now, set()
        for remembered, slot, offset, name, is_joined in places:
            found = remembered(words[offset]) or slot.decode(words, offset)
            if is_joined:
                self._parts[slot] = found
                joined.add(name)
            elif found != now.get(name):
                now[name] = changed[name] = found
        for name, valid_when in self._codec.valid_when.items():
            if not valid_when.keys().isdisjoint(changed):
                joined.add(name)
        for name in joined:
            self._join(name, changed)

    def _join(self, name: str, changed: dict[str, Found]) -> None:
        parts = [self._parts[one] for one in self._codec.slots_of[name] if one in self._parts]
        if len(parts) == len(self._codec.slots_of[name]):
            valid_when = self._codec.valid_when.get(name)
            if valid_when is None:
                found = join_codes(parts)
            else:
                found = valid(parts[0], valid_when, self._now)
            if found != self._now.get(name):
                self._now[name] = changed[name] = found

    def _columns(
        self, changed: dict[str, Found], *, all_points: bool = False, online: bool = False
    ) -> list[Columns]:
        """Sort what is to be told into streams, and remember it as told."""
        alarm: dict[str, Found] = {}
        points, told = self._codec.points, self._told
        for name in self._codec.with_care.intersection(changed):
            found, point = changed[name], points[name]
            if not worth_telling(told.get(name), found, point.deadband):
                del changed[name]
                continue
            told[name] = found
            if point.urgent:
                alarm[name] = changed.pop(name)
        if all_points:
            changed = {name: found for name, found in self._now.items() if name not in alarm}
            told.update((name, changed[name]) for name in self._codec.with_care & changed.keys())
        if online and self._codec.tells_online:
            alarm = {_ONLINE: (True, "good"), **alarm}
        told_in: list[tuple[Stream, dict[str, Found]]] = [("alarm", alarm), ("data", changed)]
        return [_split(stream, found) for stream, found in told_in if found]

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

    def _layout(self, registers: Registers) -> Layout:
        layout = self._layouts.get(registers)
        if layout is None:
            layout = self._codec.layout(registers.table, registers.address, registers.count)
            self._layouts[registers] = layout
        return layout


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


def _split(stream: Stream, found: dict[str, Found]) -> Columns:
    values = {name: one[0] for name, one in found.items()}
    quality: dict[str, Quality] = {name: one[1] for name, one in found.items() if one[1] != "good"}
    return stream, values, quality


def phase_ms(number: int) -> int:
    """Spread first repetitions evenly over the minute, however many there are."""
    return max(1, int(number * _GOLDEN % 1 * _SNAPSHOT_MS))
