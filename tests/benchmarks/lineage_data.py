"""A city's goods: families of batches made of one another, each packed, shipped and unpacked.

A batch is five events and fifteen uses: three units are made of two earlier ones, put on a pallet,
the pallet is shipped and received, the units are taken off. A family begins with one batch; each
unit of a batch goes into one later batch, and some into another beside it.
"""

from typing import NamedTuple

import numpy as np

from cloud.trace.lineage.base import (
    ADD,
    AGGREGATION,
    CHILD,
    DELETE,
    EPC,
    INPUT,
    OTHER,
    OUTPUT,
    PARENT,
    TRANSFORMATION,
    Numbers,
    Uses,
)
from cloud.trace.lineage.segment import EventRows

EVENTS, ITEMS, UNITS = 5, 4, 3
"""Of a batch; its pallet is the last of its items."""
HOUR_US = 3_600_000_000
START_US = 1_767_225_600_000_000
BIG = 62_500
"""Batches of a big family: 250,000 items."""
_KINDS = (TRANSFORMATION, AGGREGATION + ADD, OTHER, OTHER, AGGREGATION + DELETE)
HOURS = (0, 1, 2, 10, 12)


class City(NamedTuple):
    """Batches in the order of capture; parents are places in it, -1 for none."""

    one: Numbers
    other: Numbers
    time_us: Numbers
    roots: Numbers
    """First batches of families, the big ones first."""
    sizes: Numbers
    """Batches of those families."""


def city(batches: int, *, big: int, seed: int) -> City:
    """Return a city of so many batches, `big` big families among them."""
    random = np.random.default_rng(seed)
    small = random.integers(5, 240, size=batches // 60)
    sizes = np.concatenate([np.full(big, BIG), small])
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), batches, "right")]
    first = np.cumsum(sizes) - sizes
    family = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(family)) - first[family]
    parent = (within - 1) // UNITS
    other = np.maximum(parent - random.integers(0, 3, size=len(family)), 0)
    depth = np.ceil(np.log(within * (UNITS - 1) + UNITS) / np.log(UNITS)).astype(np.int64)
    days = random.integers(0, 365, size=len(sizes))[family] + depth * 2
    seconds = random.integers(0, 86_400, size=len(family))
    time_us = START_US + (days * 86_400 + seconds) * 1_000_000
    order = np.argsort(time_us, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    ones, others = (
        np.where(within > 0, place[np.maximum(first[family] + p, 0)], -1) for p in (parent, other)
    )
    unit = (within - 1) % UNITS
    return City(
        np.where(ones >= 0, ones * ITEMS + unit, -1)[order],
        np.where(others >= 0, others * ITEMS + (unit + 1) % UNITS, -1)[order],
        *(time_us[order], place[first], sizes),
    )


def columns(made: City, first: int, end: int) -> tuple[EventRows, Uses]:
    """Return events and uses of batches [first, end)."""
    batch = np.arange(first, end)
    event = (batch[:, None] * EVENTS + np.arange(EVENTS) + 1).ravel()
    hours = np.array(HOURS) * HOUR_US
    time_us = (made.time_us[first:end, None] + hours).ravel()
    kind = np.tile(np.array(_KINDS, dtype=np.uint8), len(batch))
    pallet = np.repeat(batch * ITEMS + UNITS, EVENTS)
    packs = kind >= AGGREGATION
    rows = EventRows(
        *(event, time_us, kind, np.where(packs, pallet, -1)),
        *(np.zeros(len(event), dtype=np.int64), ~packs),
    )
    return rows, _uses(made, batch)


def _uses(made: City, batch: Numbers) -> Uses:
    units = [batch * ITEMS + unit for unit in range(UNITS)]
    pallet = batch * ITEMS + UNITS
    said = [(made.one[batch], 0, INPUT), (made.other[batch], 0, INPUT)]
    said += [(unit, 0, OUTPUT) for unit in units]
    for number in (1, 4):
        said += [(pallet, number, PARENT), *((unit, number, CHILD) for unit in units)]
    said += [(pallet, 2, EPC), (pallet, 3, EPC)]
    item = np.stack([one for one, _, _ in said], axis=1)
    event = np.stack([batch * EVENTS + number + 1 for _, number, _ in said], axis=1)
    role = np.tile(np.array([role for _, _, role in said], dtype=np.uint8), len(batch))
    there = item.ravel() >= 0
    count = int(there.sum())
    return Uses(
        *(item.ravel()[there], event.ravel()[there], role[there]),
        *(np.zeros(count, dtype=np.bool_), np.full(count, np.nan)),
        np.zeros(count, dtype=np.int64),
    )
