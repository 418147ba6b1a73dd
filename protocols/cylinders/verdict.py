"""The verdict at the filling gun: fill, do not fill, cannot decide, with every reason."""

from collections.abc import Iterator
from datetime import date
from typing import Literal

from protocols.cylinders.base import Cylinder, MarkedDate, Reason, Seen, Verdict
from protocols.cylinders.book import Kind, RuleBook, may_hold
from protocols.cylinders.due import (
    MIXTURE,
    Life,
    anniversary,
    due_on,
    gases_of,
    idle_since,
    interval_years,
    life,
)
from protocols.cylinders.limits import limit_kg, mass_reasons

Found = Iterator[tuple[str, str]]
"""(reason, what was found) of each reason."""
Against = Literal["do_not_fill", "cannot_decide"]

REASONS = frozenset(
    {
        *("scrapped", "scrapped_with_vehicle", "lost", "blocked", "out_of_use"),
        *("codes_disagree", "clone_suspected", "code_unknown"),
        *("snapshot_none", "snapshot_expired", "snapshot_ageing", "clock_unset", "clock_set_back"),
        *("kind_unknown", "gas_unknown", "components_unknown", "wrong_gas", "gas_not_for_kind"),
        *("inspection_overdue", "due_unknown", "beyond_life", "life_unknown", "idle"),
        *("no_permit", "permit_unknown"),
        *("dates_contradict", "not_registered", "foreign_filler", "filler_unknown"),
        *("not_a_vehicle_cylinder", "vehicle_unknown", "vehicle_scrapped"),
        *("certificate_expired", "certificate_unknown", "not_purged"),
        *("check_failed", "check_open"),
        *("tare_unknown", "tare_disagrees", "limit_unknown", "full_already"),
    }
)
"""Every reason that there can be; the rules give each its gravity and its words."""
MAY_BE_OVERRIDDEN = frozenset(
    {"snapshot_expired", "snapshot_ageing", "filler_unknown", "tare_disagrees"}
)
"""What a city may let a responsible person override: the cylinder itself is known to be good."""


def fill_verdict(cylinder: Cylinder | None, seen: Seen, book: RuleBook) -> Verdict:
    """Judge one filling by all that is known.

    Args:
        cylinder: None: nobody knows its code.
        seen: what the gate knows.
        book: the rules.

    """
    found = [
        *_of_station(seen),
        *_of_permit(seen, book),
        *_of_identity(cylinder, seen),
        *_of_checks(seen),
    ]
    ends_on, lives = None, Life(None, told=False)
    if cylinder is not None:
        ends_on, lives = due_on(cylinder, book, seen.on), life(cylinder, book, seen.on)
        found += _of_cylinder(cylinder, seen, book, ends_on, lives)
    reasons = _ordered(found, book)
    return Verdict(
        decision=reasons[0].decision if reasons else "fill",
        reasons=reasons,
        rules_version=book.version,
        due_on=ends_on,
        life_ends_on=lives.ends_on,
        limit_kg=None if cylinder is None else limit_kg(cylinder, book),
    )


def bars_to_override(verdict: Verdict, role: str, book: RuleBook) -> tuple[Reason, ...]:
    """Return the reasons for which somebody of this role may not decide to fill all the same.

    The book must be the verdict's own. Empty: the role may, or there is nothing to override.
    """
    overrides = {one.id for one in book.reasons if role in one.override_by}
    return tuple(one for one in verdict.reasons if one.reason not in overrides)


def _ordered(found: list[tuple[str, str]], book: RuleBook) -> tuple[Reason, ...]:
    """Put what forbids before what leaves open, and each by its gravity."""
    judged = [(*_gravity(word, book), detail, word) for word, detail in found]
    return tuple(
        Reason(reason=word, decision=decision, found=detail)
        for decision, _, detail, word in sorted(judged, key=_gravest_first)
    )


def _gravest_first(one: tuple[Against, int, str, str]) -> tuple[bool, int, str]:
    decision, rank, detail, _ = one
    return decision != "do_not_fill", rank, detail


def _gravity(word: str, book: RuleBook) -> tuple[Against, int]:
    """Return what a reason decides, and its rank; one that a book of before lacks leaves open."""
    known = book.reason.get(word)
    return ("cannot_decide", len(book.reasons)) if known is None else (known[1].decision, known[0])


def _of_station(seen: Seen) -> Found:
    if seen.clock != "trusted":
        yield f"clock_{seen.clock}", f"clock says {seen.on}"
    if seen.snapshot in {"none", "expired"} or (
        seen.snapshot == "ageing" and not seen.filled_here_before
    ):
        yield f"snapshot_{seen.snapshot}", ""


def _of_permit(seen: Seen, book: RuleBook) -> Found:
    """Tell whether who fills may fill this gas on this day."""
    asked, permits = book.permits, seen.permits
    if asked is None or permits is None or (asked.from_ is not None and seen.on < asked.from_):
        return
    if not permits.recorded:
        yield "permit_unknown", ""
        return
    mine = [one for one in permits.held if one.gas == seen.gas]
    if not any(one.since <= seen.on <= one.until for one in mine):
        days = ", ".join(f"{one.since} to {one.until}" for one in mine)
        yield "no_permit", f"{seen.gas}: {days or 'none'}"


def _of_identity(cylinder: Cylinder | None, seen: Seen) -> Found:
    if cylinder is None:
        yield "code_unknown", ""
    if seen.codes_disagree:
        yield "codes_disagree", ""
    if seen.clone_suspected:
        yield "clone_suspected", ""


def _of_checks(seen: Seen) -> Found:
    yield from (("check_failed", one) for one in seen.checks_failed)
    yield from (("check_open", one) for one in seen.checks_open)


def _of_cylinder(
    cylinder: Cylinder, seen: Seen, book: RuleBook, ends_on: date | None, lives: Life
) -> Found:
    if cylinder.state != "in_use":
        yield cylinder.state, ""
    yield from _of_knowledge(cylinder, seen, book)
    yield from _of_inspection(cylinder, seen, book, ends_on)
    yield from _of_life(cylinder, seen, lives)
    if seen.clock == "trusted":
        yield from _of_contradiction(cylinder, seen, book)
    kind = book.kind.get(cylinder.kind)
    yield from _of_owner(cylinder, seen, kind)
    if kind is not None:
        yield from _of_vehicle(cylinder, seen, kind, book)
    yield from _of_gas(cylinder, seen, kind, book)
    yield from mass_reasons(cylinder, seen, book)


def _of_knowledge(cylinder: Cylinder, seen: Seen, book: RuleBook) -> Found:
    if cylinder.kind not in book.kind:
        yield "kind_unknown", cylinder.kind
    if cylinder.gas == MIXTURE and not cylinder.components:
        yield "components_unknown", ""
    for gas in dict.fromkeys((*gases_of(cylinder), *gases_of(seen))):
        if gas not in book.gas:
            yield "gas_unknown", gas


def _of_inspection(cylinder: Cylinder, seen: Seen, book: RuleBook, ends_on: date | None) -> Found:
    if ends_on is None:
        yield "due_unknown", ""
    elif seen.on > ends_on:
        yield "inspection_overdue", f"due {ends_on}"
    since = idle_since(cylinder, book, seen.on)
    if since is not None:
        yield "idle", f"last filled {since}"


def _of_life(cylinder: Cylinder, seen: Seen, lives: Life) -> Found:
    if not lives.told:
        yield "life_unknown", ""
    elif lives.ends_on is not None and seen.on > lives.ends_on:
        yield "beyond_life", f"{cylinder.manufactured_on}, life ended {lives.ends_on}"


def _of_contradiction(cylinder: Cylinder, seen: Seen, book: RuleBook) -> Found:
    """Find dates that cannot all be true."""
    made, inspected = cylinder.manufactured_on, cylinder.inspected_on
    if made is not None and made.first > seen.on:
        yield "dates_contradict", f"manufactured {made}, today {seen.on}"
    if inspected is not None and inspected.first > seen.on:
        yield "dates_contradict", f"inspected {inspected}, today {seen.on}"
    if made is not None and inspected is not None and inspected.last < made.first:
        yield "dates_contradict", f"manufactured {made}, inspected {inspected}"
    if cylinder.last_filled_on is not None and cylinder.last_filled_on > seen.on:
        yield "dates_contradict", f"last filled {cylinder.last_filled_on}, today {seen.on}"
    yield from _of_marked_due(cylinder, seen, book)


def _of_marked_due(cylinder: Cylinder, seen: Seen, book: RuleBook) -> Found:
    """Find a marked due date that no inspection up to today can have given."""
    marked, years = cylinder.inspection_due_on, interval_years(cylinder, book, seen.on)
    if marked is None or not years:
        return
    today = MarkedDate(seen.on.year, seen.on.month, seen.on.day)
    if marked.first > anniversary(today, years, book.dates.month):
        yield "dates_contradict", f"due {marked}, {years} years at most from {seen.on}"


def _of_owner(cylinder: Cylinder, seen: Seen, kind: Kind | None) -> Found:
    if not cylinder.use_registered:
        yield "not_registered", ""
    if kind is not None and kind.vehicle:
        return
    if not cylinder.filler:
        yield "filler_unknown", ""
    elif cylinder.filler != seen.filler:
        yield "foreign_filler", f"of {cylinder.filler}"


def _of_vehicle(cylinder: Cylinder, seen: Seen, kind: Kind, book: RuleBook) -> Found:
    vehicle = cylinder.vehicle
    if vehicle is not None and not kind.vehicle:
        yield "not_a_vehicle_cylinder", kind.id
    if not kind.vehicle:
        return
    if vehicle is None:
        yield "vehicle_unknown", ""
        return
    if not vehicle.use_registered:
        yield "not_registered", "vehicle"
    if vehicle.scrapped:
        with_taxi = vehicle.taxi and kind.scrapped_with_taxi
        yield ("scrapped_with_vehicle", "taxi") if with_taxi else ("vehicle_scrapped", "")
    if vehicle.certificate_valid_until is None:
        yield "certificate_unknown", ""
        return
    valid_until = anniversary(vehicle.certificate_valid_until, 0, book.dates.month)
    if seen.on > valid_until:
        yield "certificate_expired", f"valid until {valid_until}"


def _of_gas(cylinder: Cylinder, seen: Seen, kind: Kind | None, book: RuleBook) -> Found:
    own = book.gas.get(cylinder.gas)
    same = seen.gas == cylinder.gas and set(gases_of(seen)) == set(gases_of(cylinder))
    if not same and not (own is not None and seen.gas in own.takes):
        yield "wrong_gas", f"dedicated to {cylinder.gas}"
    filled = [book.gas[one] for one in gases_of(seen) if one in book.gas]
    for gas in filled:
        if kind is not None and not may_hold(kind, gas):
            yield "gas_not_for_kind", gas.id
    if not cylinder.purged and any("flammable" in gas.traits for gas in filled):
        yield "not_purged", ""
