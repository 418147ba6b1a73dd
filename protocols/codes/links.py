"""Web addresses that name a thing: GS1 Digital Links, and the asset addresses of this service."""

import re
from urllib.parse import parse_qsl, urlsplit

from biip import BiipException, ParseConfig
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_element_strings import GS1ElementString, GS1ElementStrings
from biip.gs1_prefixes import GS1CompanyPrefix

from protocols.codes.element_strings import Element, Elements, check_elements
from protocols.errors import RefuseInput
from protocols.records import Code

_ANY_DATE = ParseConfig(gs1_element_strings_verify_date=False)
_GTIN = re.compile(r"/01/(?:[0-9]{8}|[0-9]{12,14})(?:/|$)")
_KEYS = ("00", "01", "03", "253", "255", "401", "402", "414", "415", "417", "8003", "8004", "8006")
_MORE_KEYS = ("8010", "8013", "8017", "8018")
_QUALIFIERS = ("21", "22", "235", "254", "7040", "8011", "8019", "8020")
_PATH_ONLY = frozenset({*_KEYS, *_MORE_KEYS, *_QUALIFIERS})
"""Keys and what qualifies them; the query of a Digital Link holds only what describes."""
_UNCHECKED = frozenset({"401", "8004", "8010", "8013"})
"""Keys without a check digit: at least the company prefix that they begin with must exist."""
_ASSET = re.compile(
    r"https?://[^/?#@\\]+(?:/[^?#]*)?/id/([a-z][a-z0-9_]{0,31})/([A-Za-z0-9._-]{1,64})/?(?:[?#].*)?",
    re.IGNORECASE | re.ASCII,
)


def is_link(text: str) -> bool:
    """Tell whether a text is a web address."""
    return text[:8].lower().startswith(("http://", "https://"))


def parse_digital_link(text: str) -> Elements | None:
    """Read a GS1 Digital Link in its uncompressed form, on any host (URI Syntax 1.4).

    Returns:
        Its elements, or None where it is another address.

    Raises:
        RefuseInput: it is one, and has a fault: `bad_digital_link`, or one of `check_elements`.

    """
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
        pairs = parse_qsl(parts.query, max_num_fields=200)
        plain = parts._replace(path=parts.path.removesuffix("/"), fragment="").geturl()
        found = GS1DigitalLinkURI.parse(plain, config=_ANY_DATE).element_strings
    except (BiipException, ValueError):
        return None
    first = found[0]
    if not host or (first.ai.ai == "01" and not _GTIN.search(urlsplit(plain).path)):
        return None
    if first.ai.ai in _UNCHECKED and not has_company_prefix(first.value):
        return None
    if any(name in _PATH_ONLY for name, _ in pairs):
        raise RefuseInput("bad_digital_link", "a key or its qualifier in the query")
    described = {one.ai.ai for one in found}
    again = [Element(name, value) for name, value in pairs if name in described]
    return check_elements([*(Element(one.ai.ai, one.value) for one in found), *again])


def canonical_link(elements: Elements) -> str:
    """Write elements with one key as the canonical Digital Link, at `id.gs1.org`.

    Raises:
        RefuseInput: `bad_digital_link`: not one key.

    """
    parsed = [GS1ElementString.parse(f"{one.ai}{one.value}") for one in elements]
    try:
        strings = GS1ElementStrings(parsed)
        return GS1DigitalLinkURI.from_element_strings(strings).as_canonical_uri()
    except BiipException as error:
        raise RefuseInput("bad_digital_link", str(error)) from None


def parse_asset_link(text: str) -> Code | None:
    """Read `…/id/{scheme}/{code}`, as this service names its assets, on any host."""
    found = _ASSET.fullmatch(text)
    if found is None or not found[1].islower():
        return None
    return Code(found[1], found[2])


def has_company_prefix(value: str) -> bool:
    """Tell whether a key begins with a company prefix that GS1 has given out."""
    digits = re.match("[0-9]{4,}", value)
    return digits is not None and GS1CompanyPrefix.extract(digits[0]) is not None
