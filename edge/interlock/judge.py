"""From what was read at a filling place to a verdict: which cylinder it is, what is known of it.

Pure but for the look-ups in the snapshot, which are of memory.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from edge.interlock.base import Judged, Present, Question, Trouble
from edge.interlock.day import Moment
from protocols.cylinders.base import (
    Cylinder,
    Id,
    Reason,
    Seen,
    State,
    StationPermits,
    Verdict,
)
from protocols.cylinders.book import RuleBook
from protocols.cylinders.limits import Filled, Finding, after_fill, checks_for
from protocols.cylinders.verdict import bars_to_override, fill_verdict
from protocols.errors import RefuseInput
from protocols.records import Code

CHIP_SCHEMES = frozenset({"tag_uid", "tid"})
"""Numbers of a chip itself; the snapshot knows whose it is."""
_FORGED = frozenset({"bad_signature", "bad_sun"})
_DISAGREE = "codes_disagree"
_CYLINDER = "cylinder"

UNTOLD = StationPermits(recorded=False)
"""Of a snapshot that says nothing of permits."""

Names = Callable[[Iterable[Code]], Mapping[str, set[str]]]
"""By scheme, the values of those codes that name the thing that carries them."""


class Known(Protocol):
    """A station snapshot."""

    @property
    def permits(self) -> StationPermits | None:
        """What the filler may fill; None: it does not say."""
        ...

    def find(self, code: str) -> Cylinder | None:
        """Return a cylinder by its asset id. RefuseInput: no such code can be."""
        ...

    def find_tag(self, uid: str) -> str | None:
        """Return the code of the cylinder with this tag. RefuseInput: no such UID can be."""
        ...

    def denied(self, code: str) -> State | None:
        """Return why a cylinder of another filler must not be filled."""
        ...

    def state_at(self, now_ms: int) -> Literal["fresh", "ageing", "expired"]:
        """Tell how far it is to be trusted."""
        ...


class Facts(Struct, frozen=True, kw_only=True):
    """What the gateway knows now, all of it offline."""

    book: RuleBook
    known: Known | None
    """None: there is no snapshot."""
    snapshot: str = ""
    """Its version."""


class Identity(Struct, frozen=True, kw_only=True):
    """Which cylinder is here."""

    code: str = ""
    """Asset id; empty: cannot be told."""
    cylinder: Cylinder | None = None
    codes_disagree: bool = False
    clone_suspected: bool = False
    troubles: tuple[tuple[Trouble, str], ...] = ()
    """What keeps it from being told, and what was found."""


class Judging(Struct, frozen=True, kw_only=True):
    """Judges for one place."""

    filler: str
    gas: Id
    components: tuple[Id, ...] = ()
    facts: Callable[[], Facts]
    now: Callable[[], Moment]
    filled_on: Callable[[str], date | None]
    """When a cylinder was filled here last."""
    names: Names

    def __call__(self, question: Question) -> Judged:
        """Answer from what is known at this moment."""
        facts, moment = self.facts(), self.now()
        found = identify(question.here, facts.known, self.names)
        filled_on = self.filled_on(found.code) if found.code else None
        cylinder = _with_fill(found.cylinder, filled_on)
        checks = checks_for(cylinder, facts.book) if cylinder is not None else ()
        after = checks_for(cylinder, facts.book, "after") if cylinder is not None else ()
        answers = dict(question.answers)
        state = "none" if facts.known is None else facts.known.state_at(moment.now_ms)
        seen = Seen(
            filler=self.filler,
            gas=self.gas,
            components=self.components,
            on=moment.on,
            clock=moment.clock,
            codes_disagree=found.codes_disagree,
            clone_suspected=found.clone_suspected,
            snapshot=state,
            filled_here_before=filled_on is not None,
            permits=None if facts.known is None else facts.known.permits or UNTOLD,
            checks_failed=tuple(one.id for one in checks if answers.get(one.id) is False),
            checks_open=tuple(one.id for one in checks if one.id not in answers),
            tare_on_tag_kg=_tare_on_tags(question.here, cylinder),
            weighed_kg=question.weighed_kg,
        )
        by_rules = fill_verdict(cylinder, seen, facts.book)
        troubles = [*found.troubles, *((one, "") for one in question.troubles)]
        denied = facts.known.denied(found.code) if facts.known and found.code else None
        verdict = _with_reasons(by_rules, troubles, denied)
        return Judged(
            verdict=verdict,
            code=found.code,
            cylinder=cylinder,
            on=moment.on,
            clock=moment.clock,
            snapshot=facts.snapshot,
            may_overrule=_may_overrule(verdict, facts.book),
            checks=tuple(one.id for one in checks),
            after_checks=tuple(one.id for one in after),
        )

    def review(self, judged: Judged | None, filled: Filled) -> tuple[Finding, ...]:
        """Tell what is wrong after a filling, by the rules that hold when it is over."""
        return after_fill(None if judged is None else judged.cylinder, filled, self.facts().book)


def identify(here: tuple[Present, ...], known: Known | None, names: Names) -> Identity:
    """Tell which cylinder carries all that was read; what contradicts itself is none.

    A label that names nothing says nothing; a tag that names nothing is one that nobody knows.
    """
    each = [(one, _codes_of(one, known, names)) for one in here]
    codes = {code for _, found in each for code in found}
    troubles: list[tuple[Trouble, str]] = [
        ("tag_damaged", finding)
        for one in here
        for finding in one.findings
        if finding != _DISAGREE and finding not in _FORGED
    ]
    disagree = any(_DISAGREE in one.findings for one in here) or any(
        len(found) > 1 for _, found in each
    )
    unknown_tags = sum(1 for one, found in each if one.stays and not found)
    tags = {code for one, found in each if one.stays for code in found}
    if (len(tags) > 1 and not disagree) or (unknown_tags and len(each) > 1 and codes):
        troubles.append(("two_cylinders", ", ".join(sorted(tags))[:200]))
    elif len(codes) > 1:
        disagree = True
    code = next(iter(codes)) if len(codes) == 1 else ""
    cylinder = None if not code else _find(known, code)
    forged = any(finding in _FORGED for one in here for finding in one.findings)
    return Identity(
        code=code,
        cylinder=cylinder,
        codes_disagree=disagree,
        clone_suspected=forged or _strange_chip(here, cylinder),
        troubles=tuple(troubles),
    )


def _codes_of(one: Present, known: Known | None, names: Names) -> set[str]:
    """Return the asset ids that one tag or label stands for."""
    found = set()
    for scheme, values in names(one.codes).items():
        for code in (f"{scheme}:{value}" for value in values):
            if scheme == _CYLINDER or _find(known, code) is not None:
                found.add(code)
    for chip in one.codes:
        if chip.scheme in CHIP_SCHEMES and (owner := _owner(known, chip.value)) is not None:
            found.add(owner)
    return found


def _strange_chip(here: tuple[Present, ...], cylinder: Cylinder | None) -> bool:
    """Tell whether a chip carries this cylinder's name and is none of its own."""
    if cylinder is None or not cylinder.tag_uids:
        return False
    chips = {
        code.value.upper()
        for one in here
        for code in one.codes
        if code.scheme in CHIP_SCHEMES and one.stays
    }
    return bool(chips) and not chips & set(cylinder.tag_uids)


def _find(known: Known | None, code: str) -> Cylinder | None:
    if known is None:
        return None
    try:
        return known.find(code)
    except RefuseInput:
        return None


def _owner(known: Known | None, uid: str) -> str | None:
    if known is None:
        return None
    try:
        return known.find_tag(uid.upper())
    except RefuseInput:
        return None


def _tare_on_tags(here: tuple[Present, ...], cylinder: Cylinder | None) -> float | None:
    """Return the tare that stands on the tags; of several the one farthest from the record."""
    tares = [one.tare_kg for one in here if one.tare_kg is not None]
    recorded_kg = 0.0 if cylinder is None else cylinder.tare_kg or 0.0
    return max(tares, key=lambda kg: abs(kg - recorded_kg), default=None)


def _with_fill(cylinder: Cylinder | None, filled_on: date | None) -> Cylinder | None:
    """Add what happened here after the snapshot was made."""
    if cylinder is None or filled_on is None:
        return cylinder
    before = cylinder.last_filled_on
    latest = filled_on if before is None else max(before, filled_on)
    return replace(cylinder, last_filled_on=latest)


def _with_reasons(
    verdict: Verdict, troubles: list[tuple[Trouble, str]], denied: State | None
) -> Verdict:
    """Add what the rules know nothing of: what the place lacks, and others' cylinders."""
    more = [Reason(reason=word, decision="cannot_decide", found=found) for word, found in troubles]
    forbids = [] if denied is None else [Reason(reason=denied, decision="do_not_fill")]
    if not more and not forbids:
        return verdict
    reasons = sorted((*forbids, *verdict.reasons, *more), key=_gravity)
    return replace(verdict, decision=reasons[0].decision, reasons=tuple(reasons))


def _gravity(reason: Reason) -> bool:
    return reason.decision != "do_not_fill"


def _may_overrule(verdict: Verdict, book: RuleBook) -> tuple[Id, ...]:
    """Name the roles that may decide against all that was found."""
    roles = sorted({role for one in book.reasons for role in one.override_by})
    return tuple(
        one for one in roles if verdict.reasons and not bars_to_override(verdict, one, book)
    )
