"""A question of an enrolled gateway over HTTP: signed with the key of its certificate.

Like enrolment it needs no trust in the transport. Whoever overheard one learns nothing to ask
anything else with, and after ten minutes not even the same.
"""

from typing import NamedTuple

CERTIFICATE_HEADER = "Suyuan-Certificate"
"""Its certificate: DER in base64."""
AT_HEADER = "Suyuan-At"
"""When it asks, ms since 1970."""
SIGNATURE_HEADER = "Suyuan-Signature"
"""ECDSA with SHA-256 over `request_to_sign`, in hexadecimal."""
APART_MAX_MS = 10 * 60_000
"""A question that is older or younger by more is refused: `bad_clock`."""


class Proof(NamedTuple):
    """What the headers say."""

    certificate: bytes
    """DER."""
    at: int
    signature: bytes


def request_to_sign(target: str, at: int) -> bytes:
    """Return what is signed; `target`: path and query as they are sent."""
    return f"suyuan request 1\nGET {target}\n{at}\n".encode()
