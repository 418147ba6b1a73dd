"""Names on the wire: asset ids, gateway ids, shards."""

import hashlib
import re
from functools import lru_cache

from protocols.errors import RefuseInput

ASSET_ID = re.compile(r"([a-z][a-z0-9_]{0,31}):([A-Za-z0-9._-]{1,64})")
SCHEME = re.compile(r"[a-z][a-z0-9_]{0,31}")
GATEWAY_ID = re.compile(r"[a-z0-9-]{1,64}")
POINT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
SPOOL_ID = re.compile(r"[0-9a-f]{32}")


def check_asset_id(text: str) -> str:
    """Return `text` if it is `{scheme}:{code}` (design 2).

    Raises:
        RefuseInput: `bad_asset_id`.

    """
    if not ASSET_ID.fullmatch(text):
        raise RefuseInput("bad_asset_id", f"expected scheme:code, found {text[:80]!r}")
    return text


def scheme_of(asset_id: str) -> str:
    """Return the scheme of a valid asset id: `elevator` of `elevator:3110`."""
    return asset_id.partition(":")[0]


def check_gateway_id(text: str) -> str:
    """Return `text` if it is 1 to 64 of a-z 0-9 -.

    Raises:
        RefuseInput: `bad_gateway_id`.

    """
    if not GATEWAY_ID.fullmatch(text):
        raise RefuseInput("bad_gateway_id", f"expected 1 to 64 of a-z 0-9 -, found {text[:80]!r}")
    return text


@lru_cache(maxsize=65_536)
def shard_of(gateway_id: str) -> str:
    """Return the first two hex digits of SHA-256 of the gateway id."""
    return hashlib.sha256(gateway_id.encode()).hexdigest()[:2]
