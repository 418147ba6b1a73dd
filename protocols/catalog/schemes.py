"""Scheme files: how the plain codes of one scheme look, as data."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.codes.checks import CHECKS, GROUP_OF, CheckName
from protocols.errors import Fault, FixConfiguration
from protocols.ids import SCHEME

LENGTH_MAX = 64
"""Of a plain code; longer texts are none."""
Told = Literal["gateway", "asked", "named"]
"""Who may tell a form from a plain text: a gateway alone; only whoever can be shown that it may be
something else, too; nobody, for it counts only where the scheme is named beside it."""
ALONE: tuple[Told, ...] = ("gateway",)
WIDEST: tuple[Told, ...] = ("gateway", "asked", "named")


class Field(Struct, frozen=True, kw_only=True):
    """What a named part of a code says."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
    title: str
    title_zh: str
    division: bool = False
    """It is an administrative division (GB/T 2260) of two, four or six digits."""


class Form(Struct, frozen=True, kw_only=True):
    """One way in which codes of the scheme are written."""

    about: str
    pattern: Annotated[str, Meta(min_length=1, max_length=500)]
    """Regular expression of the whole code; its named groups are the fields by position."""
    checks: tuple[CheckName, ...] = ()
    """What must hold beside the pattern; see `protocols.codes.checks`."""
    symbologies: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z][0-9A-Za-z]\Z")], ...] = ()
    """AIM symbology identifiers (ISO/IEC 15424) without the bracket, of symbologies that hold
    nothing else. A scanner that tells one of these rules out every other form; one that tells
    another rules out this one."""
    only_proven: bool = False
    """The form is too common to be told without its symbology."""
    told: Told = "gateway"
    in_addresses: bool = False
    """Web addresses on packs carry such codes: among other words of one it may be told."""
    width: Annotated[int, Meta(ge=1, le=LENGTH_MAX)] | None = None
    """The code is filled up with zeros in front to so many characters."""


class Sample(Struct, frozen=True, kw_only=True):
    """A text as scanned, and the code that the scheme makes of it."""

    text: str
    symbology: str = ""
    code: str | None = None
    """None: it is none of this scheme."""
    scanned: tuple[str, ...] = ()
    """Other carriers of the same code: addresses, element strings, labels."""


class Scheme(Struct, frozen=True, kw_only=True):
    """One scheme of codes."""

    schema: Literal[1]
    id: str
    title: str
    title_zh: str
    document: str
    """Where the structure comes from."""
    confidence: Literal["A", "B", "C"]
    """A: seen in the standard or computed; B: several sources agree; C: one source."""
    granularity: Literal["instance", "class", "lot", "party", "place"]
    """What one code names."""
    issuer: str = ""
    issuer_zh: str = ""
    look_up: str = ""
    look_up_zh: str = ""
    """Where an authority tells of a code."""
    look_up_url: Annotated[str, Meta(pattern=r"^(https?://[^\s]+)?\Z")] = ""
    uncertain: tuple[str, ...] = ()
    """What of this file was not confirmed."""
    fields: tuple[Field, ...] = ()
    """Of the forms' named groups and of the label, each once."""
    gs1: tuple[Annotated[str, Meta(pattern=r"^[0-9]{2,4}\Z")], ...] = ()
    """Application identifiers of the elements that the code is made of, with a point between."""
    label: tuple[str, ...] = ()
    """What stands on the lines of its label, in order; `code` is the code."""
    forms: tuple[Form, ...]
    samples: tuple[Sample, ...] = ()


class Found(NamedTuple):
    """A scheme that a text fits."""

    scheme: str
    code: str
    form: Form
    fields: Mapping[str, str]
    """What the code's parts say, by the form's named groups."""


class Matcher:
    """Finds the schemes that a plain code fits."""

    def __init__(self, schemes: Iterable[Scheme], told: Collection[Told] = ALONE) -> None:
        self._forms = [
            (scheme.id, form, re.compile(form.pattern, re.ASCII))
            for scheme in schemes
            for form in scheme.forms
            if form.told in told
        ]
        self._own = {name for _, form, _ in self._forms for name in form.symbologies}
        """Symbologies that hold nothing but the forms which name them."""

    def match(self, text: str, symbology: str = "") -> list[tuple[str, str]]:
        """Return (scheme, code) of each scheme that the text fits.

        Args:
            text: without control characters.
            symbology: AIM identifier such as `E0`, empty where the scanner told none.

        """
        return list(
            dict.fromkeys((scheme, code) for scheme, code, _, _ in self.find(text, symbology))
        )

    def find(self, text: str, symbology: str = "") -> list[Found]:
        """As `match`, with what the code's parts say; once for each form."""
        if len(text) > LENGTH_MAX:
            return []
        return [
            Found(scheme, text.rjust(form.width or 0, "0"), form, match.groupdict(""))
            for scheme, form, pattern in self._possible(symbology)
            if (match := pattern.fullmatch(text)) is not None and holds(form, match)
        ]

    def spoiled(self, text: str, symbology: str = "") -> list[tuple[str, CheckName]]:
        """Return the schemes whose form a text has, each with the check that does not hold."""
        return [
            (scheme, name)
            for scheme, form, pattern in self._possible(symbology)
            if len(text) <= LENGTH_MAX and (match := pattern.fullmatch(text)) is not None
            for name in form.checks
            if not CHECKS[name](match)
        ]

    def _possible(self, symbology: str) -> Iterator[tuple[str, Form, re.Pattern[str]]]:
        """Yield the forms that may stand in a symbology; one of its own excludes all others."""
        own = symbology in self._own
        for scheme, form, pattern in self._forms:
            if own:
                possible = symbology in form.symbologies
            else:
                possible = not (form.only_proven or (symbology and form.symbologies))
            if possible:
                yield scheme, form, pattern


def holds(form: Form, match: re.Match[str]) -> bool:
    """Tell whether all checks of a form hold for a text that has its pattern."""
    return all(CHECKS[name](match) for name in form.checks)


def load_scheme(path: Path, *, shipped: bool) -> Scheme:
    """Read and check one scheme file; its samples must come out.

    Raises:
        FixConfiguration: with all its faults.

    """
    scheme = load_toml(path, Scheme)
    faults = [Fault(str(path), *one) for one in _faults(scheme, path.stem, shipped=shipped)]
    if faults:
        raise FixConfiguration(faults)
    return scheme


def load_schemes(overlay: Path | None) -> tuple[dict[str, Scheme], list[Fault]]:
    """Read all shipped scheme files and those of the overlay, by id; a faulty one is left out."""
    schemes: dict[str, Scheme] = {}
    faults: list[Fault] = []
    for path, shipped in data_files("schemes", overlay):
        try:
            scheme = load_scheme(path, shipped=shipped)
        except FixConfiguration as error:
            faults += error.faults
        else:
            schemes[scheme.id] = scheme
    return schemes, faults


def _faults(scheme: Scheme, stem: str, *, shipped: bool) -> Iterator[tuple[str, str, str]]:
    if scheme.id != stem:
        yield "id", f"{stem!r}, as the file is named", repr(scheme.id)
    if not SCHEME.fullmatch(scheme.id):
        yield "id", "a scheme: a-z, then a-z 0-9 _, 32 at most", repr(scheme.id)
    if not scheme.forms:
        yield "forms", "at least one", "none"
    if scheme.label and "code" not in scheme.label:
        yield "label", "code, on one of its lines", ", ".join(scheme.label)
    for index, form in enumerate(scheme.forms):
        try:
            groups = re.compile(form.pattern, re.ASCII).groupindex
        except re.error as error:
            yield f"forms[{index}].pattern", "a regular expression", str(error)
            return
        yield from _form_faults(form, groups, f"forms[{index}]")
    yield from _field_faults(scheme, shipped=shipped)
    yield from _sample_faults(scheme, shipped=shipped)


def _form_faults(form: Form, groups: Mapping[str, int], key: str) -> Iterator[tuple[str, str, str]]:
    for name in form.checks:
        group = GROUP_OF.get(name)
        if group is not None and group not in groups:
            yield f"{key}.pattern", f"a group named {group}, for that check", repr(form.pattern)
    if form.only_proven and not form.symbologies:
        yield f"{key}.symbologies", "at least one, where only_proven", "none"


def _field_faults(scheme: Scheme, *, shipped: bool) -> Iterator[tuple[str, str, str]]:
    """A shipped file says what each part is called; none is called twice."""
    told = [field.name for field in scheme.fields]
    parts = {name for form in scheme.forms for name in re.compile(form.pattern).groupindex}
    parts |= set(scheme.label) - {"code"}
    if len(set(told)) != len(told) or not parts >= set(told) or (shipped and parts != set(told)):
        yield "fields", ", ".join(sorted(parts)) or "none", ", ".join(told) or "none"


def _sample_faults(scheme: Scheme, *, shipped: bool) -> Iterator[tuple[str, str, str]]:
    matcher = Matcher([scheme], WIDEST)
    for index, sample in enumerate(scheme.samples):
        found = [code for _, code in matcher.match(sample.text, sample.symbology)]
        if found != ([] if sample.code is None else [sample.code]):
            yield f"samples[{index}].code", repr(sample.code), repr(found)
    if shipped:
        yield from _proof_faults(scheme.samples)


def _proof_faults(samples: Sequence[Sample]) -> Iterator[tuple[str, str, str]]:
    for word, some in (
        ("a code of the scheme", [one for one in samples if one.code is not None]),
        ("a text that is none", [one for one in samples if one.code is None]),
    ):
        if not some:
            yield "samples", f"at least one of {word}", "none"
