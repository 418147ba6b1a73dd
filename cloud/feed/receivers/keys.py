"""Secrets of webhooks as Standard Webhooks 1.0 says: HMAC `v1`, Ed25519 `v1a`."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

SECRET_BYTES = 32
OVERLAP_MS = 24 * 3_600_000
"""So long a secret goes on signing beside the one that took its place."""
SECRETS_MAX = 3


class Kept(Struct, frozen=True, kw_only=True):
    """One secret in the database."""

    sealed: str
    public: str = ""
    """`whpk_…` where there is one."""
    until: int | None = None
    """Ms since 1970; None: no other took its place."""


def new_secret(signing: str) -> tuple[str, str]:
    """Return a secret and its public key, empty for HMAC."""
    if signing == "hmac":
        return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}", ""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    private = base64.b64encode(key.private_bytes_raw() + public).decode()
    return f"whsk_{private}", f"whpk_{base64.b64encode(public).decode()}"


def signatures(secrets_: Iterable[str], message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the header `webhook-signature`, one signature of each secret."""
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    return " ".join(_sign(one, signed) for one in secrets_)


def _sign(secret: str, signed: bytes) -> str:
    kind, _, text = secret.partition("_")
    raw = base64.b64decode(text)
    if kind == "whsk":
        made = Ed25519PrivateKey.from_private_bytes(raw[:32]).sign(signed)
        return f"v1a,{base64.b64encode(made).decode()}"
    made = hmac.new(raw, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"
