"""A value in one unit, said in all that convert into each other."""

from protocols.epcis.standard import Standard

_DIGITS = 12
"""Significant ones that are compared: conversions are not exact beyond them."""


def in_all_units(standard: Standard, value: float, uom: str) -> dict[str, float]:
    """Return a value in each unit that `uom` converts into, itself among them.

    A unit that the standard's list does not know converts into itself alone.
    """
    base = standard.convert(value, uom)
    if base is None:
        return {uom: value}
    kind, number = base
    found = {
        code: _rounded(unit.from_base(number))
        for code, unit in standard.units.items()
        if standard.kind_of_unit[code] == kind
    }
    return {**found, uom: value}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
