"""Whose word counts: the public keys that enrolment left on the gateway."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct

from protocols.errors import RefuseInput

FILE = Path("identity") / "anchors.json"
"""Below the state folder."""
_HEX = re.compile(r"[0-9a-f]{64}")


class _Anchors(Struct, frozen=True):
    """The file's content."""

    schema: Literal[1]
    keys: Annotated[list[str], Meta(min_length=1, max_length=2)]


def read_anchors(state: Path) -> tuple[bytes, ...]:
    """Return the raw public keys, one or two.

    Raises:
        RefuseInput: `no_anchors`: the file is missing or damaged, so that nothing can be trusted.

    """
    try:
        found = msgspec.json.decode((state / FILE).read_bytes(), type=_Anchors)
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefuseInput("no_anchors", str(error)[:300]) from None
    if not all(_HEX.fullmatch(key) for key in found.keys):
        raise RefuseInput("no_anchors", "expected keys of 64 hex digits")
    return tuple(bytes.fromhex(key) for key in found.keys)


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
