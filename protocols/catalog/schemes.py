"""Scheme files: how the plain codes of one scheme look, as data."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.codes.checks import CHECKS, CheckName
from protocols.errors import Fault, FixConfiguration
from protocols.ids import SCHEME

LENGTH_MAX = 64
"""Of a plain code; longer texts are none."""


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
    width: Annotated[int, Meta(ge=1, le=LENGTH_MAX)] | None = None
    """The code is filled up with zeros in front to so many characters."""


class Sample(Struct, frozen=True, kw_only=True):
    """A text as scanned, and the code that the scheme makes of it."""

    text: str
    symbology: str = ""
    code: str | None = None
    """None: it is none of this scheme."""


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
    forms: tuple[Form, ...]
    samples: tuple[Sample, ...] = ()


class Matcher:
    """Finds the schemes that a plain code fits."""

    def __init__(self, schemes: Iterable[Scheme]) -> None:
        self._forms = [
            (scheme.id, form, re.compile(form.pattern, re.ASCII))
            for scheme in schemes
            for form in scheme.forms
        ]
        self._own = {name for _, form, _ in self._forms for name in form.symbologies}
        """Symbologies that hold nothing but the forms which name them."""

    def match(self, text: str, symbology: str = "") -> list[tuple[str, str]]:
        """Return (scheme, code) of each scheme that the text fits.

        Args:
            text: without control characters.
            symbology: AIM identifier such as `E0`, empty where the scanner told none.

        """
        if len(text) > LENGTH_MAX:
            return []
        found = dict.fromkeys(
            (scheme, text.rjust(form.width or 0, "0"))
            for scheme, form, pattern in self._possible(symbology)
            if fits(form, pattern, text)
        )
        return list(found)

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


def fits(form: Form, pattern: re.Pattern[str], text: str) -> bool:
    """Tell whether a text has a form."""
    match = pattern.fullmatch(text)
    return match is not None and all(CHECKS[name](match) for name in form.checks)


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
    for index, form in enumerate(scheme.forms):
        try:
            groups = re.compile(form.pattern, re.ASCII).groupindex
        except re.error as error:
            yield f"forms[{index}].pattern", "a regular expression", str(error)
            return
        yield from _form_faults(form, groups, f"forms[{index}]")
    yield from _sample_faults(scheme, shipped=shipped)


def _form_faults(form: Form, groups: Mapping[str, int], key: str) -> Iterator[tuple[str, str, str]]:
    for name in form.checks:
        if name in ("date", "month_day") and name not in groups:
            yield f"{key}.pattern", f"a group named {name}, for that check", repr(form.pattern)
    if form.only_proven and not form.symbologies:
        yield f"{key}.symbologies", "at least one, where only_proven", "none"


def _sample_faults(scheme: Scheme, *, shipped: bool) -> Iterator[tuple[str, str, str]]:
    matcher = Matcher([scheme])
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
