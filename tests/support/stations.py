"""A filler's stock that is edited at random, beside the plainest account of it there can be."""

import random
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from protocols.catalog.files import data_root
from protocols.cylinders.base import (
    Cylinder,
    MarkedDate,
    Permitted,
    State,
    StationPermits,
    Vehicle,
)
from protocols.cylinders.book import book_bytes
from protocols.cylinders.load import load_rules
from protocols.cylinders.manifest import Blob, Manifest
from protocols.cylinders.snapshot import Layer
from protocols.cylinders.snapshot_write import write_increment, write_whole

DENYING: tuple[State, ...] = ("blocked", "lost", "scrapped")

BOOK = load_rules(data_root() / "cylinders")
_TERM = BOOK.snapshot
RULES = [book_bytes(replace(BOOK, snapshot=replace(_TERM, grace_h=hours))) for hours in (48, 24)]


def held(*gases: str) -> StationPermits:
    """What a filling unit with a permit for some gases, through all times, may fill."""
    spans = tuple(Permitted(gas, date.min, date.max) for gas in gases)
    return StationPermits(recorded=True, held=spans)


def manifest(**changes: object) -> Manifest:
    blob = Blob("0" * 64, 1)
    fields: dict[str, object] = {
        "filler": "gas-1",
        "number": 1,
        "issued_at": 0,
        "expires_at": 1000,
        "rules_version": "",
        "cylinders": 0,
        "denied": 0,
        "file": blob,
        "state": blob,
    }
    return msgspec.convert(fields | changes, Manifest, from_attributes=True)


class Edit(NamedTuple):
    """What changed."""

    cylinders: list[Cylinder]
    gone: list[str]
    denied: dict[str, State]
    admitted: list[str]
    rules: bytes | None

    def written(self) -> bytes:
        """As an increment's file."""
        out = bytearray()
        write_increment(
            out.extend,
            self.cylinders,
            self.denied,
            gone=self.gone,
            admitted=self.admitted,
            rules=self.rules,
        )
        return bytes(out)


class Stock:
    """The oracle: dictionaries."""

    def __init__(self, rng: random.Random, tags: int = 40) -> None:
        self.rng, self._tags = rng, tags
        self.cylinders: dict[str, Cylinder] = {}
        self.denied: dict[str, State] = {}
        self.rules = RULES[0]

    def whole(self) -> bytes:
        """As a whole file."""
        out = bytearray()
        write_whole(out.extend, self.cylinders.values(), self.denied, self.rules)
        return bytes(out)

    def find_tag(self, uid: str) -> str | None:
        found = [code for code, one in self.cylinders.items() if uid in one.tag_uids]
        return found[0] if len(found) == 1 else None

    def edit(self, changes: int) -> Edit:
        """Change something; a code may be named twice, the last word counts."""
        rng = self.rng
        put = {one.code: one for one in (self.cylinder() for _ in range(rng.randint(0, changes)))}
        gone = {self.code() for _ in range(rng.randint(0, changes // 2))} - set(put)
        denied = {self.code(): rng.choice(DENYING) for _ in range(rng.randint(0, changes))}
        admitted = {self.code() for _ in range(rng.randint(0, changes // 2))} - set(denied)
        rules = rng.choice([None, None, None, *RULES])
        for code in gone:
            self.cylinders.pop(code, None)
        for code in admitted:
            self.denied.pop(code, None)
        self.cylinders |= put
        self.denied |= denied
        self.rules = self.rules if rules is None else rules
        return Edit(list(put.values()), sorted(gone), denied, sorted(admitted), rules)

    def code(self) -> str:
        """One of few, so that they meet again; of all the shapes that there are."""
        rng = self.rng
        number = rng.randrange(60)
        return rng.choice(
            [f"cylinder:2310229992024{number:04}", f"cylinder:JL2B{number:07}", f"tank:{number:X}"]
        )

    def uid(self) -> str:
        rng = self.rng
        number = rng.randrange(self._tags)
        return rng.choice([f"04{number:012X}", f"E280{number:020X}", f"{number:X}"])

    def cylinder(self, code: str | None = None) -> Cylinder:
        rng = self.rng
        vehicle = Vehicle(taxi=rng.random() < 0.5, certificate_valid_until=self.marked())
        return Cylinder(
            code=code or self.code(),
            kind=rng.choice(["lpg_household", "steel_seamless"]),
            gas=rng.choice(["lpg", "oxygen", "mixture"]),
            components=rng.choice([(), ("argon", "co2")]),
            standard=rng.choice(["", "GB 5842-2006", "GB/T 5099"]),
            state=rng.choice(["in_use", "in_use", "blocked", "scrapped"]),
            use_registered=rng.random() < 0.9,
            manufactured_on=self.marked(),
            design_life_years=rng.choice([None, 8, 15, 30]),
            inspected_on=self.marked(),
            inspection_due_on=self.marked(),
            life_extended=rng.random() < 0.1,
            last_filled_on=rng.choice(
                [None, date(2026, 1, 1) + timedelta(days=rng.randrange(900))]
            ),
            purged=rng.random() < 0.9,
            filler=rng.choice(["gas-1", ""]),
            tare_kg=rng.choice([None, round(rng.uniform(10, 60), 1)]),
            water_capacity_l=rng.choice([None, 35.5, 118.0]),
            allowable_fill_kg=rng.choice([None, 14.5, 49.5]),
            vehicle=vehicle if rng.random() < 0.2 else None,
            tag_uids=tuple(sorted({self.uid() for _ in range(rng.choice([0, 1, 1, 2]))})),
        )

    def marked(self) -> MarkedDate | None:
        rng = self.rng
        if rng.random() < 0.1:
            return None
        return MarkedDate(rng.randint(1995, 2040), rng.randint(1, 12), rng.choice([0, 1, 28]))


def layer(data: bytes) -> Layer:
    return Layer(data, len(data))
