"""A cylinder and a filling with nothing wrong, to change one thing of."""

from datetime import date
from typing import Any

from protocols.catalog.files import data_root
from protocols.cylinders.base import Cylinder, MarkedDate, Seen
from protocols.cylinders.load import load_rules

BOOK = load_rules(data_root() / "cylinders")
ON = date(2026, 3, 31)


def cylinder(**facts: Any) -> Cylinder:
    usual: dict[str, Any] = {
        "code": "cylinder:1",
        "kind": "lpg_household",
        "gas": "lpg",
        "standard": "GB 5842-2006",
        "manufactured_on": MarkedDate(2024, 3),
        "filler": "org:own",
        "tare_kg": 16.5,
        "water_capacity_l": 35.5,
        "allowable_fill_kg": 14.9,
    }
    return Cylinder(**(usual | facts))


def seen(**facts: Any) -> Seen:
    usual: dict[str, Any] = {"filler": "org:own", "gas": "lpg", "on": ON}
    return Seen(**(usual | facts))


def mark(text: str) -> MarkedDate:
    return MarkedDate.parse(text)
