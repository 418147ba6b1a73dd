"""Signed documents: configuration and releases, as the cloud signs and a gateway takes them.

What is signed are the very bytes of the document, with its purpose before them, so that nothing is
written anew for a check and no document passes for one of another purpose. Pure: signing and
verifying (Ed25519) come in as functions.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from protocols.errors import RefuseInput
from protocols.ids import check_gateway_id
from protocols.limits import SEQ_MAX

Purpose = Literal["config", "release", "snapshot", "lift_record"]
Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, message) -> whether the signature is good."""
Sign = Callable[[bytes], Sequence[tuple[bytes, bytes]]]
"""message -> (public key, signature) of each valid key."""

SIGNED_BYTES_MAX = 290_000
"""A larger message is refused; our brokers carry no more than 300,000."""
OVERLAY_FILES_MAX = 256
WHEELS_MAX = 200
WHEEL_BYTES_MAX = 200 * 1024 * 1024
RELEASE_BYTES_MAX = 500 * 1024 * 1024
"""Of all wheels together."""
OVERLAY_PATH = re.compile(r"[a-z0-9_]{1,32}/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.toml")
"""One folder and a data file in it, such as `controllers/acme-lift200.toml`."""

Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Number = Annotated[int, Meta(ge=1, le=SEQ_MAX)]
Document = TypeVar("Document", bound=Struct)


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """By one key."""

    key: Hex32
    """The public key."""
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class Signed(Struct, frozen=True, forbid_unknown_fields=True):
    """A document with its signatures; one good one by a known key is enough."""

    schema: Literal[1]
    purpose: Purpose
    body: str
    """The document as JSON text."""
    signatures: Annotated[list[Signature], Meta(max_length=4)]


class Configuration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one gateway is to do: its site file, and the data files beside it."""

    gateway_id: str
    version: Number
    """Rises with every configuration of this gateway."""
    issued_at: int
    """ms since 1970."""
    not_after: int | None = None
    """ms since 1970; later it is refused."""
    site: str
    overlay: Annotated[dict[str, str], Meta(max_length=OVERLAY_FILES_MAX)] = {}
    """Path below the overlay folder -> text."""


class Wheel(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a release."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}\.whl\Z")]
    sha256: Hex32
    size: Annotated[int, Meta(ge=1, le=WHEEL_BYTES_MAX)]


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of the gateway's software."""

    serial: Number
    """Rises with every release, also with one that goes back to an older version."""
    version: Annotated[str, Meta(pattern=r"^[0-9][A-Za-z0-9._+!-]{0,63}\Z")]
    requires_python: Annotated[str, Meta(pattern=r"^>=3\.[0-9]{1,3}\Z")]
    extras: tuple[Annotated[str, Meta(pattern=r"^[a-z]{1,32}\Z")], ...] = ("edge",)
    """Of the distribution, which are to be installed."""
    issued_at: int
    wheels: Annotated[list[Wheel], Meta(min_length=1, max_length=WHEELS_MAX)]


_signed = msgspec.json.Decoder(Signed)


def bytes_to_sign(purpose: Purpose, body: str) -> bytes:
    """Return what a signature is of."""
    return f"suyuan {purpose} 1\n{body}".encode()


def seal(purpose: Purpose, document: Struct, sign: Sign) -> bytes:
    """Write and sign a document."""
    body = msgspec.json.encode(document).decode()
    signatures = [
        Signature(key.hex(), signature.hex())
        for key, signature in sign(bytes_to_sign(purpose, body))
    ]
    signed = Signed(schema=1, purpose=purpose, body=body, signatures=signatures)
    return msgspec.json.encode(signed)


def unseal(
    raw: bytes | str,
    purpose: Purpose,
    type_: type[Document],
    *,
    anchors: Iterable[bytes],
    verify: Verify,
) -> Document:
    """Read a document that one of the anchors (raw public keys) has signed.

    Raises:
        RefuseInput: `too_large`, `malformed`, `wrong_purpose`, `unsigned`, `unknown_key`,
            `bad_signature`.

    """
    if len(raw) > SIGNED_BYTES_MAX:
        raise RefuseInput("too_large", f"{len(raw)} bytes")
    signed = _decode(raw, _signed)
    if signed.purpose != purpose:
        raise RefuseInput("wrong_purpose", f"expected {purpose}, found {signed.purpose}")
    _check_signatures(signed, frozenset(anchors), verify)
    return _decode(signed.body, msgspec.json.Decoder(type_))


def open_configuration(
    raw: bytes, *, gateway_id: str, anchors: Iterable[bytes], verify: Verify
) -> Configuration:
    """Read a configuration that is meant for this gateway.

    Raises:
        RefuseInput: as `unseal`, and `foreign_gateway`, `bad_path`.

    """
    found = unseal(raw, "config", Configuration, anchors=anchors, verify=verify)
    if found.gateway_id != gateway_id:
        raise RefuseInput("foreign_gateway", f"for {found.gateway_id[:64]!r}")
    check_overlay(found.overlay)
    return found


def check_overlay(overlay: Iterable[str]) -> None:
    """Refuse a path that is not one folder and a data file in it.

    Raises:
        RefuseInput: `bad_path`.

    """
    for path in overlay:
        if not OVERLAY_PATH.fullmatch(path) or ".." in PurePosixPath(path).parts:
            raise RefuseInput("bad_path", f"expected folder/name.toml, found {path[:120]!r}")


def claimed_version(raw: bytes) -> int | None:
    """Return the version that a document names, signed or not, to speak of it; None: none."""
    try:
        body = msgspec.json.decode(msgspec.json.decode(raw, type=Signed).body)
        version, gateway_id = body["version"], body["gateway_id"]
        check_gateway_id(gateway_id)
    except (ValueError, TypeError, KeyError, RecursionError, RefuseInput):
        return None
    return version if isinstance(version, int) and 0 < version <= SEQ_MAX else None


def _check_signatures(signed: Signed, anchors: frozenset[bytes], verify: Verify) -> None:
    if not signed.signatures:
        raise RefuseInput("unsigned")
    known = [one for one in signed.signatures if bytes.fromhex(one.key) in anchors]
    if not known:
        raise RefuseInput("unknown_key", f"none of {len(anchors)} anchors has signed")
    message = bytes_to_sign(signed.purpose, signed.body)
    for one in known:
        if verify(bytes.fromhex(one.key), bytes.fromhex(one.signature), message):
            return
    raise RefuseInput("bad_signature")


def _decode(raw: bytes | str, decoder: msgspec.json.Decoder[Document]) -> Document:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise RefuseInput("malformed", str(error)[:300]) from None
