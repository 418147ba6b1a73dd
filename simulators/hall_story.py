"""A filling hall as data: its places, the bottles that come, and what must become of each.

`filling_hall.toml` is the shipped one.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from protocols.catalog.tags import load_layouts
from protocols.tag_memory import FieldValue, write_memory
from simulators.hf_tags import Type2Tag
from simulators.uhf_tags import UhfTag, cylinder_tag

Reader = Literal["uhf", "nfc", "pcsc"]
Operator = Literal[
    "calm",
    "no_answers",
    "takes_off_early",
    "opens_by_hand",
    "tops_up",
    "two_at_once",
    "says_no",
    "reads_stamp",
]
"""`no_answers`: wants gas and answers no question; `opens_by_hand`: fills past the gun, whatever
the lamp says; `tops_up`: does so while the gun fills; `says_no`: to the first question;
`reads_stamp`: and finds another number than the page shows."""
Outcome = Literal["filled", "refused", "undecided", "taken_off", "blocked"]
Id = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
_HF_BYTES, _UHF_BYTES = 108, 64
_STRANGE = 5_000
"""Added to a bottle's number: a chip that nobody registered."""


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filling place."""

    id: Id
    reader: Reader
    scale: Literal["serial", "modbus"] = "serial"
    gun: Literal["coil-gun", "setpoint-scale"] = "coil-gun"
    """A Modbus indicator hides a moving weight: then the gun must know the limit."""
    gas: str = "lpg"
    scanner: bool = False
    """A bar-code scanner lies beside it."""


class Bottle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cylinder, as it is and as it is registered."""

    id: Id
    registered: bool = True
    kind: str = "lpg_household"
    standard: str = "GB 5842-2006"
    gas: str = "lpg"
    age_years: Annotated[int, Meta(ge=0, le=40)] = 2
    own: bool = True
    """False: another filler's."""
    scrapped: bool = False
    tare_kg: float = 16.0
    """As it is; the registry's is `registered_tare_kg`."""
    registered_tare_kg: float | None = None
    tare_on_tag_kg: float | None = None
    """Only a UHF tag has one."""
    fill_kg: float = 14.5
    tag: Literal["own", "copied", "damaged", "contradicts"] = "own"
    """`copied`: its name in another chip; `contradicts`: the name of the bottle registered next."""


class Expect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must become of a visit."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    """Must all be told, among others that a person can answer."""
    block: str = ""


class Visit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bottle comes to a place."""

    place: Id
    bottle: Id
    about: str = ""
    heel_kg: Annotated[float, Meta(ge=0, le=50)] = 0.3
    """What is still in it."""
    operator: Operator = "calm"
    beside: Id | None = None
    """Another bottle that `two_at_once` brings with it."""
    label: Id | None = None
    """Whose label is scanned beside its tag."""
    expect: Expect


class Story(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    schema: Literal[1]
    title: str
    title_zh: str
    gateway: Id
    filler: Id
    other_filler: Id
    seed: int
    rate_kg_s: Annotated[float, Meta(gt=0, le=50)]
    hose_kg: Annotated[float, Meta(ge=0, le=1)]
    """Comes after the gun has closed."""
    carousel_s: Annotated[float, Meta(ge=0.2, le=60)]
    """From one bottle to the next, and for how long the operator looks at a red lamp."""
    places: Annotated[tuple[Place, ...], Meta(min_length=1, max_length=16)]
    bottles: Annotated[tuple[Bottle, ...], Meta(min_length=1, max_length=999)]
    visits: Annotated[tuple[Visit, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse two of one name, and visits of what is not there."""
        places, bottles = {one.id for one in self.places}, {one.id for one in self.bottles}
        if len(places) < len(self.places) or len(bottles) < len(self.bottles):
            raise ValueError("places and bottles: each id once")
        for index, visit in enumerate(self.visits):
            named = {visit.bottle, visit.beside or visit.bottle, visit.label or visit.bottle}
            if visit.place not in places or not named <= bottles:
                raise ValueError(f"visits[{index}]: place and bottles of this file")

    def bottle(self, name: str) -> tuple[int, Bottle]:
        """Return the number of a bottle, from 1, and the bottle."""
        return next((n, one) for n, one in enumerate(self.bottles, 1) if one.id == name)


def code_of(number: int) -> str:
    """Return a bottle's equipment code."""
    return f"2310229992024{number:04d}"


def asset_of(number: int) -> str:
    """Return a bottle's asset id."""
    return f"cylinder:{code_of(number)}"


def hf_uid(number: int) -> bytes:
    """Return the number of a bottle's NFC chip."""
    return b"\x04" + number.to_bytes(6, "big")


def label_of(number: int) -> bytes:
    """Return the text of a bottle's QR code as a scanner sends it."""
    return f"https://hall.example/id/cylinder/{code_of(number)}\r\n".encode()


def chips_of(number: int) -> tuple[str, str]:
    """Return the numbers of a bottle's two chips as the registry has them: NFC, UHF."""
    return hf_uid(number).hex().upper(), cylinder_tag(number).tid.hex().upper()


def hf_tag(number: int, bottle: Bottle) -> Type2Tag:
    """Make the NFC tag that is on a bottle: an NTAG213 with its name."""
    named = number + 1 if bottle.tag == "contradicts" else number
    chip = number + _STRANGE if bottle.tag == "copied" else number
    values: dict[str, FieldValue] = {"tag_mark": number, "cylinder_code": code_of(named)}
    memory = bytearray(write_memory(_layout("vehicle-cylinder"), values, {}, _HF_BYTES))
    if bottle.tag == "damaged":
        memory[12] ^= 0x40
    return Type2Tag(hf_uid(chip), bytes(memory))


def uhf_tag(number: int, bottle: Bottle) -> UhfTag:
    """Make the UHF tag that is on a bottle, with its tare."""
    plain = cylinder_tag(number)
    tare_kg = bottle.tare_kg if bottle.tare_on_tag_kg is None else bottle.tare_on_tag_kg
    values: dict[str, FieldValue] = {"owner_code": "HALL", "tare_mass_kg": tare_kg}
    memory = bytearray(
        write_memory(_layout("gs1-asset-epc"), values, {"epc": plain.epc}, _UHF_BYTES)
    )
    if bottle.tag == "damaged":
        memory[12] ^= 0x40
    return cylinder_tag(number, user=bytes(memory))


def entry_of(
    number: int, bottle: Bottle, story: Story, *, year: int, district: str
) -> dict[str, Any]:
    """Write a bottle as it is registered, for `PUT /api/v1/cylinders/CODE`."""
    tare_kg = bottle.tare_kg if bottle.registered_tare_kg is None else bottle.registered_tare_kg
    return {
        "kind": bottle.kind,
        "gas": bottle.gas,
        "standard": bottle.standard,
        "maker": "模拟钢瓶厂",
        "serial_number": f"{number:06d}",
        "manufactured_on": f"{year - bottle.age_years}-01",
        "tare_kg": tare_kg,
        "allowable_fill_kg": bottle.fill_kg,
        "filler": story.filler if bottle.own else story.other_filler,
        "use_registration": f"瓶10吉B{number:05d}",
        "codes": [{"scheme": "tag_uid", "value": uid} for uid in chips_of(number)],
        "district": district,
    }


def _layout(name: str) -> Any:
    return load_layouts(None)[0][name]
