"""The codes of a scan as identifiers of things; what cannot be told is left out, not guessed."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

from protocols.codes.element_strings import Elements, keys_of, parse_bracketed
from protocols.codes.links import parse_digital_link
from protocols.codes.recognise import link_of
from protocols.codes.registry import SchemeRegistry
from protocols.epcis.identifiers import judge
from protocols.errors import RefuseInput
from protocols.records import Code, Scan

Granularity = Literal["instance", "lot", "class", "place", "party"]
RAW, ELEMENTS, LINK = "raw", "gs1_element_string", "gs1_digital_link"
CARRIERS = frozenset({"tag_uid", "tid", "epc", "user_bank", "sun", "sun_counter"})
"""Numbers and memory of the chip: they name the tag, not the thing that it is on."""
UNREAD = frozenset(
    {
        *("too_long", "not_utf8", "control_characters", "ambiguous", "contradictory"),
        *("bad_element_string", "bad_digital_link", "bad_check_digit", "bad_date"),
    }
)
"""Findings of a gateway that could not tell what a text is."""
DETAIL_CHARS_MAX = 200
WHOLE = -1
"""In place of a code's index: the scan as a whole."""


class LeftOut(Struct, frozen=True):
    """A code that is in no event, or a scan of which there is none, and why."""

    index: int
    """Of the code in the scan, or `WHOLE`."""
    reason: str
    """A closed word."""
    detail: str = ""


class Item(Struct, frozen=True):
    """A thing, or a kind or lot of things, that a scan names."""

    index: int
    """Of the code that named it."""
    id: str
    """Canonical."""
    scheme: str
    granularity: Granularity


class Told(Struct, frozen=True):
    """What the codes of a scan say."""

    items: tuple[Item, ...]
    elements: Mapping[str, str]
    """Values by application identifier, of its element strings and Digital Links."""
    left_out: tuple[LeftOut, ...]


def read_codes(scan: Scan, registry: SchemeRegistry) -> Told:
    """Tell what the codes of a scan name; of a GS1 key the most exact alone."""
    items: dict[str, Item] = {}
    left_out: list[LeftOut] = []
    elements: dict[str, str] = {}
    parts = _parts(scan.codes)
    for index, code in enumerate(scan.codes):
        if code.scheme in CARRIERS or code in parts:
            continue
        try:
            if code.scheme == RAW:
                why = (one for one in scan.findings if one in UNREAD)
                raise RefuseInput(next(why, "unknown_scheme"), code.value)
            if code.scheme in (ELEMENTS, LINK):
                read = _elements(code.scheme, code.value)
                elements |= {one.ai: one.value for one in read}
                found = list(_keys(index, read, registry))
            else:
                found = [_named(index, code.scheme, code.value, registry)]
        except RefuseInput as refused:
            left_out.append(LeftOut(index, refused.reason, refused.detail[:DETAIL_CHARS_MAX]))
        else:
            items |= {one.id: one for one in found}
    return Told(tuple(_exact(items.values())), elements, tuple(left_out))


def _parts(codes: Iterable[Code]) -> list[Code]:
    """Return what gateways tell of an element string or Digital Link beside it."""
    parts: list[Code] = []
    for code in codes:
        if code.scheme in (ELEMENTS, LINK):
            with contextlib.suppress(RefuseInput):
                parts += keys_of(_elements(code.scheme, code.value))
    return parts


def _elements(scheme: str, text: str) -> Elements:
    found = parse_bracketed(text) if scheme == ELEMENTS else parse_digital_link(text)
    if found is None:
        raise RefuseInput("bad_digital_link", text)
    return found


def _keys(index: int, elements: Elements, registry: SchemeRegistry) -> Iterator[Item]:
    keys = registry.keys(elements)
    if not keys:
        raise RefuseInput("no_key", ", ".join(one.ai for one in elements))
    for exact, *_ in keys:
        yield _named(index, exact.scheme, exact.value, registry)


def _named(index: int, scheme: str, code: str, registry: SchemeRegistry) -> Item:
    found = registry.named(scheme, code)
    known = registry.schemes[scheme]
    link = link_of(known, found.code)
    granularity = known.granularity
    if link is not None and granularity == "instance" and judge(link).of_class:
        granularity = "class"  # a key with no serial number behind it
    return Item(index, link or registry.id_of(scheme, found.code), scheme, granularity)


def _exact(items: Iterable[Item]) -> list[Item]:
    """Leave out the kind or lot of a thing that is itself named."""
    items = list(items)
    return [one for one in items if not any(o.id.startswith(f"{one.id}/") for o in items)]
