"""EPC binaries of returnable and individual assets, as the GS1 keys they carry (GS1 EPC TDS).

GRAI-96, GRAI-170, GIAI-96 and GIAI-202 are read and written; any other header is none of ours.
"""

from typing import Literal

from biip.checksums import gs1_standard_check_digit
from msgspec import Struct

from protocols.errors import RefuseInput

Scheme = Literal["grai", "giai"]

PREFIX_BITS = (40, 37, 34, 30, 27, 24, 20)
"""Of the company prefix, by partition; its digits are 12 less the partition."""
GRAI_REST_BITS = 44
"""Prefix and asset type together, whatever the partition; 12 digits together."""
GRAI_SERIAL_MAX = 2**38 - 1
GRAI_SERIAL_CHARACTERS = 16
GIAI_CHARACTERS = 30
"""Of prefix and reference together."""
CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!\"%&'()*+,-./:;<=>?_"
)
"""What GS1 allows in serials and references, each by its seven-bit ASCII code."""


class _Form(Struct, frozen=True):
    """One binary encoding."""

    name: str
    scheme: Scheme
    bits: int
    text: bool
    """The serial or reference is seven-bit text, else a number."""

    @property
    def bytes(self) -> int:
        """Length in a tag's memory, whose unit is a word of 16 bits; the rest is zero."""
        return (self.bits + 15) // 16 * 2


_FORMS = {
    0x33: _Form("GRAI-96", "grai", 96, text=False),
    0x37: _Form("GRAI-170", "grai", 170, text=True),
    0x34: _Form("GIAI-96", "giai", 96, text=False),
    0x38: _Form("GIAI-202", "giai", 202, text=True),
}


class AssetKey(Struct, frozen=True, kw_only=True):
    """One GS1 key that an EPC carries."""

    scheme: Scheme
    value: str
    """As behind AI 8003 (0, 12 digits, check digit, serial) or AI 8004 (prefix, reference)."""
    prefix: str
    """The company prefix, 6 to 12 digits."""
    filter_value: int = 0
    """0 to 7; says nothing of the asset."""


class _Bits:
    """Takes fields off the front of a number."""

    def __init__(self, value: int, bits: int) -> None:
        self._value, self._left = value, bits

    def take(self, bits: int) -> int:
        self._left -= bits
        return (self._value >> self._left) & ((1 << bits) - 1)

    @property
    def left(self) -> int:
        return self._left


def decode_epc(epc: bytes) -> AssetKey | None:
    """Read the key of an EPC, as it stands in the EPC bank behind the protocol control word.

    Returns:
        The key, or None where the header is none of the four.

    Raises:
        RefuseInput: `bad_epc`; the header is one of the four and the rest does not fit it.

    """
    form = _FORMS.get(epc[0]) if epc else None
    if form is None:
        return None
    if len(epc) != form.bytes:
        raise _refused(form, f"{form.bytes} bytes", str(len(epc)))
    spare = form.bytes * 8 - form.bits
    whole = int.from_bytes(epc, "big")
    if whole & ((1 << spare) - 1):
        raise _refused(form, f"the last {spare} bits 0", epc[-1:].hex())
    fields = _Bits(whole >> spare, form.bits)
    fields.take(8)
    filter_value, partition = fields.take(3), fields.take(3)
    if partition >= len(PREFIX_BITS):
        raise _refused(form, "a partition from 0 to 6", str(partition))
    prefix = _digits(form, "a company prefix", fields.take(PREFIX_BITS[partition]), 12 - partition)
    if form.scheme == "grai":
        kind = _digits(
            form, "an asset type", fields.take(GRAI_REST_BITS - PREFIX_BITS[partition]), partition
        )
        value = grai(prefix, kind, _rest(form, fields, GRAI_SERIAL_CHARACTERS))
    else:
        value = prefix + _rest(form, fields, GIAI_CHARACTERS - len(prefix))
    return AssetKey(scheme=form.scheme, value=value, prefix=prefix, filter_value=filter_value)


def grai(prefix: str, asset_type: str, serial: str) -> str:
    """Put a GRAI together as behind AI 8003; prefix and type are 12 digits together."""
    digits = prefix + asset_type
    return f"0{digits}{gs1_standard_check_digit(digits)}{serial}"


def encode_epc(key: AssetKey, *, text: bool = False) -> bytes:
    """Write a key as GRAI-96 or GIAI-96, or as GRAI-170 or GIAI-202 where `text`.

    Raises:
        RefuseInput: `bad_epc`; the key does not fit the form.

    """
    header, form = next(
        (header, form)
        for header, form in _FORMS.items()
        if form.scheme == key.scheme and form.text == text
    )
    partition = 12 - len(key.prefix)
    if not (0 <= partition < len(PREFIX_BITS) and _is_digits(key.prefix)):
        raise _refused(form, "a company prefix of 6 to 12 digits", repr(key.prefix))
    value = (header << 6) | (key.filter_value << 3) | partition
    value = (value << PREFIX_BITS[partition]) | int(key.prefix)
    bits = 14 + PREFIX_BITS[partition]
    rest = key.value[len(key.prefix) :]
    if form.scheme == "grai":
        kind, rest = key.value[1 + len(key.prefix) : 13], key.value[14:]
        if key.value != grai(key.prefix, kind, rest) or not _is_digits(key.value[:14]):
            raise _refused(form, "0, 12 digits and their check digit", repr(key.value))
        value = (value << (GRAI_REST_BITS - PREFIX_BITS[partition])) | int(kind or "0")
        bits = 14 + GRAI_REST_BITS
    elif not key.value.startswith(key.prefix):
        raise _refused(form, "the company prefix first", repr(key.value))
    left = form.bits - bits
    value = (value << left) | _packed(form, rest, left)
    found = (value << (form.bytes * 8 - form.bits)).to_bytes(form.bytes, "big")
    if decode_epc(found) != key:
        raise _refused(form, "a key that fits", repr(key.value))
    return found


def _digits(form: _Form, name: str, value: int, digits: int) -> str:
    if value >= 10**digits:
        raise _refused(form, f"{name} of {digits} digits", str(value))
    return f"{value:0{digits}d}" if digits else ""


def _rest(form: _Form, fields: _Bits, characters_max: int) -> str:
    """Read serial or reference: the bits that are left."""
    bits = fields.left
    value = fields.take(bits)
    if not form.text:
        return str(value)
    spare = bits % 7
    if value & ((1 << spare) - 1):
        raise _refused(form, f"the {spare} bits behind the text 0", hex(value & 0x7F))
    codes = [(value >> shift) & 0x7F for shift in range(bits - 7, -1, -7)]
    text = "".join(map(chr, codes)).rstrip("\0")
    if not 1 <= len(text) <= characters_max:
        raise _refused(form, f"1 to {characters_max} characters", str(len(text)))
    for character in text:
        if character not in CHARACTERS:
            raise _refused(form, "characters that GS1 allows", ascii(character))
    return text


def _packed(form: _Form, text: str, bits: int) -> int:
    if not form.text:
        if not _is_digits(text) or int(text) >= 1 << bits:
            raise _refused(form, f"a number of {bits} bits", repr(text))
        return int(text)
    if len(text) * 7 > bits or not CHARACTERS.issuperset(text):
        raise _refused(form, f"at most {bits // 7} characters that GS1 allows", repr(text))
    value = 0
    for character in text:
        value = (value << 7) | ord(character)
    return value << (bits - 7 * len(text))


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _refused(form: _Form, expected: str, found: str) -> RefuseInput:
    return RefuseInput("bad_epc", f"{form.name}: expected {expected}, found {found}")
