"""Kinds of records in a lift's life as data, and what an entry of each must tell."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration
from protocols.lifts.base import Confidence, Line, PartyPart, Short, Title, Told, Word
from protocols.lifts.rules import Event, What

FOLDER = "lifts/records"
Value = str | int | float | bool
FieldType = Literal["text", "word", "day", "count", "number", "truth", "moment"]
"""`moment`: ms since 1970; `word`: one of those that the field names."""
Effect = Literal[
    "none",
    "supervise",
    "inspect",
    "self_test",
    "maintain",
    "register",
    "stop",
    "resume",
    "scrap",
]
RecordCall = Literal["lifts.record", "lifts.inspect", "lifts.write", "lifts.confirm"]
About = Literal["confirms", "withdraws"]
NEEDS: Mapping[str, tuple[str, ...]] = {
    "supervise": ("of", "result"),
    "inspect": ("result",),
    "self_test": ("result",),
    "maintain": ("level",),
}
"""Fields that an effect reads."""
SIMPLE: Mapping[str, What] = {
    "register": "registered",
    "stop": "stopped",
    "resume": "resumed",
    "scrap": "scrapped",
}
TEXT_CHARS_MAX, FIELDS_MAX, SIGNERS_MAX = 1_000, 40, 10


class FieldRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of a kind of record."""

    name: Word
    title: Title
    title_zh: Title
    type: FieldType
    required: bool = False
    one_of: tuple[Word, ...] = ()
    unit: Short = ""

    def fault(self, value: Any) -> tuple[str, str] | None:
        """Return (expected, found) of a value that is none of this field's."""
        if self._fits(value):
            return None
        return self._expected(), repr(value)[:100]

    def _fits(self, value: Any) -> bool:
        match self.type:
            case "text":
                return isinstance(value, str) and 0 < len(value) <= TEXT_CHARS_MAX
            case "word":
                return value in self.one_of
            case "day":
                return isinstance(value, str) and _is_day(value)
            case "truth":
                return isinstance(value, bool)
            case "count" | "moment":
                whole = isinstance(value, int) and not isinstance(value, bool)
                return whole and 0 <= value < 10**15
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool)

    def _expected(self) -> str:
        if self.type == "word":
            return f"one of {', '.join(self.one_of)}"
        return {
            "text": f"1 to {TEXT_CHARS_MAX} characters",
            "day": "a day, YYYY-MM-DD",
            "truth": "true or false",
            "count": "a whole number from 0 on",
            "moment": "milliseconds since 1970",
            "number": "a number",
        }[self.type]


class Signer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who stands for an entry with a name."""

    role: Word
    name: Annotated[Line, Meta(min_length=1)]
    licence: Short = ""


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry as its author writes it."""

    kind: Word
    on: date
    """The local day on which it happened."""
    about: Annotated[int, Meta(ge=0, le=10**9)] = 0
    """Number of the entry that it corrects, confirms or withdraws; 0: none."""
    fields: Annotated[dict[Word, Value], Meta(max_length=FIELDS_MAX)] = {}
    signers: Annotated[tuple[Signer, ...], Meta(max_length=SIGNERS_MAX)] = ()
    note: Annotated[str, Meta(max_length=TEXT_CHARS_MAX)] = ""


class RecordSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry, and what is wrong with it."""

    about: Told
    draft: Draft
    faults: tuple[Word, ...] = ()
    """Fields with a fault; none: it is taken."""


class RecordKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of record."""

    schema: Literal[1]
    id: Word
    title: Title
    title_zh: Title
    call: RecordCall
    """Who may write it, as firmware_config/access/calls.toml says."""
    parts: tuple[PartyPart, ...]
    """A firm must play one of these parts; offices need not."""
    signers: tuple[Word, ...] = ()
    """Roles of which somebody must sign."""
    confirmed_by: tuple[PartyPart, ...] = ()
    """Whose safety manager confirms it with a second entry."""
    effect: Effect = "none"
    about: About | None = None
    """It tells of another entry."""
    keep: Literal["life", "years"]
    """The unit's life and after, or so many years at least."""
    keep_years: Annotated[int, Meta(ge=0, le=100)] = 0
    confidence: Confidence
    source: Told
    fields: tuple[FieldRule, ...] = ()
    sample: tuple[RecordSample, ...]

    def faults(self, draft: Draft) -> Iterator[tuple[str, str, str]]:
        """Yield (field, expected, found) of all that is wrong with an entry by itself."""
        known = {one.name: one for one in self.fields}
        for name in sorted(set(draft.fields) - set(known)):
            yield f"fields.{name}", f"one of {', '.join(known) or 'none'}", "an unknown field"
        for name, rule in known.items():
            if name not in draft.fields:
                if rule.required:
                    yield f"fields.{name}", rule._expected(), "nothing"  # noqa: SLF001
            elif (wrong := rule.fault(draft.fields[name])) is not None:
                yield (f"fields.{name}", *wrong)
        for role in self.signers:
            if role not in {one.role for one in draft.signers}:
                yield "signers", f"a name of role {role}", "none"
        if self.about is not None and not draft.about:
            yield "about", "the number of an entry", "none"

    def event(self, on: date, fields: Mapping[str, Value]) -> Event | None:
        """Return what an entry does to the calendar of its lift."""
        passed, what = fields.get("result") == "passed", SIMPLE.get(self.effect)
        match self.effect:
            case "supervise" if passed:
                what = "major_repair" if fields.get("of") == "major_repair" else "base"
            case "inspect":
                what = "inspected" if passed else "failed"
            case "supervise":
                what = "failed"
            case "self_test" if passed:
                what = "self_tested"
            case "maintain":
                return Event(on=on, what="maintained", level=str(fields.get("level", "")))
        return Event(on=on, what=what) if what is not None else None


Kinds = Mapping[str, RecordKind]


def load_kinds(overlay: Path | None = None) -> Kinds:
    """Return the kinds of records by id; their samples hold.

    Raises:
        FixConfiguration: with all faults of all files.

    """
    faults: list[Fault] = []
    kinds: dict[str, RecordKind] = {}
    for path, _ in data_files(FOLDER, overlay):
        try:
            kind = load_toml(path, RecordKind)
        except FixConfiguration as error:
            faults += error.faults
            continue
        kinds[kind.id] = kind
        faults += _kind_faults(kind, path)
    if faults:
        raise FixConfiguration(faults)
    return kinds


def _kind_faults(kind: RecordKind, path: Path) -> Iterator[Fault]:
    file, names = str(path), [one.name for one in kind.fields]
    if kind.id != path.stem:
        yield Fault(file, "id", path.stem, kind.id)
    if len(set(names)) < len(names):
        yield Fault(file, "fields", "each name once", ", ".join(names))
    required = {one.name for one in kind.fields if one.required}
    if missing := set(NEEDS.get(kind.effect, ())) - required:
        expected = f"required for effect {kind.effect}: {', '.join(sorted(missing))}"
        yield Fault(file, "fields", expected, ", ".join(sorted(required)) or "none")
    for one in kind.fields:
        if (one.type == "word") != bool(one.one_of):
            yield Fault(file, f"fields.{one.name}", "words for type word alone", str(one.one_of))
    if (kind.keep == "years") != bool(kind.keep_years):
        yield Fault(file, "keep_years", "years where it is kept for years", str(kind.keep_years))
    if not any(one.faults for one in kind.sample) or all(one.faults for one in kind.sample):
        yield Fault(file, "sample", "one that is taken and one that is not", str(len(kind.sample)))
    for sample in kind.sample:
        found = [field.rpartition(".")[2] for field, _, _ in kind.faults(sample.draft)]
        if tuple(found) != sample.faults or sample.draft.kind != kind.id:
            yield Fault(file, f"sample: {sample.about}", str(sample.faults), str(tuple(found)))


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
