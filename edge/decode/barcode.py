"""What a bar code says; what cannot be told stays as scanned, and nothing is guessed.

A text is a GS1 element string where the scanner says so (by its AIM symbology identifier), where
it holds FNC1, or in the human form with brackets; a link where it is a web address; else a plain
code where exactly one scheme fits. What has a fault, or fits several, is told as scanned, with the
reason as a finding.
"""

import re
from collections.abc import Callable, Iterable
from typing import Literal, cast

from edge.sources.base import Recognised
from protocols.catalog.schemes import Matcher, Scheme
from protocols.codes.element_strings import (
    FNC1,
    SCHEMES,
    Elements,
    bracketed,
    keys_of,
    parse_bracketed,
    parse_elements,
)
from protocols.codes.links import canonical_link, is_link, parse_asset_link, parse_digital_link
from protocols.errors import RefuseInput
from protocols.records import Code

Finding = Literal[
    "too_long",
    "not_utf8",
    "control_characters",
    "ambiguous",
    "bad_element_string",
    "bad_digital_link",
    "bad_check_digit",
    "bad_date",
    "contradictory",
]
"""Why a text is told as scanned only."""

RAW = "raw"
TEXT_MAX = 4096
"""Characters of a code that a record holds; a longer text is cut, and says so."""
RESERVED = SCHEMES | {RAW, "gs1_element_string", "gs1_digital_link", "tag_uid"}
"""Schemes of which codes are read from the thing itself; an address cannot claim them."""
_SYMBOLOGY = re.compile(r"\]([A-Za-z][0-9A-Za-z])")
_GS1 = frozenset({"C1", "e0", "d2", "Q3", "J1"})
"""GS1-128, DataBar, DataMatrix, QR Code and DotCode with FNC1 in front (ISO/IEC 15424)."""
_UNPROVEN: frozenset[str] = frozenset({"bad_element_string"})
"""Without the scanner's word such a text was perhaps never meant as an element string."""


class TextRecogniser:
    """Tells the codes of texts by GS1's rules and a set of schemes."""

    def __init__(self, schemes: Iterable[Scheme]) -> None:
        self._matcher = Matcher(schemes)

    def __call__(self, raw: bytes) -> Recognised:
        """Tell the codes of one scan."""
        if len(raw) > TEXT_MAX:
            return _as_scanned(raw.decode("utf-8", "backslashreplace"), "too_long")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return _as_scanned(raw.decode("utf-8", "backslashreplace"), "not_utf8")
        symbology = match[1] if (match := _SYMBOLOGY.match(text)) else ""
        body = text[3:] if symbology else text
        try:
            codes = self._codes(body, symbology)
        except RefuseInput as refused:
            return _as_scanned(text, cast("Finding", refused.reason))
        if any(len(code.value) > TEXT_MAX for code in codes):
            return _as_scanned(text, "too_long")
        if codes:
            return Recognised(tuple(codes))
        if any(ord(one) < 0x20 or ord(one) == 0x7F for one in text):
            return _as_scanned(text, "control_characters")
        return _as_scanned(text)

    def _codes(self, body: str, symbology: str) -> list[Code]:
        """Return what the text says, nothing where that cannot be told.

        Raises:
            RefuseInput: with the finding as its reason.

        """
        if is_link(body):
            return _link_codes(body)
        if symbology in _GS1:
            return _element_codes(parse_elements(body))
        if FNC1 in body and not symbology:
            return _unproven(parse_elements, body)
        if body.startswith("("):
            return _unproven(parse_bracketed, body)
        found = self._matcher.match(body, symbology)
        if len(found) > 1:
            raise RefuseInput("ambiguous", ", ".join(scheme for scheme, _ in found))
        return [Code(*one) for one in found]


def _link_codes(text: str) -> list[Code]:
    elements = parse_digital_link(text)
    if elements is not None:
        return [Code("gs1_digital_link", canonical_link(elements)), *keys_of(elements)]
    asset = parse_asset_link(text)
    return [] if asset is None or asset.scheme in RESERVED else [asset]


def _element_codes(elements: Elements) -> list[Code]:
    return [Code("gs1_element_string", bracketed(elements)), *keys_of(elements)]


def _unproven(parse: Callable[[str], Elements], text: str) -> list[Code]:
    try:
        return _element_codes(parse(text))
    except RefuseInput as refused:
        if refused.reason in _UNPROVEN:
            return []
        raise


def _as_scanned(text: str, *findings: Finding) -> Recognised:
    if not text:
        return Recognised()
    if len(text) > TEXT_MAX:  # bytes written out make it longer
        findings = *(one for one in findings if one != "too_long"), "too_long"
    return Recognised((Code(RAW, text[:TEXT_MAX]),), findings)
