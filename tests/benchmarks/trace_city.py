"""The goods of `lineage_data` as documents of events, as firms would send them."""

import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from tests.benchmarks.lineage_data import HOUR_US, HOURS, ITEMS, UNITS, City

ID = "https://id.gs1.org/"
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
PLACES = 2_000
_STEPS = ("commissioning", "packing", "shipping", "receiving", "unpacking")


def item_id(number: int) -> str:
    """Return the name of an item: a unit's of one product, a pallet's of another."""
    product = "06901234567892" if number % ITEMS < UNITS else "06901234567908"
    return f"{ID}01/{product}/21/{number}"


class Writer:
    """Writes the events of a city, five for each batch in their order."""

    def __init__(self, made: City, *, seed: int, first_item: int = 0) -> None:
        self._made, self._first_item = made, first_item
        self._random = np.random.default_rng(seed)

    def document(self, first: int, end: int) -> bytes:
        """Return an EPCISDocument of batches [first, end)."""
        events = [event for batch in range(first, end) for event in self._batch(batch)]
        return msgspec.json.encode(
            {
                "@context": [CONTEXT],
                "type": "EPCISDocument",
                "schemaVersion": "2.0",
                "creationDate": "2026-01-05T08:00:00.000Z",
                "epcisBody": {"eventList": events},
            }
        )

    def _batch(self, batch: int) -> list[dict[str, Any]]:
        first = batch * ITEMS
        units = [self._id(first + unit) for unit in range(UNITS)]
        pallet = self._id(first + UNITS)
        used = {int(self._made.one[batch]), int(self._made.other[batch])} - {-1}
        packed = {"parentID": pallet, "childEPCs": units}
        said: tuple[dict[str, Any], ...] = (
            {
                "type": "TransformationEvent",
                "inputEPCList": [self._id(one) for one in sorted(used)],
                "outputEPCList": units,
            }
            if used
            else {"type": "ObjectEvent", "action": "ADD", "epcList": units},
            {"type": "AggregationEvent", "action": "ADD", **packed},
            {"type": "ObjectEvent", "action": "OBSERVE", "epcList": [pallet]},
            {"type": "ObjectEvent", "action": "OBSERVE", "epcList": [pallet]},
            {"type": "AggregationEvent", "action": "DELETE", **packed},
        )
        time_us = int(self._made.time_us[batch])
        return [
            {**one, **self._frame(time_us + HOURS[n] * HOUR_US, n)} for n, one in enumerate(said)
        ]

    def _frame(self, time_us: int, number: int) -> dict[str, Any]:
        key = int.from_bytes(self._random.bytes(16), "big")
        at = datetime.fromtimestamp(time_us // 1_000_000, UTC)
        return {
            "eventTime": f"{at:%Y-%m-%dT%H:%M:%S}.000Z",
            "eventTimeZoneOffset": "+08:00",
            "eventID": f"urn:uuid:{uuid.UUID(int=key, version=4)}",
            "bizStep": _STEPS[number],
            "disposition": "in_progress",
            "readPoint": {"id": f"{ID}414/6901234000016/254/{key % PLACES}"},
        }

    def _id(self, number: int) -> str:
        return item_id(self._first_item + number)
