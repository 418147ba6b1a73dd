"""Forms of lifts' records, made of the kinds as data, and what they bring back."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from cloud.lifts.base import Lifts
from cloud.model.lift import Lift
from cloud.web.visit import Visit
from protocols.errors import RefuseInput
from protocols.lifts.records import Draft, FieldRule, RecordKind, Signer, Value

WAYS: Mapping[str, str] = {
    "records": "lifts.record",
    "inspections": "lifts.inspect",
    "steps": "lifts.write",
    "confirmations": "lifts.confirm",
}
"""Path behind the lift's page, and the call."""
FIRST = ("maintenance", "fault", "self_test", "repair", "periodic_inspection")
"""Kinds whose forms stand before the others."""
SIGNERS_SHOWN = 2
"""Rows for names in a form."""


class OfferedForm(Struct, frozen=True):
    """A form that a visitor may fill in."""

    kind: RecordKind
    way: str
    roles: tuple[str, ...]
    """One for each row of a name; the first ones are needed."""
    needed: int


def offered(visit: Visit, lifts: Lifts, one: Lift) -> list[OfferedForm]:
    """Return the forms that the visitor may send, the commonest first."""
    way_of = {call: way for way, call in WAYS.items()}
    found = []
    for kind in lifts.kinds.values():
        if kind.about is None and _may(visit, kind, one):
            roles = (kind.signers * SIGNERS_SHOWN)[: SIGNERS_SHOWN * bool(kind.signers)]
            found.append(OfferedForm(kind, way_of[kind.call], roles, len(kind.signers)))
    return sorted(found, key=lambda form: _place(form.kind.id))


def may_write(visit: Visit, kind: RecordKind | None, one: Lift) -> bool:
    """Tell whether the visitor may write a kind of entry."""
    return kind is not None and _may(visit, kind, one)


def _may(visit: Visit, kind: RecordKind, one: Lift) -> bool:
    scope = visit.scope_of(kind.call)
    if scope.everything or scope.remits:
        return True
    played = {part for part, who in one.parties.items() if who in scope.organisations}
    return bool(played & set(kind.parts))


def _place(kind: str) -> tuple[int, str]:
    return (FIRST.index(kind) if kind in FIRST else len(FIRST), kind)


def read_draft(form: Mapping[str, str], lifts: Lifts, zone: ZoneInfo) -> Draft:
    """Return the entry that a form holds.

    Raises:
        RefuseInput: `bad_request`.

    """
    kind = lifts.kinds.get(form.get("kind", ""))
    if kind is None:
        raise RefuseInput("bad_request", "kind: expected a kind of record")
    about = form.get("about", "")
    return Draft(
        kind=kind.id,
        on=_day(form.get("on", "")),
        about=int(about) if about.isascii() and about.isdigit() and len(about) < 10 else 0,
        fields={
            rule.name: _value(rule, text, zone)
            for rule in kind.fields
            if (text := form.get(f"field.{rule.name}", "").strip())
        },
        signers=tuple(_signers(form)),
        note=form.get("note", "").strip()[:1_000],
    )


def _signers(form: Mapping[str, str]) -> list[Signer]:
    found = []
    for number in range(SIGNERS_SHOWN):
        name, role = form.get(f"name.{number}", "").strip(), form.get(f"role.{number}", "")
        if name and role:
            licence = form.get(f"licence.{number}", "").strip()[:64]
            found.append(Signer(role=role[:32], name=name[:200], licence=licence))
    return found


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RefuseInput("bad_request", f"on: expected a day, found {text[:20]!r}") from None


def _value(rule: FieldRule, text: str, zone: ZoneInfo) -> Value:
    try:
        match rule.type:
            case "count":
                return int(text)
            case "number":
                return float(text)
            case "truth":
                return text == "yes"
            case "moment":
                local = datetime.fromisoformat(text).replace(tzinfo=zone)
                return int(local.astimezone(UTC).timestamp() * 1_000)
    except ValueError:
        expected = f"expected a {rule.type}, found {text[:20]!r}"
        raise RefuseInput("bad_request", f"fields.{rule.name}: {expected}") from None
    return text
