"""Identifiers in events: EPC URNs and GS1 Digital Links, each thing told in one way.

The canonical form of a GS1 key is its Digital Link at id.gs1.org, with the finest level of the key
alone: no variant, no lot beside a serial number, no query (CBV 2.0, section 8.9). URNs: EPC Tag
Data Standard 2.0, section 6. What a link must write as percent and two digits: Digital Link URI
Syntax 1.4, section 4.
"""

import re
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

from biip.gs1_prefixes import GS1CompanyPrefix
from msgspec import Struct

from protocols.codes.element_strings import CHECKED_DIGITS
from protocols.codes.links import has_company_prefix

DIGITAL_LINK = "https://id.gs1.org/"
_BARE_IN_LINK = "';="
_BARE_IN_URN = "!'()*+,:;="
_CACHED_MAX = 65_536
_PREFIX_DIGITS = range(6, 13)
_REFERENCE_MAX = 30
"""Characters of company prefix and reference together, where the reference may be text."""
_TEXT = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+")
"""What GS1 allows in serials, lots and most references (General Specifications, 7.11)."""
_PART_TEXT = re.compile(r"[#\-/0-9A-Z]+")
_NUMBER = re.compile("[0-9]+")
_PLAIN = re.compile(r"[A-Za-z0-9._';=-]+")
"""Characters that are written alike in URN and link."""
_URN_TEXT = re.compile(r"(?:[!'()*+,\-.0-9:;=A-Z_a-z]|%(?:2[2356F]|3[CEF]))+", re.IGNORECASE)


class IdentifierFault(Struct, frozen=True):
    """Why an identifier that must be a GS1 key is none."""

    rule: Literal["bad_epc_urn", "bad_digital_link", "bad_check_digit"]
    expected: str


class _Scheme(Struct, frozen=True):
    """One EPC scheme: how its URN and its Digital Link correspond."""

    urn: str
    """What stands behind `urn:epc:`."""
    ai: str
    digits: int
    """Of company prefix and reference together; 0: the reference is text."""
    qualifier: str | None = None
    """Application identifier of the serial; "" where it touches the key; None: no serial."""
    serial_max: int = 0
    """Characters."""
    serial: re.Pattern[str] = _TEXT
    reference: re.Pattern[str] = _TEXT

    @property
    def fields(self) -> int:
        """How many the URN has, between points."""
        return 2 + 2 * (self.ai == "8006") + (self.qualifier is not None)


_SCHEMES = (
    _Scheme("id:sgtin", "01", 13, "21", 20),
    _Scheme("id:upui", "01", 13, "235", 28),
    _Scheme("class:lgtin", "01", 13, "10", 20),
    _Scheme("id:itip", "8006", 13, "21", 20),
    _Scheme("id:sscc", "00", 17),
    _Scheme("id:gsrn", "8018", 17),
    _Scheme("id:gsrnp", "8017", 17),
    _Scheme("id:gsin", "402", 16),
    _Scheme("id:pgln", "417", 12),
    _Scheme("id:sgln", "414", 12, "254", 20),
    _Scheme("id:grai", "8003", 12, "", 16),
    _Scheme("id:gdti", "253", 12, "", 17),
    _Scheme("id:sgcn", "255", 12, "", 12, _NUMBER),
    _Scheme("id:giai", "8004", 0),
    _Scheme("id:ginc", "401", 0),
    _Scheme("id:cpi", "8010", 0, "8011", 12, _NUMBER, _PART_TEXT),
)
_OF_CLASS = ("sgtin", "upui", "itip", "grai", "gdti", "sgcn", "cpi")
"""Schemes whose `urn:epc:idpat:…*` is all of one class, and so a key without serial."""
_BY_URN = {one.urn: one for one in _SCHEMES}
_BY_URN |= {f"idpat:{name}": _BY_URN[f"id:{name}"] for name in _OF_CLASS}
_BY_LINK = {(one.ai, one.qualifier or ""): one for one in _SCHEMES}
_BY_KEY = {one.ai: one for one in reversed(_SCHEMES)}
"""Of the schemes of one key the first: that of the key without lot or serial."""
_LOT = _BY_URN["class:lgtin"]
_INDICATOR_FIRST = frozenset({"00", "01", "8006"})
"""Keys that begin with the first digit of what is the reference in the URN."""
_OTHER_URN = re.compile(
    r"urn:epc:(?:id:(?:gid|usdod|adi|bic|imovn):.+|raw:.+|idpat:[a-z]+:(?:[^.*]*\.)+(?:\*\.)*\*)"
)
"""EPC URNs that are right, though no Digital Link says the same."""
_SHORT_NAMES = {
    "gtin": "01", "sscc": "00", "gdti": "253", "gcn": "255", "ginc": "401", "gsin": "402",
    "gln": "414", "party": "417", "grai": "8003", "giai": "8004", "itip": "8006", "cpid": "8010",
    "gsrnp": "8017", "gsrn": "8018", "ser": "21", "cpsn": "8011", "glnx": "254",
}  # fmt: skip
"""As earlier issues of the Digital Link standard wrote application identifiers."""
_LINK = re.compile(
    r"https?://[^/?#]+(?:/[^?#]*?)?/"
    r"(0[01]|253|255|40[12]|41[47]|800[346]|801[078]|"
    r"gtin|sscc|gdti|gcn|ginc|gsin|gln|party|grai|giai|itip|cpid|gsrnp?)/([^/?#]+)"
    r"(/(?:22|cpv)/[^/?#]+)?(?:/(?:10|lot)/([^/?#]+))?"
    r"(?:/(21|235|254|8011|ser|cpsn|glnx)/([^/?#]+))?/?(?:[?#].*)?"
)
"""Key, its value, variant, lot, qualifier, its value."""


def canonical_id(text: str) -> str:
    """Return the canonical form of an identifier.

    An EPC URN (pure identity, lot, or all of one class) and a GS1 Digital Link on any host become
    the Digital Link at id.gs1.org; anything else, and what only looks like one of these, comes back
    as it stands. Never raises.
    """
    if text.startswith("urn:epc:"):
        return _from_urn(text) or text
    if text.startswith("http"):
        return _from_link(text) or text
    return text


def identifier_fault(text: str) -> IdentifierFault | None:
    """Say what is wrong with an EPC URN or a Digital Link: form or check digit; None: nothing.

    On another host than id.gs1.org an address with a key of a wrong form is an address like any
    other, and right; with a wrong check digit alone it is a Digital Link that is wrong.
    """
    if text[:8].lower() == "urn:epc:":
        return None if canonical_id(text) != text else _urn_fault(text)
    link = _LINK.fullmatch(text) if text.startswith("http") else None
    if link is None or _from_link(text) is not None:
        return None
    ai = _SHORT_NAMES.get(link[1], link[1])
    first, end = CHECKED_DIGITS.get(ai, (0, 0))
    digits = _padded(ai, unquote(link[2]))[first:end]
    if digits and len(digits) == end - first and _NUMBER.fullmatch(digits):
        expected = check_digit(digits[:-1])
        if expected != digits[-1]:
            return IdentifierFault("bad_check_digit", f"check digit {expected}")
    if text.startswith(DIGITAL_LINK):
        return IdentifierFault("bad_digital_link", f"a key and qualifiers as AI {ai} has them")
    return None


def epc_urn(canonical: str, prefix_digits: int | None = None) -> str | None:
    """Write a canonical Digital Link as EPC URN.

    Args:
        canonical: As `canonical_id` gives it.
        prefix_digits: Length of the company prefix, 6 to 12; None: as GS1 has given it out.

    Returns:
        None where no URN exists: no GS1 key, an unknown company prefix, a reference too short.

    """
    link = _LINK.fullmatch(canonical) if canonical.startswith(DIGITAL_LINK) else None
    if link is None or _from_link(canonical) != canonical:
        return None
    ai, key, _, lot, qualifier, serial = link.groups()
    level = qualifier or ("10" if lot else "")
    scheme = _BY_LINK.get((ai, level)) if level else _BY_KEY[ai]
    parts = _split(ai, unquote(key), prefix_digits)
    if scheme is None or parts is None:
        return None
    rest = unquote(key)[CHECKED_DIGITS[ai][1] :] if ai in CHECKED_DIGITS else ""
    fields = [*parts, rest[:2], rest[2:]] if ai == "8006" else [*parts]
    fields = [quote(one, safe=_BARE_IN_URN) for one in fields]
    if scheme.qualifier is None:
        return f"urn:epc:{scheme.urn}:{'.'.join(fields)}"
    value = unquote(serial or lot or "") if scheme.qualifier else rest
    if not value and ai != "414":
        return f"urn:epc:idpat:{scheme.urn[3:]}:{'.'.join(fields)}.*"
    return f"urn:epc:{scheme.urn}:{'.'.join(fields)}.{quote(value or '0', safe=_BARE_IN_URN)}"


def check_digit(digits: str) -> str:
    """Return the GS1 check digit of ASCII digits (General Specifications, section 7.9).

    As biip's, at a tenth of the time: there may be one for each identifier of an event.
    """
    codes = digits.encode()
    threes, ones = codes[::-2], codes[-2::-2]
    total = 3 * (sum(threes) - 48 * len(threes)) + sum(ones) - 48 * len(ones)
    return str(-total % 10)


def _from_urn(text: str) -> str | None:
    parts = text.split(":", 4)
    scheme = _BY_URN.get(f"{parts[2]}:{parts[3]}") if len(parts) == 5 else None
    if scheme is None:
        return None
    fields = parts[4].split(".", scheme.fields - 1)
    if len(fields) != scheme.fields:
        return None
    if scheme.qualifier is None:
        return _urn_key(scheme.urn, *fields)
    serial = fields.pop()
    stem = _urn_stem(scheme.urn, *fields)
    if stem is None or parts[2] == "idpat":
        return stem if serial == "*" else None
    if scheme.ai == "414" and serial == "0":
        return stem
    found = _from_urn_text(serial)
    if found is None or not _fits(scheme, found):
        return None
    joint = f"/{scheme.qualifier}/" if scheme.qualifier else ""
    return f"{stem}{joint}{_link_text(found)}"


def _urn_key(urn: str, prefix: str, reference: str, piece: str = "", total: str = "") -> str | None:
    """Return the link of a key without serial, or None where prefix or reference is wrong."""
    scheme = _BY_URN[urn]
    if len(prefix) not in _PREFIX_DIGITS or _NUMBER.fullmatch(prefix) is None:
        return None
    if not scheme.digits:
        found = _from_urn_text(reference)
        if found is None or not _is_reference(scheme, prefix + found):
            return None
        return f"{DIGITAL_LINK}{scheme.ai}/{prefix}{_link_text(found)}"
    digits = prefix + reference
    if len(digits) != scheme.digits or _NUMBER.fullmatch(digits) is None:
        return None
    if scheme.ai in _INDICATOR_FIRST:
        digits = f"{reference[0]}{prefix}{reference[1:]}"
    if scheme.ai == "8006" and not (len(piece) == len(total) == 2 and _is_number(piece + total)):
        return None
    lead = "0" if scheme.ai == "8003" else ""
    return f"{DIGITAL_LINK}{scheme.ai}/{lead}{digits}{check_digit(digits)}{piece}{total}"


_urn_stem = lru_cache(_CACHED_MAX)(_urn_key)


def _urn_fault(text: str) -> IdentifierFault | None:
    if _OTHER_URN.fullmatch(text) is not None:
        return None
    parts = text.split(":", 4)
    scheme = _BY_URN.get(f"{parts[2]}:{parts[3]}") if len(parts) == 5 else None
    if scheme is None:
        names = ", ".join(sorted(_BY_URN))
        return IdentifierFault("bad_epc_urn", f"urn:epc: and one of {names}")
    length = f"{scheme.digits} digits" if scheme.digits else f"at most {_REFERENCE_MAX} characters"
    more = ".piece.total" if scheme.ai == "8006" else ""
    if scheme.qualifier is not None:
        kind = "digits" if scheme.serial is _NUMBER else "characters"
        serial = f"serial of at most {scheme.serial_max} {kind}"
        more += ".*" if parts[2] == "idpat" else f".{serial}"
    form = f"prefix.reference{more}, prefix (6 to 12 digits) and reference together {length}"
    return IdentifierFault("bad_epc_urn", f"urn:epc:{parts[2]}:{parts[3]}:{form}")


def _from_link(text: str) -> str | None:
    link = _LINK.fullmatch(text)
    if link is None:
        return None
    ai, key, variant, lot, qualifier, serial = link.groups()
    ai = _SHORT_NAMES.get(ai, ai)
    stem = _link_key(ai, key, at_gs1=text.startswith(DIGITAL_LINK))
    if stem is None or ((variant or lot) and ai not in {"01", "8006"}):
        return None
    if lot is not None and (lot := _serial_of(_LOT, lot)) is None:
        return None
    if qualifier is None:
        return f"{stem}/10/{lot}" if lot else stem
    qualifier = _SHORT_NAMES.get(qualifier, qualifier)
    scheme = _BY_LINK.get((ai, qualifier))
    found = _serial_of(scheme, serial) if scheme is not None else None
    if found is None:
        return None
    return stem if ai == "414" and found == "0" else f"{stem}/{qualifier}/{found}"


@lru_cache(_CACHED_MAX)
def _link_key(ai: str, text: str, *, at_gs1: bool) -> str | None:
    """Return the link of a key, or None where form or check digit is wrong."""
    key = _padded(ai, unquote(text))
    scheme = _BY_KEY[ai]
    if not scheme.digits:
        known = at_gs1 or has_company_prefix(key)
        good = known and _is_number(key[:4]) and _is_reference(scheme, key)
    else:
        first, end = CHECKED_DIGITS[ai]
        head, rest = key[:end], key[end:]
        good = len(head) == end and _is_number(head) and (not first or head[0] == "0")
        good = good and head[-1] == check_digit(head[:-1]) and _may_follow(scheme, rest)
    return f"{DIGITAL_LINK}{ai}/{_link_text(key)}" if good else None


def _may_follow(scheme: _Scheme, rest: str) -> bool:
    """Tell whether text may stand behind the check digit: piece and total, or a serial."""
    if scheme.ai == "8006":
        return len(rest) == 4 and _is_number(rest)
    return not rest or (scheme.qualifier == "" and _fits(scheme, rest))


def _split(ai: str, key: str, prefix_digits: int | None) -> tuple[str, str] | None:
    """Return company prefix and reference as the URN has them; None: unknown, or too short."""
    first = ""
    if ai in CHECKED_DIGITS:
        start, end = CHECKED_DIGITS[ai]
        key = key[start : end - 1]
    if ai in _INDICATOR_FIRST:
        first, key = key[0], key[1:]
    digits = prefix_digits or _prefix_digits(ai, key[:12])
    prefix, reference = key[:digits], first + key[digits:]
    if digits not in _PREFIX_DIGITS or len(prefix) < digits or not _is_number(prefix):
        return None
    return (prefix, reference) if reference or ai in CHECKED_DIGITS else None


@lru_cache(_CACHED_MAX)
def _prefix_digits(ai: str, key: str) -> int:
    """Return the length of the company prefix that a key begins with; 0: none is known."""
    if ai in {"01", "8006"} and key.startswith("00000"):
        return 8  # of a GTIN-8: five zeros and its own prefix of three digits (TDS 2.0, 7.3)
    digits = re.match("[0-9]*", key)
    found = GS1CompanyPrefix.extract(digits[0]) if digits is not None and digits[0] else None
    return 0 if found is None else max(len(found.value), _PREFIX_DIGITS[0])


def _padded(ai: str, key: str) -> str:
    """Return a GTIN of 8, 12 or 13 digits with 14."""
    return key.zfill(14) if ai == "01" and len(key) in {8, 12, 13} else key


def _serial_of(scheme: _Scheme, text: str) -> str | None:
    """Return serial or lot as the canonical link writes it, from another link's."""
    value = unquote(text)
    return _link_text(value) if _fits(scheme, value) else None


def _from_urn_text(text: str) -> str | None:
    if _PLAIN.fullmatch(text) is not None:
        return text
    return unquote(text) if _URN_TEXT.fullmatch(text) is not None else None


def _link_text(value: str) -> str:
    return value if _PLAIN.fullmatch(value) is not None else quote(value, safe=_BARE_IN_LINK)


def _fits(scheme: _Scheme, serial: str) -> bool:
    return len(serial) <= scheme.serial_max and scheme.serial.fullmatch(serial) is not None


def _is_reference(scheme: _Scheme, key: str) -> bool:
    return len(key) <= _REFERENCE_MAX and scheme.reference.fullmatch(key) is not None


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None
