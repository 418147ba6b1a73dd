"""Figures of rescues over a time, in all and by a word."""

from typing import Literal

import msgspec

FiguresBy = Literal[
    "month",
    "cause",
    "class",
    "firm",
    "unit",
    "brand",
    "hour",
    "site",
    "district",
    "level",
    "source",
]
"""Month and hour are of the city; `class` is that of the cause; `firm` maintains the lift."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted and measured of some rescues; drills are in none."""

    rescues: int = 0
    """Handled in all, false alarms and merged ones among them."""
    entrapments: int = 0
    """Without false alarms, cancelled and merged ones."""
    false_alarms: int = 0
    open: int = 0
    freed: int = 0
    """People, as those say who freed them."""
    injured: int = 0
    responded: int = 0
    response_rate: float | None = None
    """Percent of the entrapments whose first unit accepted in time; None: there are none yet."""
    arrived: int = 0
    arrival_rate: float | None = None
    """Percent of the entrapments at which a unit arrived, within the limit."""
    late: int = 0
    """Arrivals beyond the limit."""
    response_mean_s: float | None = None
    arrival_mean_s: float | None = None
    on_site_mean_s: float | None = None
    """From arrival to release."""
    satisfaction_mean: float | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one word."""

    key: str
    """Empty: it is not known."""
    title: str = ""
    """In words, where the key has any; as the service's data have them, in Chinese."""
    figures: Figures


class RescueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: in all, by a word, and of the year up to its end."""

    from_at: int
    to_at: int
    by: FiguresBy
    total: Figures
    groups: tuple[Group, ...]
    year_to_date: Figures
    """From the first of January of the city until `to_at`."""
