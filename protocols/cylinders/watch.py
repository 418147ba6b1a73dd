"""What must come upon a work list: decisions of the watch over cylinders, by its terms as data.

Pure: days and facts come in, cases go out, the same for the same facts in whatever order they came.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

from msgspec import Meta, Struct

from protocols.border import convert, read_toml
from protocols.catalog.files import data_files
from protocols.cylinders.base import Id
from protocols.cylinders.book import Confidence, Text
from protocols.errors import Fault, FixConfiguration

CaseKind = Literal[
    "due",
    "overdue",
    "life_ending",
    "beyond_life",
    "filled_overdue",
    "foreign_filler",
    "two_places",
    "clone_suspected",
    "overfilled",
    "missing",
    "snapshot_stale",
    "fills_without_scans",
]
KINDS: tuple[CaseKind, ...] = get_args(CaseKind)
TERMS: tuple[CaseKind, ...] = ("due", "overdue", "life_ending", "beyond_life")
"""Cases that a day brings, and an inspection or a scrapping ends."""
FOLDER, FILE = "cylinders/watch", "watch"
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
BEFORE_MS, AFTER_MS = 12 * HOUR_MS, HOUR_MS
"""A scan within so much before a filling, or after it, is of that filling."""
Hours = Annotated[int, Meta(ge=1, le=10_000)]
Minutes = Annotated[int, Meta(ge=1, le=10_000)]
Days = Annotated[int, Meta(ge=1, le=1_000)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]


class _Told(Struct, frozen=True, kw_only=True):
    confidence: Confidence
    source: Text


class DueTerms(_Told, frozen=True, kw_only=True):
    """Stages before a last day."""

    days: Annotated[tuple[Days, ...], Meta(min_length=1, max_length=8)]
    """The longest first."""

    def __post_init__(self) -> None:
        """Refuse stages in another order."""
        if list(self.days) != sorted(set(self.days), reverse=True):
            raise ValueError(f"each stage once, the longest first; found {list(self.days)}")


class DeliveryTerms(_Told, frozen=True, kw_only=True):
    """When a cylinder that left is missing."""

    leaves: tuple[Id, ...]
    """Steps of `epcis/steps`."""
    missing_after_h: Hours
    forget_after_days: Days


class PlaceTerms(_Told, frozen=True, kw_only=True):
    """How soon one cylinder can be elsewhere."""

    steps: tuple[Id, ...]
    """Done at a place that stands still; what a truck reads proves nothing."""
    apart_min: Minutes


class StationTerms(_Told, frozen=True, kw_only=True):
    """What is asked of a filling station."""

    snapshot_stale_h: Hours
    count_after_h: Hours


class AlarmTerms(_Told, frozen=True, kw_only=True):
    """How many cases may be alarms."""

    a_day: Annotated[int, Meta(ge=0, le=1_000)]


class NoticeTerms(_Told, frozen=True, kw_only=True):
    """How often somebody is told, and how long one tries."""

    apart_min: Minutes
    attempts: Annotated[int, Meta(ge=1, le=100)]
    pause_s: Seconds
    pause_max_s: Seconds


class CaseWords(Struct, frozen=True, kw_only=True):
    """One kind of case: its words, and whether it is an alarm as well."""

    id: CaseKind
    title: Text
    title_zh: Text
    acts: Text
    """What whoever has it on the list does."""
    acts_zh: Text
    urgent: bool = False
    """Told as soon as it comes; others once a day."""
    alarm: Literal["critical", "warning", "info"] | None = None
    """Its severity; None: a work list alone. Never `emergency`: that is for lives at stake now."""


class Watch(Struct, frozen=True, kw_only=True):
    """All terms of the watch."""

    schema: Literal[1]
    due: DueTerms
    delivery: DeliveryTerms
    places: PlaceTerms
    station: StationTerms
    alarms: AlarmTerms
    notices: NoticeTerms
    cases: tuple[CaseWords, ...]

    def __post_init__(self) -> None:
        """Refuse a case without words, or with two."""
        found = sorted(one.id for one in self.cases)
        if found != sorted(KINDS):
            raise ValueError(f"cases: each of {', '.join(KINDS)} once; found {', '.join(found)}")

    def words(self, kind: CaseKind) -> CaseWords:
        """Return the words of a kind of case."""
        return next(one for one in self.cases if one.id == kind)


class Entry(NamedTuple):
    """What should stand on a list; `kind` and `key` tell it from others of the same cylinder."""

    kind: CaseKind
    key: str
    """Of what never changes about it: raised once for ever."""
    day: date
    """By which to act, or on which it happened: lists are in its order."""
    stage_days: int | None = None


def term_entries(
    due_on: date | None, life_ends_on: date | None, on: date, stages: tuple[int, ...]
) -> list[Entry]:
    """Tell what the two last days of a cylinder bring upon the lists of a day.

    Of the stages before a last day only the narrowest holds. Beyond its life a cylinder is not
    inspected, but scrapped.
    """
    if life_ends_on is not None and life_ends_on < on:
        return [Entry("beyond_life", life_ends_on.isoformat(), life_ends_on)]
    found: list[Entry] = []
    if due_on is not None:
        found += _before(due_on, on, stages, "due", "overdue")
    if life_ends_on is not None:
        found += _before(life_ends_on, on, stages, "life_ending", "beyond_life")
    return found


def _before(
    last: date, on: date, stages: tuple[int, ...], soon: CaseKind, after: CaseKind
) -> Iterator[Entry]:
    left = (last - on).days
    if left < 0:
        yield Entry(after, last.isoformat(), last)
    elif (stage := min((one for one in stages if left <= one), default=None)) is not None:
        yield Entry(soon, f"{last.isoformat()}:{stage}", last, stage)


def is_missing(left_ms: int, now_ms: int, terms: DeliveryTerms) -> bool:
    """Tell whether a cylinder that left then, and was read nowhere since, is missing now."""
    hours = (now_ms - left_ms) / HOUR_MS
    return terms.missing_after_h <= hours <= terms.forget_after_days * 24


def is_stale(snapshot_ms: int, now_ms: int, terms: StationTerms) -> bool:
    """Tell whether a station works with too old a snapshot."""
    return now_ms - snapshot_ms > terms.snapshot_stale_h * HOUR_MS


class Sighting(NamedTuple):
    """A cylinder, read at one place."""

    at_ms: int
    place: str
    counter: int | None = None
    """Of its chip, which rises with every reading; None: it has none."""


def too_soon(
    one: Sighting, others: Iterable[Sighting], terms: PlaceTerms
) -> list[tuple[Sighting, Sighting]]:
    """Return pairs of one and others at two places, nearer in time than a cylinder can travel.

    Looks before and after `one`, so that a pair is found whichever of the two comes in last.

    Returns:
        The earlier of each pair first.

    """
    return [
        (min(one, other), max(one, other))
        for other in others
        if other.place != one.place and abs(other.at_ms - one.at_ms) < terms.apart_min * MINUTE_MS
    ]


def went_back(one: Sighting, others: Iterable[Sighting]) -> list[Sighting]:
    """Return the readings, `one` or later, before which the chip's counter was higher.

    One chip counts up only, so two of them answer to one number. Whatever the order in which
    readings come in, the same are found in the end.
    """
    told = [other for other in others if other.counter is not None and one.counter is not None]
    found = [x for x in told if x.at_ms > one.at_ms and _below(x, one)]
    return [one, *found] if any(x.at_ms < one.at_ms and _below(one, x) for x in told) else found


def _below(later: Sighting, earlier: Sighting) -> bool:
    return (later.counter or 0) < (earlier.counter or 0)


class Filled(Struct, frozen=True, kw_only=True):
    """What a filling and the cylinder's file say together."""

    station: str
    """Who filled, as the gateway told it."""
    owner: str
    """The filler whose own or entrusted cylinder it is; empty: not known."""
    in_vehicle: bool = False
    """A vehicle's fuel tank: anybody may fill it."""
    on: date
    due_on: date | None
    """By what was inspected before that day."""
    life_ends_on: date | None
    overfilled: bool = False


def fill_entries(filled: Filled, key: str) -> list[Entry]:
    """Tell what a filling brings upon the lists; `key` is the filling's."""
    kinds: list[CaseKind] = []
    ends = min(one for one in (filled.due_on, filled.life_ends_on, date.max) if one is not None)
    if ends < filled.on:
        kinds.append("filled_overdue")
    foreign = filled.owner not in ("", filled.station) and filled.station != ""
    if foreign and not filled.in_vehicle:
        kinds.append("foreign_filler")
    if filled.overfilled:
        kinds.append("overfilled")
    return [Entry(kind, key, filled.on) for kind in kinds]


def unread(filled: Iterable[tuple[str, int]], scans: Mapping[str, Collection[int]]) -> int:
    """Count the fillings of a station's day whose cylinder no scan of that day tells.

    Args:
        filled: cylinder, empty where nobody knew it, and moment of each.
        scans: moments of the scans there, by cylinder.

    """
    found = 0
    for cylinder, at_ms in filled:
        moments = scans.get(cylinder, ()) if cylinder else ()
        found += not any(at_ms - BEFORE_MS <= moment <= at_ms + AFTER_MS for moment in moments)
    return found


class Sample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of terms proves about itself."""

    about: Text
    on: date | None = None
    due_on: date | None = None
    life_ends_on: date | None = None
    left_h: Hours | None = None
    apart_min: Minutes | None = None
    snapshot_h: Hours | None = None
    cases: tuple[str, ...]

    def found(self, watch: Watch) -> tuple[str, ...]:
        """Return what these terms bring upon the lists."""
        found: list[str] = []
        if self.on is not None:
            entries = term_entries(self.due_on, self.life_ends_on, self.on, watch.due.days)
            found += [
                f"{one.kind}:{one.stage_days}" if one.stage_days else one.kind for one in entries
            ]
        if self.left_h and is_missing(0, self.left_h * HOUR_MS, watch.delivery):
            found.append("missing")
        if self.apart_min:
            there = Sighting(self.apart_min * MINUTE_MS, "there")
            found += ["two_places"] * bool(too_soon(Sighting(0, "here"), [there], watch.places))
        if self.snapshot_h and is_stale(0, self.snapshot_h * HOUR_MS, watch.station):
            found.append("snapshot_stale")
        return tuple(found)


def load_watch(overlay: Path | None = None, root: Path | None = None) -> Watch:
    """Read the terms; a site's own file takes the place of the shipped one.

    Raises:
        FixConfiguration: with all faults, samples that do not hold among them.

    """
    path = next(one for one, _ in data_files(FOLDER, overlay, root) if one.stem == FILE)
    data, faults = read_toml(path), list[Fault]()
    samples = data.pop("samples", [])
    watch = convert(data, Watch, file=str(path), faults=faults)
    told = convert(samples, tuple[Sample, ...], file=str(path), faults=faults, key="samples")
    if watch is not None and told is not None:
        faults += _sample_faults(told, watch, path)
    if faults or watch is None:
        raise FixConfiguration(faults)
    return watch


def _sample_faults(samples: Collection[Sample], watch: Watch, path: Path) -> Iterator[Fault]:
    for index, sample in enumerate(samples):
        if (found := sample.found(watch)) != sample.cases:
            expected = ", ".join(sample.cases) or "nothing"
            yield Fault(str(path), f"samples[{index}]", expected, ", ".join(found) or "nothing")
