"""Which lifts there are by the special equipment catalogue, and how a rescue code looks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.errors import Fault, FixConfiguration
from protocols.lifts.base import Confidence, LiftFile, Title, Told

FOLDER, FILE = "lifts", "catalogue.toml"
CatalogueCode = Annotated[str, Meta(pattern=r"^3[0-9]{3}\Z")]


class LiftType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One code of the catalogue."""

    code: CatalogueCode
    title: Title
    title_zh: Title
    escalator: bool = False
    confidence: Confidence
    source: Told

    @property
    def is_class(self) -> bool:
        """Whether it names a class, such as 3100, and no type of its own."""
        return self.code.endswith("00")


class RescueCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the codes in the cars of this city look."""

    digits: Annotated[int, Meta(ge=4, le=12)]
    hotline: Annotated[str, Meta(pattern=r"^[0-9]{3,12}\Z")]
    confidence: Confidence
    source: Told


class Catalogue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The types of lifts."""

    schema: Literal[1]
    rescue_code: RescueCode
    types: tuple[LiftType, ...]

    @property
    def by_code(self) -> Mapping[str, LiftType]:
        """The types by their codes."""
        return {one.code: one for one in self.types}

    def faults(self, file: LiftFile) -> list[tuple[str, str, str]]:
        """Return (field, expected, found) of what no lift here can have.

        A code of another form is a finding and no fault, see `odd_codes`.
        """
        found = []
        known = self.by_code.get(file.type_code)
        if file.type_code and (known is None or known.is_class):
            types = ", ".join(one.code for one in self.types if not one.is_class)
            found.append(("type_code", f"one of {types}", file.type_code))
        days = (file.manufactured_on, file.installed_on, file.supervised_on)
        told = [day for day in days if day is not None]
        if told != sorted(told):
            text = ", ".join(day.isoformat() for day in told)
            expected = "made, then installed, then inspected"
            found.append(("supervised_on", expected, text))
        return found

    def odd_rescue_code(self, code: str) -> bool:
        """Tell whether a code is none of this city's form."""
        digits = code.isascii() and code.isdigit()
        return bool(code) and not (digits and len(code) == self.rescue_code.digits)


def load_catalogue(overlay: Path | None = None) -> Catalogue:
    """Return the types of lifts; a site's own file takes the place of the shipped one.

    Raises:
        FixConfiguration: with all faults.

    """
    own = overlay / FOLDER / FILE if overlay is not None else None
    path = own if own is not None and own.exists() else data_root() / FOLDER / FILE
    found = load_toml(path, Catalogue)
    codes = [one.code for one in found.types]
    if len(set(codes)) < len(codes):
        raise FixConfiguration([Fault(str(path), "types", "each code once", ", ".join(codes))])
    classes = {one.code[:2] for one in found.types if one.is_class}
    if strays := [code for code in codes if code[:2] not in classes]:
        expected = "a class of each type"
        raise FixConfiguration([Fault(str(path), "types", expected, ", ".join(strays))])
    return found
