"""What a scanned or typed text may be: all that it fits, and how sure that is.

Read first for what says its own scheme: a Digital Link, an address `…/id/{scheme}/{code}`, an EPC
URN, an element string, a symbology that holds nothing else, `scheme:code`, a label with its lines.
Only then for what fits by its form alone, where several schemes may share a form: 20 digits are a
drug, goods of a market, a registration or, behind `00`, a logistic unit. All are told, those whose
administrative division exists before those whose does not; none is picked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec
from msgspec import Struct

from protocols.catalog.divisions import Doubt
from protocols.catalog.schemes import Found, Scheme
from protocols.codes.checks import DATES
from protocols.codes.element_strings import (
    FNC1,
    Elements,
    bracketed,
    parse_bracketed,
    parse_elements,
)
from protocols.codes.epc_uri import DIGITAL_LINK, canonical_id, identifier_fault
from protocols.codes.links import is_link, parse_asset_link, parse_digital_link
from protocols.codes.registry import SchemeRegistry
from protocols.errors import RefuseInput
from protocols.ids import ASSET_ID
from protocols.records import Code

Sure = Literal["told", "likely", "possible"]
"""The text says so itself; nothing else fits; other things fit as well."""
Why = Literal[
    "digital_link",
    "address",
    "epc_urn",
    "element_string",
    "symbology",
    "named",
    "label",
    "in_text",
    "form",
]
"""What it was told by."""
TEXT_MAX = 4_096
"""Characters."""
PARTS_MAX = 64
"""Words of a text or an address that are looked at; further ones are not."""
IN_TEXT_MIN = 15
"""Characters of a code among other words: shorter ones are too often something else."""
GS1_SYMBOLOGIES = frozenset({"C1", "e0", "d2", "Q3", "J1"})
"""GS1-128, DataBar, DataMatrix, QR Code and DotCode with FNC1 in front (ISO/IEC 15424)."""
_SYMBOLOGY = re.compile(r"\]([A-Za-z][0-9A-Za-z])")
_LEADING_AI = re.compile(r"0[01][0-9]{14}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1c\x1e\x1f\x7f]")
_TITLED = re.compile(r"[^:：]{1,20}[:：]\s*(?!//)")


class Candidate(Struct, frozen=True, kw_only=True):
    """A code that a text may be; its structure is that of its scheme, its check digits hold."""

    scheme: str
    code: str
    fields: Mapping[str, str] = {}
    """What the parts say, by the names in the scheme file."""
    sure: Sure
    why: Why
    doubts: tuple[Doubt, ...] = ()
    link: str | None = None
    """Of a GS1 key its canonical Digital Link."""
    wider: tuple[Code, ...] = ()
    """The same thing less exactly: the lot and the article of a serial number."""
    elements: str = ""
    """Of a GS1 key all elements that were told with it, in brackets."""


def recognise(text: str, registry: SchemeRegistry, symbology: str = "") -> tuple[Candidate, ...]:
    """Return what a text may be, the surest first; nothing where no scheme fits.

    Args:
        text: as scanned, with or without the AIM symbology identifier in front, or as typed.
        registry: the schemes.
        symbology: AIM identifier such as `E0`, where the scanner told it beside the text.

    Raises:
        RefuseInput: `empty`, `too_long`, `not_utf8`, `control_characters`; or it says what it is,
            or can be nothing else, and has a fault: `bad_check_digit`, `bad_date`,
            `bad_digital_link`, `bad_epc_urn`, `bad_code`, `unknown_scheme`, and as
            `parse_elements`.

    """
    body, symbology = _clean(text, symbology)
    if body[:8].lower() == "urn:epc:":
        return _from_urn(body, registry)
    if is_link(body) and not any(one.isspace() for one in body):
        return _from_link(body, registry)
    if symbology in GS1_SYMBOLOGIES:
        return _from_elements(parse_elements(body), registry, "element_string")
    elements = _elements_unproven(body, symbology)
    if elements:
        return _from_elements(elements, registry, "element_string")
    if FNC1 in body:
        raise RefuseInput("control_characters", "a separator where no element string is")
    if any(one.isspace() for one in body):
        return tuple(_from_words(body, registry))
    scheme, _, code = body.partition(":")
    if scheme in registry.schemes and ASSET_ID.fullmatch(body):
        return (named(scheme, code, registry),)
    found = tuple(_from_form(body, registry, symbology))
    if not found:
        _refuse_spoiled(body, registry, symbology)
    return found


def _refuse_spoiled(text: str, registry: SchemeRegistry, symbology: str) -> None:
    """Refuse what is made as a code and fails its check: mostly a digit was mistyped."""
    spoiled = registry.plain.spoiled(text, symbology)
    if spoiled:
        reason = "bad_date" if spoiled[0][1] in DATES else "bad_check_digit"
        told = " or ".join(f"{scheme} whose {check} does not hold" for scheme, check in spoiled)
        raise RefuseInput(reason, f"made as a code of {told}")


def named(scheme: str, code: str, registry: SchemeRegistry, why: Why = "named") -> Candidate:
    """Return the code of a scheme that is told beside it; RefuseInput as `SchemeRegistry.named`."""
    return _candidate(registry.named(scheme, code), registry, "told", why)


def link_of(scheme: Scheme, code: str) -> str | None:
    """Return the canonical Digital Link of a code, None where its scheme is not GS1's."""
    if not scheme.gs1:
        return None
    values = code.split(".", len(scheme.gs1) - 1)
    path = "/".join(
        f"{ai}/{quote(one, safe='')}" for ai, one in zip(scheme.gs1, values, strict=True)
    )
    return canonical_id(f"{DIGITAL_LINK}{path}")


def _clean(text: str, symbology: str) -> tuple[str, str]:
    if len(text) > TEXT_MAX:
        raise RefuseInput("too_long", f"expected at most {TEXT_MAX} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefuseInput("not_utf8", "half a character") from None
    body = text.strip(" \t\r\n")
    match = _SYMBOLOGY.match(body)
    if match is not None:
        body, symbology = body[3:], match[1]
    if not body:
        raise RefuseInput("empty", "nothing was scanned")
    if _CONTROL.search(body):
        raise RefuseInput("control_characters", repr(body[:80]))
    return body, symbology


def _from_urn(text: str, registry: SchemeRegistry) -> tuple[Candidate, ...]:
    fault = identifier_fault(text)
    if fault is not None:
        raise RefuseInput(fault.rule, f"expected {fault.expected}")
    elements = parse_digital_link(canonical_id(text))
    return _from_elements(elements, registry, "epc_urn") if elements else ()


def _from_link(text: str, registry: SchemeRegistry) -> tuple[Candidate, ...]:
    elements = parse_digital_link(text)
    if elements is not None:
        return _from_elements(elements, registry, "digital_link")
    asset = parse_asset_link(text)
    if asset is not None and asset.scheme in registry.schemes:
        return (named(asset.scheme, asset.value, registry, "address"),)
    try:
        parts = urlsplit(text)
        asked = [value for _, value in parse_qsl(parts.query, max_num_fields=PARTS_MAX)]
    except ValueError:
        return ()
    words = [unquote(one) for one in parts.path.split("/")]
    return tuple(_weigh(_in_text([*words, *asked, parts.fragment], registry), registry))


def _elements_unproven(body: str, symbology: str) -> Elements:
    """Read what is perhaps an element string; nothing where it was perhaps never meant as one."""
    try:
        if FNC1 in body and not symbology:
            return parse_elements(body)
        if body.startswith("("):
            return parse_bracketed(body)
    except RefuseInput as refused:
        if refused.reason != "bad_element_string":
            raise
    return ()


def _from_elements(elements: Elements, registry: SchemeRegistry, why: Why) -> tuple[Candidate, ...]:
    found = []
    for exact, *wider in registry.keys(elements):
        one = _candidate(registry.named(exact.scheme, exact.value), registry, "told", why)
        found.append(msgspec.structs.replace(one, wider=tuple(wider), elements=bracketed(elements)))
    return tuple(found)


def _from_words(text: str, registry: SchemeRegistry) -> Iterator[Candidate]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    labelled = list(_from_label(lines, registry))
    yield from labelled
    found: dict[Code, Candidate] = {}
    words = [word for line in lines for word in _TITLED.sub("", line).split()][:PARTS_MAX]
    for word in words:
        if is_link(word):
            try:
                told = _from_link(word, registry)
            except RefuseInput:
                continue  # an address on a label that is no code; the others may be one
            found |= {Code(one.scheme, one.code): one for one in told}
    for one in _weigh(_in_text(words, registry), registry):
        found.setdefault(Code(one.scheme, one.code), one)
    already = {(one.scheme, one.code) for one in labelled}
    yield from (one for one in found.values() if (one.scheme, one.code) not in already)


def _from_label(lines: Sequence[str], registry: SchemeRegistry) -> Iterator[Candidate]:
    for scheme in registry.labelled:
        if len(lines) != len(scheme.label):
            continue
        told = {name: _TITLED.sub("", line) for name, line in zip(scheme.label, lines, strict=True)}
        address = told.get("address")
        try:
            found = registry.named(scheme.id, told.pop("code"))
        except RefuseInput:
            continue
        if address is None or is_link(address):
            fields = {**found.fields, **told}
            yield _candidate(found._replace(fields=fields), registry, "told", "label")


def _in_text(words: Iterable[str], registry: SchemeRegistry) -> list[Found]:
    return [
        found
        for word in list(words)[:PARTS_MAX]
        if len(word) >= IN_TEXT_MIN
        for found in registry.plain.find(word)
        if found.form.in_addresses
    ]


def _from_form(text: str, registry: SchemeRegistry, symbology: str) -> list[Candidate]:
    found = registry.plain.find(text, symbology)
    told = [one for one in found if symbology and symbology in one.form.symbologies]
    if told:
        return [_candidate(one, registry, "told", "symbology") for one in told]
    keys: list[Code] = []
    if not symbology and _LEADING_AI.match(text):
        try:
            keys = [first for first, *_ in registry.keys(parse_elements(text))]
        except RefuseInput:
            keys = []
    found += [registry.named(one.scheme, one.value) for one in keys]
    return _weigh(found, registry, "form")


def _weigh(
    found: Sequence[Found], registry: SchemeRegistry, why: Why = "in_text"
) -> list[Candidate]:
    """Say how sure each is: the only one, or the only one without doubts, is likely."""
    once = {(one.scheme, one.code): one for one in reversed(found)}
    made = [_candidate(one, registry, "possible", why) for one in reversed(once.values())]
    made.sort(key=lambda one: len(one.doubts) > 0)
    plain = [one for one in made if not one.doubts]
    if len(plain) == 1 or len(made) == 1:
        made[0] = msgspec.structs.replace(made[0], sure="likely")
    return made


def _candidate(found: Found, registry: SchemeRegistry, sure: Sure, why: Why) -> Candidate:
    return Candidate(
        scheme=found.scheme,
        code=found.code,
        fields={name: value for name, value in found.fields.items() if value},
        sure=sure,
        why=why,
        doubts=registry.doubts(found.scheme, found.fields),
        link=link_of(registry.schemes[found.scheme], found.code),
    )
