"""What a MATCH parameter matches: identifiers, EPC patterns and beginnings of Digital Links.

EPC patterns are those of the Tag Data Standard, section 8 (`urn:epc:idpat:…`), whose `*` stand at
the end. Beginnings of Digital Links end in `*`.
"""

from collections.abc import Iterable

from cloud.trace.query.base import BadParameter, Span
from protocols.codes.epc_uri import canonical_id

PATTERN = "urn:epc:idpat:"
CLASS = "https://id.gs1.org"
_INDICATORS = "0123456789"
_SCHEMES = {
    "sgtin": ("/01/", True, "/21/"),
    "sscc": ("/00/", True, None),
    "sgln": ("/414/", False, None),
    "pgln": ("/417/", False, None),
    "grai": ("/8003/0", False, None),
    "giai": ("/8004/", False, None),
    "gdti": ("/253/", False, None),
    "gsrn": ("/8018/", False, None),
    "gsrnp": ("/8017/", False, None),
    "gcn": ("/255/", False, None),
    "ginc": ("/401/", False, None),
    "gsin": ("/402/", False, None),
    "cpi": ("/8010/", False, "/8011/"),
    "itip": ("/8006/", True, "/21/"),
    "upui": ("/01/", True, "/235/"),
}
"""Where the keys of an EPC scheme are, whether their first digit is no part of the company prefix,
and what every one of them holds."""


def read_pattern(name: str, text: str, *, by_class: bool) -> tuple[str | None, tuple[Span, ...]]:
    """Return the identifier that a value names, canonical, or the ranges that it spans.

    Of classes and lots an EPC pattern matches those whose objects all match it.

    Raises:
        BadParameter: an EPC pattern that the Tag Data Standard does not know.

    """
    if text.startswith(PATTERN):
        return _epc_pattern(name, text, by_class)
    if text.endswith("*") and "/" in text:
        return None, (_beginning(text[:-1]),)
    return canonical_id(text), ()


def _epc_pattern(name: str, text: str, by_class: bool) -> tuple[str | None, tuple[Span, ...]]:
    scheme, _, rest = text[len(PATTERN) :].partition(":")
    parts = rest.split(".")
    stars = [part == "*" for part in parts]
    if scheme not in _SCHEMES or len(parts) < 2 or stars != sorted(stars):
        expected = "an EPC pattern whose * are at the end, such as urn:epc:idpat:sgtin:0614141.*.*"
        raise BadParameter(f"{name}: expected {expected}, found {text[:200]!r}")
    if not any(stars):
        return canonical_id(f"urn:epc:id:{scheme}:{rest}"), ()
    base, has_indicator, within = _SCHEMES[scheme]
    within = None if by_class else within
    start = CLASS + base
    if stars[0]:
        return None, (_span(start, within),)
    if stars[1]:
        firsts = _INDICATORS if has_indicator else ("",)
        return None, tuple(_span(f"{start}{first}{parts[0]}", within) for first in firsts)
    if by_class:
        one = canonical_id(text)
        return one, (_span(f"{one}/", None),)
    return None, tuple(_of_class(scheme, parts[:-1]))


def _of_class(scheme: str, parts: list[str]) -> Iterable[Span]:
    """Span the serials of one class: what one serial makes of it, without that serial."""
    one = canonical_id(f"urn:epc:id:{scheme}:{'.'.join(parts)}.7")
    yield _span(one[:-1], None)
    if scheme == "sgln":  # extension 0 is the place itself
        place = canonical_id(f"urn:epc:id:{scheme}:{'.'.join(parts)}.0")
        yield Span(place, place + "\0")


def _beginning(text: str) -> Span:
    whole = text.removesuffix("/")
    canonical = canonical_id(whole)
    start = whole if canonical == whole else canonical
    return _span(start + text[len(whole) :], None)


def _span(start: str, within: str | None) -> Span:
    return Span(start, start[:-1] + chr(ord(start[-1]) + 1), within)
