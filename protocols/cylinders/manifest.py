"""The signed paper of a station snapshot: whose it is, how long it holds, and what files make it.

The file itself travels beside it, packed by zlib, and is known by its SHA-256. Every manifest also
names the state that results, as the SHA-256 of the full file: however a gateway came to it, by one
file or by many increments that it merged, it can prove what it has.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from protocols.cylinders.base import StationPermits
from protocols.errors import RefuseInput
from protocols.signed import Hex32, Number, Verify, unseal

SCHEMA = 1
FILE_BYTES_MAX = 64 * 1024 * 1024
"""Of a file as it travels, and of a full one unpacked: three million cylinders."""
AHEAD_MAX_MS = 10 * 60_000
"""A snapshot that is issued so much later than now is not taken."""

State = Literal["fresh", "ageing", "expired"]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]


class Blob(Struct, frozen=True, forbid_unknown_fields=True):
    """Some bytes."""

    sha256: Hex32
    size: Annotated[int, Meta(ge=1, le=FILE_BYTES_MAX)]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issue of a filler's snapshot."""

    schema: Literal[1] = 1
    filler: Annotated[str, Meta(min_length=1, max_length=64)]
    """The organisation whose station it is for."""
    number: Number
    """Rises with every issue."""
    previous: Number | None = None
    """The issue whose state this one changes; None: this one is whole."""
    issued_at: int
    """ms since 1970."""
    expires_at: int
    """ms since 1970; past it the snapshot is ageing, and past the rules' grace expired."""
    rules_version: Annotated[str, Meta(max_length=64)]
    cylinders: Count
    """In the state that results."""
    denied: Count
    """Of other fillers, that must not be filled."""
    file: Blob | None
    """As it travels; None: nothing has changed since `previous`, this only holds longer."""
    state: Blob
    """The full file, not packed, of the state that results."""
    permits: StationPermits | None = None
    """Of the filler, when this was signed; None: it is no filling unit, or an older service's."""

    @property
    def content(self) -> int:
        """Number of the issue that the state is of: this one, or the one that it renews."""
        return self.number if self.file is not None or self.previous is None else self.previous


class _Schema(Struct, frozen=True):
    """What a manifest of any schema has."""

    schema: int


class Kept(NamedTuple):
    """What a gateway has already."""

    number: int
    """Of the newest issue that it took."""
    content: int
    """Of the issue that its state is of: the newest with a file."""


def open_manifest(
    raw: bytes | str, *, filler: str, anchors: Iterable[bytes], verify: Verify
) -> Manifest:
    """Read a manifest that is meant for this filler's stations.

    Raises:
        RefuseInput: as `protocols.signed.unseal`, and `unknown_schema`, `foreign_filler`.

    """
    keys = tuple(anchors)
    schema = unseal(raw, "snapshot", _Schema, anchors=keys, verify=verify).schema
    if schema != SCHEMA:
        raise RefuseInput("unknown_schema", f"expected {SCHEMA}, found {schema}")
    found = unseal(raw, "snapshot", Manifest, anchors=keys, verify=verify)
    if found.filler != filler:
        raise RefuseInput("foreign_filler", f"expected {filler!r}, found {found.filler!r}")
    if found.previous is None and found.file is None:
        raise RefuseInput("malformed", "expected a file, or the issue that it renews")
    return found


def check_next(manifest: Manifest, kept: Kept | None, now_ms: int | None, *, seen: int = 0) -> None:
    """Refuse a genuine manifest that must not take the place of what is kept.

    Args:
        manifest: what came.
        kept: what the gateway has, None when that is nothing.
        now_ms: the time, ms since 1970; None while nobody knows it, and then it judges nothing.
        seen: number of the newest state that the gateway ever had.

    Raises:
        RefuseInput: `from_future`, `rolled_back`, or `gap`: a whole one is needed.

    """
    if now_ms is not None and manifest.issued_at > now_ms + AHEAD_MAX_MS:
        ahead_s = (manifest.issued_at - now_ms) // 1000
        raise RefuseInput("from_future", f"issue {manifest.number} is {ahead_s} s ahead")
    if manifest.previous is None:
        if manifest.number < seen:
            raise RefuseInput("rolled_back", f"{manifest.number} after {seen}")
    elif kept is not None and manifest.number <= kept.number:
        raise RefuseInput("rolled_back", f"{manifest.number} after {kept.number}")
    elif kept is None or manifest.previous != kept.content:
        have = "nothing" if kept is None else str(kept.content)
        raise RefuseInput("gap", f"{manifest.number} follows {manifest.previous}, kept is {have}")


def state_at(manifest: Manifest, now_ms: int, grace_ms: int) -> State:
    """Tell how far a snapshot is to be trusted; a time before its issue proves nothing."""
    if now_ms < manifest.issued_at - AHEAD_MAX_MS or now_ms > manifest.expires_at + grace_ms:
        return "expired"
    return "fresh" if now_ms <= manifest.expires_at else "ageing"
