"""Enrolment and renewal of a gateway's certificate: what both ends say, over any transport.

The one-time code is a secret that both ends know and that never travels: every message carries a
proof made with it. So neither a listener learns it, nor can anyone in between change a request or
an answer, and the transport need not be trusted: it works over plain HTTP, behind any proxy, and
with a clock in 1970, when no TLS certificate can be judged by its dates.

A renewal is signed with the key of the certificate that it renews, its answer with the key of the
authority, which the gateway has known since its enrolment.
"""

import hashlib
import hmac
import re
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from protocols.errors import RefuseInput
from protocols.ids import GATEWAY_ID

ENROL_PATH = "/api/v1/enroll"
RENEW_PATH = "/api/v1/enroll/renew"
PROOF_HEADER = "Suyuan-Proof"
"""Of an enrolment's answer: `answer_proof` of the body."""
SIGNATURE_HEADER = "Suyuan-Signature"
"""Of a renewal's answer: the authority's signature over `answer_to_sign`, in hexadecimal."""
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing in it looks like something else."""
CODE_CHARS = 20
"""100 bits: nobody guesses it, not even one who heard an enrolment and tries at home."""
_LOOKS_LIKE = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})
_SECRET = re.compile(f"[{ALPHABET}]{{{CODE_CHARS}}}")

Pem = Annotated[str, Meta(max_length=8_192)]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]{2,1024}$")]


class Code(NamedTuple):
    """A one-time code: whom it invites, and the secret."""

    gateway_id: str
    secret: str

    def __str__(self) -> str:
        """Write it as it is told: `gw-1.7K2M9-QXB4T-0HZ3C-NV8RD`."""
        parts = (self.secret[at : at + 5] for at in range(0, CODE_CHARS, 5))
        return f"{self.gateway_id}.{'-'.join(parts)}"

    def key(self) -> bytes:
        """Return the key of all proofs, 32 bytes; the code cannot be had back from it."""
        text = f"{self.gateway_id}.{self.secret}"
        return hmac.digest(b"suyuan enrolment 1", text.encode(), "sha256")


def parse_code(text: str) -> Code:
    """Read a code as somebody typed it: small letters, O for 0, I or L for 1, hyphens or none.

    Raises:
        RefuseInput: `bad_code`.

    """
    gateway_id, _, secret = text.strip().rpartition(".")
    secret = secret.upper().translate(_LOOKS_LIKE)
    if not GATEWAY_ID.fullmatch(gateway_id) or not _SECRET.fullmatch(secret):
        expected = "GATEWAY.XXXXX-XXXXX-XXXXX-XXXXX, as `suyuan-cloud gateway invite` printed it"
        raise RefuseInput("bad_code", f"expected {expected}")
    return Code(gateway_id, secret)


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway asks for its first certificate."""

    gateway_id: Annotated[str, Meta(max_length=64)]
    csr: Pem
    """PKCS #10; its common name is the gateway id."""
    proof: Hex
    """`request_proof`."""


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway asks for its next certificate."""

    certificate: Pem
    """The one that it has."""
    csr: Pem
    """With the next key."""
    signature: Hex
    """Of the present key over `renewal_to_sign`."""


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway is given, at enrolment as at renewal."""

    gateway_id: str
    certificate: str
    """PEM."""
    ca: str
    """PEM of the authority; the broker's certificate is of it too."""
    broker: str
    """`mqtts://host:port`."""
    anchors: list[Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]]
    """Ed25519 public keys, one or two, that signed configuration is checked with."""


def request_proof(key: bytes, csr: str) -> str:
    """Prove that whoever asks knows the code; in hexadecimal."""
    return hmac.digest(key, b"request\n" + csr.encode(), "sha256").hex()


def answer_proof(key: bytes, csr: str, body: bytes) -> str:
    """Prove that whoever answers knows the code, and answers this very request."""
    return hmac.digest(key, b"answer\n" + _digest(csr.encode()) + body, "sha256").hex()


def renewal_to_sign(certificate: str, csr: str) -> bytes:
    """Return what the present key signs."""
    return b"suyuan renewal 1\n" + _digest(certificate.encode()) + _digest(csr.encode())


def answer_to_sign(csr: str, body: bytes) -> bytes:
    """Return what the authority signs: the answer to this very request."""
    return b"suyuan renewed 1\n" + _digest(csr.encode()) + _digest(body)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
