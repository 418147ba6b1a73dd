"""Units that convert into each other: a value in one, said in all of them."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from protocols.border import read_toml
from protocols.errors import Fault, FixConfiguration

_DIGITS = 12
"""Significant ones that are compared: conversions are not exact beyond them."""


class Conversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Value in the base unit = value x factor + offset."""

    factor: float
    offset: float = 0.0


class Units:
    """The units of firmware_config/epcis/conversions.toml."""

    def __init__(self, dimensions: Mapping[str, Mapping[str, Conversion]]) -> None:
        self._dimension = {code: units for units in dimensions.values() for code in units}

    def in_all(self, value: float, uom: str) -> dict[str, float]:
        """Return a value in each unit that `uom` converts into, itself among them.

        A unit that the file does not know converts into itself alone.
        """
        units = self._dimension.get(uom)
        if units is None:
            return {uom: value}
        here = units[uom]
        base = value * here.factor + here.offset
        found = {code: _rounded((base - one.offset) / one.factor) for code, one in units.items()}
        return {**found, uom: value}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def load_units(path: Path) -> Units:
    """Read the file; FixConfiguration names what is wrong in it."""
    data = read_toml(path)
    if data.pop("schema", None) != 1:
        raise FixConfiguration([Fault(str(path), "schema", "1", "another or none")])
    try:
        tables = msgspec.convert(data, dict[str, dict[str, float | Conversion]])
    except msgspec.ValidationError as error:
        expected = "tables of units, each a factor or {factor, offset}"
        raise FixConfiguration([Fault(str(path), "", expected, str(error))]) from error
    faults, seen = [], set[str]()
    for name, units in tables.items():
        for code, one in units.items():
            factor = one.factor if isinstance(one, Conversion) else one
            if code in seen or factor <= 0:
                faults.append(Fault(str(path), f"{name}.{code}", "once, factor above 0", code))
            seen.add(code)
    if faults:
        raise FixConfiguration(faults)
    return Units(
        {
            name: {
                code: one if isinstance(one, Conversion) else Conversion(one)
                for code, one in units.items()
            }
            for name, units in tables.items()
        }
    )
