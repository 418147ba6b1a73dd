"""What is overdue of lifts and becomes a case, with its words, as data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.lifts.base import Confidence, Told
from protocols.lifts.due import Plan
from protocols.lifts.due_types import Duty
from protocols.lifts.rules import DutyKind

FOLDER, FILE = "lifts", "watch.toml"
CaseKind = Literal["inspection", "maintenance", "registration", "contract"]
KINDS: tuple[CaseKind, ...] = get_args(CaseKind)


class CaseWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of case, and the alarm that it is as well."""

    id: CaseKind
    alert: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z]{1,63}\Z")]
    severity: Literal["critical", "warning", "info"]
    """Never `emergency`: that is for lives at stake now."""
    duties: Annotated[tuple[DutyKind, ...], Meta(min_length=1)]
    title: Told
    title_zh: Told
    cause: Told
    cause_zh: Told
    consequence: Told
    consequence_zh: Told
    acts: Told
    """What whoever has it on the list does."""
    acts_zh: Told


class LiftTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All kinds of cases."""

    schema: Literal[1]
    alarms_a_day: Annotated[int, Meta(ge=0, le=100_000)]
    """Of one kind in 24 hours; further cases are no alarms."""
    confidence: Confidence
    source: Told
    cases: tuple[CaseWords, ...]

    def __post_init__(self) -> None:
        """Refuse a case without words or with two, and a duty that is in none or in two."""
        found = sorted(one.id for one in self.cases)
        if found != sorted(KINDS):
            raise ValueError(f"cases: each of {', '.join(KINDS)} once; found {', '.join(found)}")
        duties = sorted(duty for one in self.cases for duty in one.duties)
        if duties != sorted(get_args(DutyKind)):
            expected = f"duties: each of {', '.join(get_args(DutyKind))} in one case"
            raise ValueError(f"{expected}; found {', '.join(duties)}")

    def words(self, kind: CaseKind) -> CaseWords:
        """Return the words of a kind of case."""
        return next(one for one in self.cases if one.id == kind)

    def overdue(self, plan: Plan) -> Mapping[CaseKind, Duty]:
        """Return what should have been done, by kind of case: of each the longest overdue."""
        found: dict[CaseKind, Duty] = {}
        for duty in plan.overdue:
            kind = next(one.id for one in self.cases if duty.kind in one.duties)
            found.setdefault(kind, duty)
        return found


def load_lift_terms(overlay: Path | None = None) -> LiftTerms:
    """Return the kinds of cases; FixConfiguration with all faults."""
    own = overlay / FOLDER / FILE if overlay is not None else None
    path = own if own is not None and own.exists() else data_root() / FOLDER / FILE
    return load_toml(path, LiftTerms)
