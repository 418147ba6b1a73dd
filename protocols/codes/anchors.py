"""What a resolver's links hang on: a thing, and the wider things that it is one of, as paths.

`/01/06901234567892/10/L1/21/S1` is one of `/01/06901234567892/10/L1`, and that of
`/01/06901234567892` (GS1 Digital Link URI Syntax 1.4); `/id/elevator/31101099920240017` is of
nothing wider.
"""

import re
from urllib.parse import quote, unquote

from msgspec import Struct

from protocols.codes.element_strings import CHECKED_DIGITS, Elements
from protocols.codes.epc_uri import DIGITAL_LINK
from protocols.codes.links import parse_digital_link
from protocols.codes.recognise import link_of
from protocols.codes.registry import SchemeRegistry
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id

KEYS: tuple[str, ...] = (
    *("00", "01", "253", "255", "401", "402", "414", "417"),
    *("8003", "8004", "8006", "8010", "8013", "8017", "8018"),
)
"""Application identifiers of the keys that are resolved."""
PATH_MAX = 400
"""Characters of a path."""
_BARE = "';="
_INDICATOR = frozenset({"00", "01", "8006"})
"""Keys with a digit in front of the company prefix that is no part of it."""
_NAMED = re.compile(r"/id/([^/]+)/([^/]+)")


class Anchor(Struct, frozen=True):
    """A thing that links may hang on."""

    paths: tuple[str, ...]
    """Its own path, then those of the wider things, percent-encoded in one way."""
    asset: str | None = None
    """Of a code that is not GS1's: the asset id."""
    prefix_digits: str = ""
    """Of a GS1 key: the digits that begin with a company prefix."""


def parse_anchor(path: str, registry: SchemeRegistry, query: str = "") -> Anchor:
    """Read the path of an address, percent-encoded; a slash at its end is borne.

    Args:
        path: from the root of the resolver.
        registry: the schemes.
        query: behind a Digital Link; what it says of the thing must be right, what is no element
            of GS1 may say anything.

    Raises:
        RefuseInput: `bad_digital_link`, `bad_asset_id`, `too_long`, or as `check_elements`.

    """
    if len(path) > PATH_MAX:
        raise RefuseInput("too_long", f"expected a path of at most {PATH_MAX} characters")
    named = _NAMED.fullmatch(path.removesuffix("/"))
    if named is None:
        return _of_link(path, query)
    scheme, code = unquote(named[1]), unquote(named[2])
    if scheme in registry.schemes and registry.schemes[scheme].gs1:
        code = registry.named(scheme, code).code
        return _of_link((link_of(registry.schemes[scheme], code) or "").removeprefix(DIGITAL_LINK))
    asset = check_asset_id(f"{scheme}:{code}")
    return Anchor((f"/id/{scheme}/{code}",), asset=asset)


def _of_link(path: str, query: str = "") -> Anchor:
    address = DIGITAL_LINK + path.removeprefix("/")
    told = "&".join(pair for pair in query.split("&") if pair.partition("=")[0].isdigit())
    elements = parse_digital_link(address)
    if not elements or path.removeprefix("/").partition("/")[0] not in KEYS:
        raise RefuseInput("bad_digital_link", f"expected /key/value/qualifier/value, found {path}")
    if told and parse_digital_link(f"{address}?{told}") is None:
        raise RefuseInput("bad_digital_link", f"no elements of GS1: {told[:80]!r}")
    steps = [f"/{one.ai}/{quote(one.value, safe=_BARE)}" for one in elements]
    paths = ("".join(steps[:count]) for count in range(len(steps), 0, -1))
    return Anchor(tuple(paths), prefix_digits=_prefix_digits(elements))


def _prefix_digits(elements: Elements) -> str:
    key = elements[0]
    first, end = CHECKED_DIGITS.get(key.ai, (0, len(key.value)))
    digits = re.match("[0-9]*", key.value[first + (key.ai in _INDICATOR) : end])
    return digits[0] if digits else ""
