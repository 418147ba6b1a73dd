"""How what opens a door is kept: as its hash only."""

import hashlib


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a random token, in hexadecimal; it has bits enough without salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
