"""GS1 element strings, read strictly (GS1 General Specifications, sections 3 and 7.8).

biip knows the application identifiers; what it takes for the sake of tolerance is refused here: a
field of variable length without the separator behind it, check digits that it does not look at, a
key told twice in different ways.
"""

import re
from collections.abc import Iterable, Mapping

from biip import BiipException, ParseConfig
from biip.checksums import gs1_standard_check_digit
from biip.gs1_application_identifiers import GS1ApplicationIdentifier
from biip.gs1_element_strings import GS1ElementString
from msgspec import Struct

from protocols.errors import RefuseInput
from protocols.records import Code

FNC1 = "\x1d"
"""GS: how a scanner sends the separator."""
_ANY_DATE = ParseConfig(gs1_element_strings_verify_date=False)
_BRACKETED = re.compile(r"\((\d{2,4})\)([^()]+)")
_DATE = re.compile(r"(?:1[1-35-7]|432[4-6]|700[367]|7011|8008)[0-9]{6}")
CHECKED_DIGITS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("00", "8017", "8018"), (0, 18)),
    **dict.fromkeys(("01", "02", "03", "8006", "8026"), (0, 14)),
    **dict.fromkeys(("253", "255"), (0, 13)),
    **{f"41{digit}": (0, 13) for digit in range(8)},
    "402": (0, 17),
    "8003": (1, 14),
}
"""Which digits of a field end in a check digit. That of a global model number (8013, 8014) is
letters and is not checked: no key is made of it."""
_KEYS = {
    "00": "sscc",
    "01": "gtin",
    "253": "gdti",
    "414": "gln",
    "417": "party_gln",
    "8003": "grai",
    "8004": "giai",
}
_QUALIFIERS = {"21": ("serial", "01"), "10": ("lot", "01"), "254": ("gln_extension", "414")}
"""What says which one of a kind it is: only beside the key of that kind."""
SCHEMES = frozenset({*_KEYS.values(), *(scheme for scheme, _ in _QUALIFIERS.values())})
"""The schemes of the codes that element strings give."""


class Element(Struct, frozen=True):
    """One field and the application identifier that says what it is."""

    ai: str
    value: str


Elements = tuple[Element, ...]


def parse_elements(text: str) -> Elements:
    """Read an element string as a scanner sends it, FNC1 as GS, also in front.

    Raises:
        RefuseInput: `bad_element_string`; or one of `check_elements`.

    """
    rest, found = text.removeprefix(FNC1), list[Element]()
    while rest:
        field = rest.partition(FNC1)[0]
        try:
            ai = GS1ApplicationIdentifier.extract(field)
            if not ai.separator_required:
                head = GS1ElementString.extract(field, config=_ANY_DATE)
                field = f"{head.ai.ai}{head.value}"
        except BiipException as error:
            raise _refused(field, error) from None
        found.append(_element(field))
        rest = rest.removeprefix(field).removeprefix(FNC1)
    return check_elements(found)


def parse_bracketed(text: str) -> Elements:
    """Read the human form, `(01)06901234567892(21)A1`; brackets within a field are refused.

    Raises:
        RefuseInput: as `parse_elements`.

    """
    parts = _BRACKETED.findall(text)
    if "".join(f"({ai}){value}" for ai, value in parts) != text:
        raise RefuseInput("bad_element_string", "expected (AI)field(AI)field")
    found = [_element(f"{ai}{value}") for ai, value in parts]
    if [one.ai for one in found] != [ai for ai, _ in parts]:
        raise RefuseInput("bad_element_string", "an application identifier that does not exist")
    return check_elements(found)


def check_elements(elements: Iterable[Element]) -> Elements:
    """Return elements, each once, if they can all be true.

    Raises:
        RefuseInput: `bad_element_string`, `bad_check_digit`, `bad_date` or `contradictory`.

    """
    once: dict[str, Element] = {}
    for one in elements:
        if not one.value.isascii():
            raise RefuseInput("bad_element_string", f"({one.ai}) in characters that GS1 has not")
        if once.setdefault(one.ai, one) != one:
            raise RefuseInput("contradictory", f"({one.ai}) twice")
        _check_digit(one)
        _check_date(one)
    if not once:
        raise RefuseInput("bad_element_string", "no element")
    return tuple(once.values())


def bracketed(elements: Elements) -> str:
    r"""Write the human form, in the order given; a bracket within a field is written `\(`."""
    return "".join("({}){}".format(one.ai, one.value.replace("(", r"\(")) for one in elements)


def keys_of(elements: Elements) -> list[Code]:
    """Return the keys that elements hold, by scheme: what it is, then which one of its kind.

    A GTIN has 14 digits; a GRAI is as behind AI 8003, with its leading zero.
    """
    values = {one.ai: one.value for one in elements}
    keys = [Code(scheme, values[ai]) for ai, scheme in _KEYS.items() if ai in values]
    return keys + [
        Code(scheme, values[ai])
        for ai, (scheme, of) in _QUALIFIERS.items()
        if ai in values and of in values
    ]


def _element(field: str) -> Element:
    try:
        found = GS1ElementString.parse(field, config=_ANY_DATE)
    except BiipException as error:
        raise _refused(field, error) from None
    return Element(found.ai.ai, found.value)


def _refused(field: str, error: BiipException) -> RefuseInput:
    """Say what is wrong; biip finds a 13th month by the form of the field already."""
    is_date = _DATE.match(field) is not None
    return RefuseInput("bad_date" if is_date else "bad_element_string", str(error)[:300])


def _check_digit(one: Element) -> None:
    if one.ai not in CHECKED_DIGITS:
        return
    first, end = CHECKED_DIGITS[one.ai]
    digits = one.value[first:end]
    if str(gs1_standard_check_digit(digits[:-1])) != digits[-1]:
        raise RefuseInput("bad_check_digit", f"({one.ai}){one.value}")
    if not int(digits):
        raise RefuseInput("bad_check_digit", f"({one.ai}) of zeros only")


def _check_date(one: Element) -> None:
    fields = [f"{one.ai}{one.value}"]
    if one.ai == "7007":  # one day, or the first and the last; biip reads the last as a time
        fields = [f"7006{one.value[at : at + 6]}" for at in range(0, len(one.value), 6)]
    try:
        for field in fields:
            GS1ElementString.parse(field)
    except BiipException:
        raise RefuseInput("bad_date", f"({one.ai}){one.value}") from None
