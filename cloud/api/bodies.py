"""Reading JSON bodies, which may be meant to do harm."""

import re
from typing import TypeVar

import msgspec

from protocols.errors import RefuseInput

T = TypeVar("T")
DEPTH_MAX = 32
"""Lists and objects inside each other. What is stored is read again under another stack."""
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


def read_body(raw: bytes, type_: type[T]) -> T:
    """Read a body as `type_`; RefuseInput `bad_request`."""
    if _depth(raw) > DEPTH_MAX:
        raise RefuseInput("bad_request", f"expected at most {DEPTH_MAX} levels of nesting")
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefuseInput("bad_request", str(error)[:300]) from None


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for found in _TOKENS.finditer(raw):
        token = found[0]
        if token in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in (b"]", b"}"):
            depth -= 1
    return deepest
