"""The rules of a day as one value: what the data files say, in a form that can be kept.

A verdict names the version of its book. Who keeps the book's bytes can explain the verdict years
later with the rules by which it was made, whatever the files say by then.
"""

import hashlib
from datetime import date
from functools import cached_property
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from protocols.cylinders.base import Id, Years
from protocols.errors import RefuseInput

Confidence = Literal["C", "G", "U", "D"]
"""C: read in a source; G: general knowledge; U: uncertain; D: our own decision."""
Trait = Literal[
    "corrosive", "inert", "high_purity", "flammable", "oxidising", "toxic", "corrodes_aluminium"
]
Form = Literal["compressed", "liquefied", "cryogenic", "dissolved", "adsorbed"]
"""In which a gas is in its cylinder."""
MonthEnds = Literal["end_of_month", "start_of_month"]
Share = Annotated[float, Meta(ge=0, le=1)]
Text = Annotated[str, Meta(min_length=1, max_length=500)]
_BOOK_BYTES_MAX = 4_000_000


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key that a later edition adds has a default, so that a kept book's bytes stay the same."""


class _Told(_Table, frozen=True, kw_only=True):
    """Every figure says how sure it is, and who said so."""

    confidence: Confidence
    source: Text
    note: str = ""


class Row(_Told, frozen=True, kw_only=True):
    """Years that hold for some cylinders of a kind: of its rows the first that fits counts."""

    years: Years | None = None
    """None: nothing is fixed; what is marked on the cylinder counts alone."""
    gases: tuple[Id, ...] = ()
    """Empty, here and below: any."""
    traits: tuple[Trait, ...] = ()
    """The gas has one of them."""
    standards: tuple[Text, ...] = ()
    """Made to one of them."""
    taxi: bool | None = None
    from_: date | None = field(default=None, name="from")
    until: date | None = None
    """First and last day on which one judges by this row."""


_RowT = TypeVar("_RowT", bound=Row)


class LifeRow(Row, frozen=True, kw_only=True):
    """A design life; a shorter one that is marked on the cylinder counts before it."""

    made_from: date | None = None
    made_until: date | None = None
    """First and last day of manufacture, at the borders of months: stamps tell no day."""
    extension_years: Annotated[int, Meta(ge=0, le=100)] = 0
    """Once, after inspection or assessment; 0: never."""


class Kind(_Table, frozen=True, kw_only=True):
    """A kind of shell, and the service where that changes its terms."""

    id: Id
    title: Text
    title_zh: Text
    inspected_by: str = ""
    """Standard of its periodic inspection."""
    vehicle: bool = False
    """A fuel tank: any filler may fill it, and the vehicle must be in order."""
    scrapped_with_taxi: bool = False
    gases: tuple[Id, ...] = ()
    """What it may hold; empty: any gas of `forms`."""
    forms: tuple[Form, ...] = ()
    not_gases: tuple[Id, ...] = ()
    not_traits: tuple[Trait, ...] = ()
    """What is incompatible with it all the same."""
    intervals: tuple[Row, ...]
    lives: tuple[LifeRow, ...]
    uncertain: tuple[Text, ...] = ()


class Gas(_Told, frozen=True, kw_only=True):
    """A gas or a grade of it; a cylinder is dedicated to one."""

    id: Id
    title: Text
    title_zh: Text
    form: Form
    traits: tuple[Trait, ...] = ()
    takes: tuple[Id, ...] = ()
    """What else may be filled into a cylinder of this gas."""
    factor_kg_per_l: Annotated[float, Meta(gt=0, le=5)] | None = None
    """The most by mass for a litre of water capacity; None: only the marked mass counts."""


class Dates(_Told, frozen=True, kw_only=True):
    """How a date without a day is taken."""

    month: MonthEnds


class Snapshot(_Told, frozen=True, kw_only=True):
    """How long a station's snapshot is good."""

    term_h: Annotated[int, Meta(ge=1, le=8760)]
    """From issue; fresh until then."""
    grace_h: Annotated[int, Meta(ge=0, le=8760)]
    """After the term: ageing. Then expired."""


class Permits(_Told, frozen=True, kw_only=True):
    """That who fills must have a permit for the gas."""

    from_: date | None = field(default=None, name="from")
    """First day on which it is asked for; None: always."""


class Masses(_Told, frozen=True, kw_only=True):
    """What scales and stamps may differ by, and what must not be exceeded."""

    tare_tolerance_kg: Annotated[float, Meta(ge=0, le=100)]
    tare_tolerance_share: Share
    """Of the registered tare; the larger of the two counts."""
    overfill_tolerance_kg: Annotated[float, Meta(ge=0, le=100)]


class Words(_Told, frozen=True, kw_only=True):
    """What stands on the screen at the filling gun."""

    id: Id
    title: Text
    title_zh: Text
    do: Text
    do_zh: Text
    """What the worker does about it."""


class Check(Words, frozen=True, kw_only=True):
    """One question of the physical checklist; `do` is for a no."""

    when: Literal["before", "after"] = "before"
    kinds: tuple[Id, ...] = ()
    gases: tuple[Id, ...] = ()
    forms: tuple[Form, ...] = ()
    traits: tuple[Trait, ...] = ()
    vehicle: bool | None = None
    only_unpurged: bool = False


class ReasonRule(Words, frozen=True, kw_only=True):
    """What a reason decides, and what the worker is told."""

    decision: Literal["do_not_fill", "cannot_decide"]
    override_by: tuple[Id, ...] = ()
    """Roles of `access/roles.toml` that may decide to fill all the same; empty: nobody, ever."""


class FindingRule(Words, frozen=True, kw_only=True):
    """What is found after filling."""

    stays: bool
    """It must not leave the station."""


class RuleBook(_Table, frozen=True, kw_only=True, dict=True):
    """All rules; the order of `reasons` is their gravity."""

    schema: Literal[1]
    dates: Dates
    snapshot: Snapshot
    masses: Masses
    kinds: tuple[Kind, ...]
    gases: tuple[Gas, ...]
    checks: tuple[Check, ...]
    reasons: tuple[ReasonRule, ...]
    findings: tuple[FindingRule, ...]
    permits: Permits | None = None
    """None: nobody asks whether who fills has one."""

    @cached_property
    def version(self) -> str:
        """16 hex digits of the SHA-256 of what the book says."""
        return hashlib.sha256(book_bytes(self)).hexdigest()[:16]

    @cached_property
    def kind(self) -> dict[str, Kind]:
        """By id."""
        return {one.id: one for one in self.kinds}

    @cached_property
    def gas(self) -> dict[str, Gas]:
        """By id."""
        return {one.id: one for one in self.gases}

    @cached_property
    def reason(self) -> dict[str, tuple[int, ReasonRule]]:
        """Gravity (0 is the gravest) and rule, by id; a book of before may lack a reason."""
        return {one.id: (rank, one) for rank, one in enumerate(self.reasons)}

    @cached_property
    def rows(self) -> dict[tuple[str, str], tuple[tuple[Row, ...], tuple[LifeRow, ...]]]:
        """Intervals and lives that can fit, by kind and gas that it may hold: few for each."""
        return {
            (kind.id, gas.id): (_fitting(kind.intervals, gas), _fitting(kind.lives, gas))
            for kind in self.kinds
            for gas in self.gases
            if may_hold(kind, gas)
        }


def may_hold(kind: Kind, gas: Gas) -> bool:
    """Tell whether a gas may be in such a shell."""
    if kind.gases and gas.id not in kind.gases:
        return False
    if kind.forms and gas.form not in kind.forms:
        return False
    return gas.id not in kind.not_gases and not set(kind.not_traits) & set(gas.traits)


def _fitting(rows: tuple[_RowT, ...], gas: Gas) -> tuple[_RowT, ...]:
    return tuple(
        row
        for row in rows
        if (not row.gases or gas.id in row.gases)
        and (not row.traits or set(row.traits) & set(gas.traits))
    )


def book_bytes(book: RuleBook) -> bytes:
    """Write the whole book; the same rules give the same bytes."""
    return msgspec.json.encode(book, order="deterministic")


def read_book(raw: bytes) -> RuleBook:
    """Read what `book_bytes` wrote, in this edition or an earlier one.

    Raises:
        RefuseInput: `bad_rule_book`.

    """
    if len(raw) > _BOOK_BYTES_MAX:
        raise RefuseInput("bad_rule_book", f"expected {_BOOK_BYTES_MAX} bytes at most")
    try:
        book = msgspec.json.decode(raw, type=RuleBook)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefuseInput("bad_rule_book", str(error)) from error
    if book_bytes(book) != raw:
        raise RefuseInput("bad_rule_book", "expected a book's own bytes, found another spelling")
    return book
