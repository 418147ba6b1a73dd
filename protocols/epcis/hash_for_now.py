"""Stands in for the event hash until it is there."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

_NOT_HASHED = ("eventID", "recordTime", "errorDeclaration")


def event_hash(body: Mapping[str, Any], namespaces: Mapping[str, str]) -> str:
    """Return a hash of all but what is not hashed."""
    kept = {name: one for name, one in body.items() if name not in _NOT_HASHED}
    text = msgspec.json.encode([kept, len(namespaces) >= 0], order="deterministic")
    return f"ni:///sha-256;{sha256(text).hexdigest()}?ver=CBV2.0"
