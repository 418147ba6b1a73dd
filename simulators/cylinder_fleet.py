"""`suyuan-sim fleet`: a city's cylinders over years, judged by the very rules that gates judge by.

Day by day cylinders come back to a filling station, are judged, filled, delivered; or they are
refused, inspected, purged, extended, scrapped and replaced. Each filling is looked at once more
by dates alone: nothing overdue may have been filled.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.cylinders.base import Cylinder, MarkedDate, Seen, Verdict
from protocols.cylinders.book import RuleBook
from protocols.cylinders.due import due_on, life_ends_on
from protocols.cylinders.load import load_rules
from protocols.cylinders.verdict import fill_verdict
from protocols.errors import StopService
from simulators.fleet_story import FleetKind, FleetStory

FILE = Path(__file__).parent / "cylinder_fleet.toml"
YEARS_BEFORE = 12
"""A fleet begins with cylinders of up to so many years that are not scrapped by then."""
FORGOTTEN_DAYS = 1_600
ROWS_PER_FILE = 20_000
"""As many as the registry takes in one file."""
TO_INSPECT = frozenset({"inspection_overdue", "idle"})
TO_SCRAP = frozenset({"beyond_life"})


@dataclass
class Figures:
    """What happened, over all the time."""

    days: int = 0
    registered: int = 0
    fills: int = 0
    delivered: int = 0
    inspected: int = 0
    failed: int = 0
    extended: int = 0
    purged: int = 0
    scrapped: int = 0
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason, the gravest of each verdict."""
    wrong: list[str] = field(default_factory=list)
    """Fillings that must not have been."""


class Fleet:
    """All cylinders of a city; `run` lets time pass.

    Args:
        story: kinds and habits.
        cylinders: how many there are.
        begins: the first day.
        book: the rules.
        rng: all chance.

    """

    def __init__(
        self, story: FleetStory, cylinders: int, begins: date, book: RuleBook, rng: random.Random
    ) -> None:
        self._story, self._book, self._rng = story, book, rng
        self.today = begins
        self.figures = Figures()
        self.cylinders: list[Cylinder] = []
        self._kinds: list[FleetKind] = []
        self._coming: dict[date, list[int]] = defaultdict(list)
        """By day, the numbers of those that come to a station or an inspection body."""
        self._inspecting: set[int] = set()
        for kind in rng.choices(story.kinds, [one.share for one in story.kinds], k=cylinders):
            self._register(kind, _grown(kind, begins, book, rng))

    def run(self, days: int) -> Figures:
        """Let days pass; return what happened since the beginning."""
        for _ in range(days):
            for number in self._coming.pop(self.today, ()):
                if number in self._inspecting:
                    self._inspect(number)
                else:
                    self._return(number)
            self.today += timedelta(days=1)
            self.figures.days += 1
        return self.figures

    def due_within(self, days: int) -> int:
        """Count those in use whose inspection falls due within so many days, or has."""
        last = self.today + timedelta(days=days)
        found = (
            due_on(one, self._book, self.today) for one in self.cylinders if one.state == "in_use"
        )
        return sum(1 for on in found if on is not None and on < last)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return all that are not scrapped, as the registry imports them."""
        for number, one in enumerate(self.cylinders):
            if one.state != "scrapped":
                yield _row(number, one)

    def _register(self, kind: FleetKind, made: date) -> None:
        number = len(self.cylinders)
        one = Cylinder(
            code=f"cylinder:{_code(number, made.year)}",
            kind=kind.kind,
            gas=kind.gas,
            standard=kind.standard,
            manufactured_on=MarkedDate(made.year, made.month),
            inspected_on=_inspected_before(kind, made, self.today, self._book),
            filler=f"filler-{self._rng.randrange(self._story.fillers)}",
            tare_kg=round(self._rng.gauss(kind.tare_kg, kind.tare_kg * 0.02), 2),
            water_capacity_l=kind.water_capacity_l,
            allowable_fill_kg=kind.allowable_fill_kg,
        )
        self.cylinders.append(one)
        self._kinds.append(kind)
        self.figures.registered += 1
        self._come(number, self._rng.randint(1, 2 * kind.returns_days))

    def _come(self, number: int, in_days: int) -> None:
        self._coming[self.today + timedelta(days=max(1, in_days))].append(number)

    def _return(self, number: int) -> None:
        """Bring a cylinder to a station: mostly its own."""
        one, story = self.cylinders[number], self._story
        if one.state != "in_use":
            return
        strayed = self._rng.random() < story.strayed_share
        verdict = self._judge(one, "filler-elsewhere" if strayed else one.filler)
        if verdict.decision == "fill":
            self._fill(number)
            return
        reasons = {reason.reason for reason in verdict.reasons}
        self.figures.refused[verdict.reasons[0].reason] += 1
        if reasons & TO_SCRAP:
            self._past_life(number)
        elif reasons & TO_INSPECT:
            self._inspecting.add(number)
            self._come(number, story.inspects_days)
        elif reasons == {"not_purged"}:
            self.cylinders[number] = replace(one, purged=True)
            self.figures.purged += 1
            self._come(number, 1)
        else:
            self._come(number, 3)

    def _judge(self, one: Cylinder, filler: str) -> Verdict:
        seen = Seen(
            filler=filler,
            gas=one.gas,
            on=self.today,
            filled_here_before=True,
            weighed_kg=(one.tare_kg or 0.0) + 0.3,
        )
        return fill_verdict(one, seen, self._book)

    def _fill(self, number: int) -> None:
        """Fill and deliver it; look at the dates once more."""
        one, rng = self.cylinders[number], self._rng
        self._check(one)
        self.figures.fills += 1
        self.cylinders[number] = one = replace(one, last_filled_on=self.today)
        self.figures.delivered += 1
        if rng.random() < self._story.lost_share:
            self.cylinders[number] = replace(one, state="lost")
            self.figures.lost += 1
            return
        forgotten = rng.random() < self._story.forgotten_share
        mean = self._kinds[number].returns_days
        self._come(number, FORGOTTEN_DAYS if forgotten else round(rng.gammavariate(4, mean / 4)))

    def _check(self, one: Cylinder) -> None:
        due, ends = due_on(one, self._book, self.today), life_ends_on(one, self._book, self.today)
        if due is None or self.today > due or (ends is not None and self.today > ends):
            self.figures.wrong.append(f"{one.code} {self.today}: due {due}, life ends {ends}")

    def _inspect(self, number: int) -> None:
        self._inspecting.discard(number)
        self.figures.inspected += 1
        if self._rng.random() < self._story.fails_share:
            self.figures.failed += 1
            self._scrap(number)
            return
        today = MarkedDate(self.today.year, self.today.month, self.today.day)
        one = self.cylinders[number]
        self.cylinders[number] = replace(one, inspected_on=today, purged=False)
        self._come(number, 2)

    def _past_life(self, number: int) -> None:
        """Extend its life once, where that may be and is thought worth it; else it is scrapped."""
        one = self.cylinders[number]
        longer = replace(one, life_extended=True)
        ends = life_ends_on(longer, self._book, self.today)
        worth = self._rng.random() < self._kinds[number].extended_share
        if one.life_extended or not worth or ends is None or ends < self.today:
            self._scrap(number)
            return
        self.cylinders[number] = longer
        self.figures.extended += 1
        self._come(number, self._story.inspects_days)

    def _scrap(self, number: int) -> None:
        """Destroy it, and buy another: its code is never used again."""
        self.cylinders[number] = replace(self.cylinders[number], state="scrapped")
        self.figures.scrapped += 1
        self._register(self._kinds[number], self.today)


def write_rows(fleet: Fleet, folder: Path) -> int:
    """Write `cylinders-0001.jsonl` and so on, each as many rows as the registry takes at a time.

    Returns:
        how many rows.

    """
    folder.mkdir(parents=True, exist_ok=True)
    encode, lines, files, count = msgspec.json.encode, list[bytes](), 0, 0
    for row in fleet.rows():
        lines.append(encode(row))
        count += 1
        if len(lines) == ROWS_PER_FILE:
            files += 1
            (folder / f"cylinders-{files:04d}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
            lines.clear()
    if lines:
        (folder / f"cylinders-{files + 1:04d}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return count


def run_fleet(
    cylinders: int, years: int, seed: int, folder: Path | None, write: Callable[[str], None]
) -> Figures:
    """Let years pass and tell what happened.

    Args:
        cylinders: how many there are.
        years: how many pass.
        seed: of all chance.
        folder: where the cylinders are written at the end, as the registry imports them.
        write: prints a line.

    Raises:
        StopService: something was filled that must not have been.

    """
    story, begun_s = load_toml(FILE, FleetStory), time.monotonic()
    write(f"{story.title_zh} | {story.title}")
    fleet = Fleet(story, cylinders, date(2026, 1, 1), shipped_rules(), random.Random(seed))
    for year in range(1, years + 1):
        figures = fleet.run(365)
        took = f"{time.monotonic() - begun_s:.0f} s"
        told = f"{figures.fills} filled, {figures.scrapped} scrapped"
        write(f"第 {year} 年 | year {year}: {told}, {took}")
    for name in ("registered", "fills", "delivered", "inspected", "failed", "extended", "purged"):
        write(f"  {name:12} {getattr(figures, name)}")
    write(f"  {'scrapped':12} {figures.scrapped}")
    write(f"  {'lost':12} {figures.lost}")
    for reason, count in figures.refused.most_common():
        write(f"  refused      {count} {reason}")
    write(f"  due within 30 days, or overdue: {fleet.due_within(30)}")
    if folder is not None:
        write(f"  {write_rows(fleet, folder)} rows in {folder}")
    if figures.wrong:
        raise StopService(f"{len(figures.wrong)} wrong fillings, such as {figures.wrong[0]}")
    write("无逾期充装 | nothing overdue was filled")
    return figures


def shipped_rules() -> RuleBook:
    """Return the rules that are shipped."""
    return load_rules(data_root() / "cylinders")


def _code(number: int, year: int) -> str:
    """Return an equipment code of its own: maker and serial number count up."""
    maker, serial = divmod(number, 100_000)
    return f"231022{100 + maker:03d}{year}{serial:05d}"


def _grown(kind: FleetKind, begins: date, book: RuleBook, rng: random.Random) -> date:
    """Return when a cylinder was made that is still in use."""
    while True:
        made = begins - timedelta(days=rng.randrange(YEARS_BEFORE * 365))
        one = Cylinder(
            code="cylinder:new",
            kind=kind.kind,
            gas=kind.gas,
            standard=kind.standard,
            manufactured_on=MarkedDate(made.year, made.month),
        )
        ends = life_ends_on(one, book, begins)
        if ends is None or ends >= begins:
            return made


def _inspected_before(
    kind: FleetKind, made: date, today: date, book: RuleBook
) -> MarkedDate | None:
    """Return when it was inspected last: each time when it fell due."""
    one = Cylinder(
        code="cylinder:new",
        kind=kind.kind,
        gas=kind.gas,
        standard=kind.standard,
        manufactured_on=MarkedDate(made.year, made.month),
    )
    while (due := due_on(one, book, today)) is not None and due < today:
        one = replace(one, inspected_on=MarkedDate(due.year, due.month))
    return one.inspected_on


def _row(number: int, one: Cylinder) -> dict[str, Any]:
    return {
        "code": one.code.partition(":")[2],
        "kind": one.kind,
        "gas": one.gas,
        "standard": one.standard,
        "maker": "模拟钢瓶厂",
        "serial_number": f"{number:06d}",
        "manufactured_on": str(one.manufactured_on),
        "tare_kg": one.tare_kg,
        "water_capacity_l": one.water_capacity_l,
        "allowable_fill_kg": one.allowable_fill_kg,
        "filler": one.filler,
        "use_registration": f"瓶10吉B{number:06d}",
        "inspected_on": None if one.inspected_on is None else str(one.inspected_on),
        "last_filled_on": None if one.last_filled_on is None else one.last_filled_on.isoformat(),
    }
