"""Words and types of a lift's file."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

SCHEME = "elevator"
"""Of lifts' asset ids, and their kind."""
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
Id = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?\Z")]
"""Of an organisation; empty: not known."""
Short = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Line = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Code = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9._-]*\Z")]
Title = Annotated[str, Meta(min_length=1, max_length=100)]
Told = Annotated[str, Meta(min_length=1, max_length=500)]
Confidence = Literal["C", "C-impl", "G", "U", "D"]
"""Stated by a source that was read; read in code that does it; general knowledge; uncertain; our
own decision."""

PartyPart = Literal[
    "owner", "user_unit", "maintainer", "manufacturer", "installer", "inspection_body"
]
ContractKind = Literal["regular", "on_demand"]
State = Literal["in_use", "stopped", "scrapped"]
CONTRACTS_MAX = 50


class Contract(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """A contract of maintenance."""

    maintainer: Id = ""
    kind: ContractKind = "regular"
    from_: date
    until: date | None = None
    """Its last day; None: until it is ended."""
    phone: Short = ""
    """Answered day and night."""

    def __post_init__(self) -> None:
        """Refuse one that ends before it begins."""
        if self.until is not None and self.until < self.from_:
            expected = f"an end on {self.from_} or later"
            raise ValueError(f"contracts: expected {expected}; found {self.until}")

    def holds(self, on: date) -> bool:
        """Tell whether it is in force on a day."""
        return self.from_ <= on and (self.until is None or on <= self.until)


class LiftFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The static data of a lift, after GB/T 24476; what is not known is empty."""

    name: Line = ""
    registration_code: Code = ""
    """20 characters, of the registration authority."""
    equipment_code: Code = ""
    """17 or 18 characters, of the maker."""
    certificate: Short = ""
    """Number of the use registration certificate."""
    trace_code: Short = ""
    """Of the whole unit, as its maker gives it."""
    rescue_code: Code = ""
    """On the plate in the car."""
    type_code: Annotated[str, Meta(pattern=r"^(3[0-9]{3})?\Z")] = ""
    """Of the special equipment catalogue, such as 3110."""
    model: Short = ""
    serial_number: Short = ""
    in_house_number: Short = ""
    manufacturer: Line = ""
    manufactured_on: date | None = None
    installer: Line = ""
    installed_on: date | None = None
    used_since: date | None = None
    """The day on which it was put into use."""
    supervised_on: date | None = None
    """Of the supervision inspection of its installation or modernisation, as older papers tell."""
    inspected_on: date | None = None
    """Of the last periodic inspection that it passed, as older papers tell."""
    floors: Annotated[int, Meta(ge=1, le=300)] | None = None
    stops: Annotated[int, Meta(ge=1, le=300)] | None = None
    doors: Annotated[int, Meta(ge=1, le=600)] | None = None
    rated_speed_m_s: Annotated[float, Meta(gt=0, le=30)] | None = None
    rated_load_kg: Annotated[float, Meta(gt=0, le=50_000)] | None = None
    rise_m: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    inclination_deg: Annotated[float, Meta(ge=0, le=45)] | None = None
    """Of an escalator or a walk."""
    step_width_mm: Annotated[int, Meta(ge=300, le=3_000)] | None = None
    public_transport: bool | None = None
    outdoor: bool | None = None
    address: Line = ""
    district: Short = ""
    area_code: Annotated[str, Meta(pattern=r"^([1-9][0-9]{5})?\Z")] = ""
    """GB/T 2260."""
    site_type: Short = ""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    maintenance_phone: Short = ""
    """For rescues, answered day and night."""
    rescue_phone: Short = ""
    """On the plate in the car: the city's hotline."""
    contracts: Annotated[tuple[Contract, ...], Meta(max_length=CONTRACTS_MAX)] = ()

    def contract(self, on: date) -> Contract | None:
        """Return the contract that is in force; of several the one that began last."""
        held = [one for one in self.contracts if one.holds(on)]
        return max(held, key=lambda one: one.from_) if held else None
