"""Masses: the most that may be in a cylinder, what its tare may differ by, and the last check."""

from collections.abc import Iterator
from typing import Literal, get_args

from msgspec import Struct

from protocols.cylinders.base import Cylinder, Decision, Id, Mass, Seen
from protocols.cylinders.book import Check, Gas, RuleBook
from protocols.cylinders.due import gases_of
from protocols.records import FillFault

FINDINGS: tuple[FillFault, ...] = get_args(FillFault)
"""What `after_fill` can find."""


_BY_MASS = frozenset({"liquefied", "cryogenic", "dissolved"})


class Filled(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known when the gun has closed."""

    decision: Decision | None
    """Of the verdict before it; None: there was none."""
    overridden: bool = False
    """Somebody who may do so decided to fill all the same."""
    before_kg: Mass | None = None
    after_kg: Mass | None = None
    """On the scale, with the cylinder."""
    checks_failed: tuple[Id, ...] = ()
    checks_open: tuple[Id, ...] = ()


class Finding(Struct, frozen=True, kw_only=True):
    """Something wrong after filling, in a closed word of the rules' findings."""

    finding: FillFault
    stays: bool
    """The cylinder must not leave the station."""
    found: str = ""


def is_weighed(cylinder: Cylinder, book: RuleBook) -> bool:
    """Tell whether it is filled by mass: no compressed gas is, nor a vehicle's tank.

    A mixture is if none of its components is compressed.
    """
    kind, gases = book.kind.get(cylinder.kind), [book.gas.get(one) for one in gases_of(cylinder)]
    if kind is None or kind.vehicle or not gases:
        return False
    return all(gas is not None and gas.form in _BY_MASS for gas in gases)


def limit_kg(cylinder: Cylinder, book: RuleBook) -> float | None:
    """Return the most that may be in it: the smaller of the marked mass and factor by volume.

    None: not filled by mass, or neither is known.
    """
    if not is_weighed(cylinder, book):
        return None
    gas, volume_l = book.gas.get(cylinder.gas), cylinder.water_capacity_l
    factor = None if gas is None else gas.factor_kg_per_l
    limits = [] if factor is None or volume_l is None else [factor * volume_l]
    if cylinder.allowable_fill_kg is not None:
        limits.append(cylinder.allowable_fill_kg)
    return min(limits, default=None)


def tare_tolerance_kg(tare_kg: float, book: RuleBook) -> float:
    """Return by how much another statement of this tare may differ."""
    return max(book.masses.tare_tolerance_kg, tare_kg * book.masses.tare_tolerance_share)


def checks_for(
    cylinder: Cylinder, book: RuleBook, when: Literal["before", "after"] = "before"
) -> tuple[Check, ...]:
    """List the questions of the physical checklist for this cylinder, in the rules' order.

    A cylinder whose kind or gas the rules do not know is asked all that any could be asked.
    """
    kind = book.kind.get(cylinder.kind)
    gases = [book.gas.get(one) for one in gases_of(cylinder)] or [None]
    return tuple(
        check
        for check in book.checks
        if check.when == when
        and (not check.kinds or kind is None or kind.id in check.kinds)
        and (check.vehicle is None or kind is None or kind.vehicle == check.vehicle)
        and (not check.only_unpurged or not cylinder.purged)
        and any(gas is None or _asked_of(check, gas) for gas in gases)
    )


def _asked_of(check: Check, gas: Gas) -> bool:
    return (
        (not check.gases or gas.id in check.gases)
        and (not check.forms or gas.form in check.forms)
        and (not check.traits or bool(set(check.traits) & set(gas.traits)))
    )


def mass_reasons(cylinder: Cylinder, seen: Seen, book: RuleBook) -> Iterator[tuple[str, str]]:
    """Tell what speaks against filling by the masses, as (reason, what was found)."""
    if not is_weighed(cylinder, book):
        return
    limit, tare = limit_kg(cylinder, book), cylinder.tare_kg
    if limit is None:
        yield "limit_unknown", ""
    if tare is None:
        yield "tare_unknown", ""
        return
    tolerance, weighed, on_tag = tare_tolerance_kg(tare, book), seen.weighed_kg, seen.tare_on_tag_kg
    if on_tag is not None and _is_over(abs(on_tag - tare), tolerance):
        yield "tare_disagrees", f"tag {on_tag:g} kg, registered {tare:g} kg"
    if weighed is not None and _is_over(tare - weighed, tolerance):
        yield "tare_disagrees", f"scale {weighed:g} kg, registered {tare:g} kg"
    if weighed is not None and limit is not None and not _is_over(limit, weighed - tare):
        yield "full_already", f"{weighed - tare:g} kg in it, limit {limit:g} kg"


def _is_over(kg: float, bound_kg: float) -> bool:
    """Compare to the gram: 31.4 less 16.5 is 14.9 here."""
    return round(kg - bound_kg, 3) > 0


def after_fill(cylinder: Cylinder | None, filled: Filled, book: RuleBook) -> tuple[Finding, ...]:
    """Tell all that is wrong after a filling; None: a cylinder that is not known."""
    found: list[tuple[FillFault, str]] = list(_of_verdict(filled))
    if cylinder is None:
        found.append(("overfill_untold", "cylinder"))
    else:
        found += _of_masses(cylinder, filled, book)
    found += [("check_failed", one) for one in filled.checks_failed]
    found += [("check_open", one) for one in filled.checks_open]
    may_leave = {one.id for one in book.findings if not one.stays}
    return tuple(
        Finding(finding=word, stays=word not in may_leave, found=detail) for word, detail in found
    )


def _of_verdict(filled: Filled) -> Iterator[tuple[FillFault, str]]:
    if filled.decision is None:
        yield "fill_without_verdict", ""
    elif filled.decision == "do_not_fill" or (
        filled.decision == "cannot_decide" and not filled.overridden
    ):
        yield "filled_against_verdict", filled.decision


def _of_masses(
    cylinder: Cylinder, filled: Filled, book: RuleBook
) -> Iterator[tuple[FillFault, str]]:
    before, after = filled.before_kg, filled.after_kg
    if before is not None and after is not None and after < before:
        yield "lighter_than_before", f"{before:g} kg, then {after:g} kg"
    if not is_weighed(cylinder, book):
        return
    limit, tare = limit_kg(cylinder, book), cylinder.tare_kg
    if after is None or limit is None or tare is None:
        missing = {"mass": after, "limit": limit, "tare": tare}
        yield "overfill_untold", ", ".join(k for k, value in missing.items() if value is None)
    elif _is_over(after - tare, limit + book.masses.overfill_tolerance_kg):
        yield "overfilled", f"{after - tare:g} kg in it, limit {limit:g} kg"
