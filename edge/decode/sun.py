"""Secure Unique NFC messages of NTAG 424 DNA: a URL in which the chip mirrors itself, with a MAC.

AES mode only, as NXP's AN12196 describes it; the LRP mode needs another primitive.
"""

import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from protocols.catalog.tags import Sun
from protocols.errors import Fault, FixConfiguration, RefuseInput

_SV2 = bytes.fromhex("3CC300010080")
_UID_AND_COUNTER = 0xC7
"""First byte of the PICC data: UID of 7 bytes and counter are mirrored."""
_HEX = re.compile(r"([0-9A-Fa-f]{2})+")


class SunKeys(Struct, frozen=True):
    """Keys of a batch of chips, 16 bytes each."""

    meta_read: bytes
    """Decrypts UID and counter."""
    file_read: bytes
    """Makes the MAC."""


class SunMessage(Struct, frozen=True):
    """The parameters of one URL."""

    text: str
    """The whole query, for whoever has the keys."""
    mac: bytes
    covered: bytes
    """What the MAC covers of the URL."""
    picc_data: bytes = b""
    uid: bytes = b""
    """Empty while it is encrypted."""
    counter: int = 0


class SunProof(Struct, frozen=True):
    """What a right MAC proves; only the cloud sees whether the counter has risen."""

    uid: bytes
    counter: int


def sun_keys(environment: Mapping[str, str]) -> SunKeys | None:
    """Take the keys from `$SUYUAN_SUN_META_READ_KEY` and `$SUYUAN_SUN_FILE_READ_KEY`, in hex.

    Returns:
        None where neither is set.

    Raises:
        FixConfiguration: one is missing, or is no 16 bytes in hex.

    """
    names = ("SUYUAN_SUN_META_READ_KEY", "SUYUAN_SUN_FILE_READ_KEY")
    if not any(environment.get(name) for name in names):
        return None
    wrong = [
        name for name in names if not re.fullmatch(r"[0-9A-Fa-f]{32}", environment.get(name, ""))
    ]
    if wrong:
        expected = "16 bytes in hex, as the other key has"
        raise FixConfiguration(
            [Fault("environment", name, expected, "something else") for name in wrong]
        )
    return SunKeys(*(bytes.fromhex(environment[name]) for name in names))


def find_sun(url: str, forms: tuple[Sun, ...]) -> SunMessage | None:
    """Find the parameters of one of the forms in a URL; None if it has none of them.

    Raises:
        RefuseInput: `bad_sun`; they are there and malformed.

    """
    try:
        query = urlsplit(url).query
        values = dict(parse_qsl(query, keep_blank_values=True))
    except ValueError:
        return None
    for form in forms:
        if {form.mac, form.picc_data or form.uid} <= set(values):
            return _message(query, values, form)
    return None


def verify_sun(message: SunMessage, keys: SunKeys) -> SunProof:
    """Check the MAC.

    Raises:
        RefuseInput: `bad_sun`.

    """
    uid, counter = message.uid, message.counter
    if message.picc_data:
        plain = _decrypt(keys.meta_read, message.picc_data)
        if plain[0] != _UID_AND_COUNTER:
            raise RefuseInput("bad_sun", f"expected PICC data tag C7, found {plain[0]:02X}")
        uid, counter = plain[1:8], int.from_bytes(plain[8:11], "little")
    vector = _SV2 + uid + counter.to_bytes(3, "little")
    session = _cmac(keys.file_read, vector.ljust(16, b"\0"))
    if not hmac.compare_digest(_cmac(session, message.covered)[1::2], message.mac):
        raise RefuseInput("bad_sun", "the MAC is wrong")
    return SunProof(uid, counter)


def _message(query: str, values: dict[str, str], form: Sun) -> SunMessage:
    mac, covered = _bytes(values, form.mac, 8), b""
    if form.file_data is not None and form.file_data in values:
        start = query.index(f"{form.file_data}=") + len(form.file_data) + 1
        end = query.find(f"&{form.mac}=", start) + len(form.mac) + 2
        covered = query[start:end].encode("utf-8")
    if form.picc_data is not None:
        picc_data = _bytes(values, form.picc_data, 16)
        return SunMessage(query, mac, covered, picc_data=picc_data)
    uid = _bytes(values, form.uid or "", 7)
    counter = int.from_bytes(_bytes(values, form.counter or "", 3), "big")
    return SunMessage(query, mac, covered, uid=uid, counter=counter)


def _bytes(values: dict[str, str], name: str, size: int) -> bytes:
    text = values.get(name, "")
    if not _HEX.fullmatch(text) or len(text) != 2 * size:
        raise RefuseInput("bad_sun", f"{name}: expected {size} bytes in hex, found {text[:80]!r}")
    return bytes.fromhex(text)


def _cmac(key: bytes, data: bytes) -> bytes:
    # Only a gateway that holds keys needs them: they cost memory.
    from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415
    from cryptography.hazmat.primitives.cmac import CMAC  # noqa: PLC0415

    cmac = CMAC(AES(key))
    cmac.update(data)
    return cmac.finalize()


def _decrypt(key: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, modes  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415

    decryptor = Cipher(AES(key), modes.CBC(bytes(16))).decryptor()
    return decryptor.update(data) + decryptor.finalize()
