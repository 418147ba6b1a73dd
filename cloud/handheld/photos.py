"""Photos of inspections: a record names them by their SHA-256, then each is sent by itself.

    DATA/photos/ab/ab12…      a file, under its SHA-256

A file is complete and synced before its row says that it is here. Rows go by the rules of data, and
files that no row names any more after them.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection, insert, select, update

from cloud.model.database import Database
from cloud.model.handheld_tables import handheld_photo as table
from cloud.model.principal import Granted, Scope
from cloud.model.visible import sees_organisation
from protocols.clock import Clock
from protocols.durable import PRIVATE, write_durably
from protocols.errors import RefuseInput, RetryLater
from protocols.handheld import PHOTO_BYTES_MAX, Photo

log = logging.getLogger(__name__)

SWEEP_S = 24 * 3_600.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


class KeptPhoto(Struct, frozen=True):
    """A photo that is here."""

    path: Path
    media_type: str


class PhotoBook:
    """The photos of all organisations."""

    def __init__(self, database: Database, clock: Clock, folder: Path) -> None:
        self._database, self._clock, self._folder = database, clock, folder

    async def take(self, granted: Granted, sha256: str, raw: bytes) -> bool:
        """Keep a photo that a record of the caller's organisation names; tells whether it is new.

        Raises:
            RefuseInput: `not_found`: no record names it; `too_large`, `bad_hash`, `bad_photo`.
            RetryLater: the disk does not take it.

        """
        organisation = granted.principal.organisation or ""
        here = (table.c.organisation == organisation, table.c.sha256 == sha256)
        query = select(table.c.id, table.c.received_at).where(*here)
        row = await self._database.read(lambda c: c.execute(query).first())
        if row is None:
            raise RefuseInput("not_found", f"no record of {organisation} names {sha256[:64]!r}")
        media_type = _check(sha256, raw)
        if row.received_at is not None:
            return False
        try:
            await asyncio.to_thread(self._write, sha256, raw)
        except OSError as error:
            raise RetryLater(f"photos: {error}") from None
        values = {
            "media_type": media_type,
            "received_at": self._clock.wall_ms(),
            "carried_by": granted.principal.id,
        }
        change = update(table).where(*here, table.c.received_at.is_(None)).values(**values)
        await self._database.write(lambda c: c.execute(change))
        return True

    async def find(self, scope: Scope, sha256: str) -> KeptPhoto:
        """Return a photo of the organisations in scope; RefuseInput `not_found`."""
        here = (table.c.sha256 == sha256, table.c.received_at.is_not(None))
        query = select(table.c.media_type).where(*here)
        query = query.where(sees_organisation(scope, table.c.organisation)).limit(1)
        found = await self._database.read(lambda c: c.execute(query).scalar())
        path = self._path(sha256)
        if found is None or not await asyncio.to_thread(path.is_file):
            raise RefuseInput("not_found", f"no photo {sha256[:64]!r}")
        return KeptPhoto(path, str(found))

    async def run(self) -> None:
        """Let go of files that no row names any more, once a day, until cancelled."""
        while True:
            try:
                await self.sweep()
            except (OSError, RetryLater) as error:
                log.warning("photos: %s", error)
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Remove such files; return how many. One that is just being taken has its row already."""
        names = await asyncio.to_thread(self._names)
        gone = 0
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            for name in set(part) - await self._named(part):
                await asyncio.to_thread(self._path(name).unlink, missing_ok=True)
                gone += 1
        return gone

    async def _named(self, names: Sequence[str]) -> set[str]:
        query = select(table.c.sha256).where(table.c.sha256.in_(names))
        return await self._database.read(lambda c: set(c.execute(query).scalars()))

    def _names(self) -> list[str]:
        files = self._folder.glob("??/*") if self._folder.is_dir() else ()
        return sorted(one.name for one in files if _SHA256.fullmatch(one.name))

    def _write(self, sha256: str, raw: bytes) -> None:
        path = self._path(sha256)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, raw, PRIVATE)

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise RefuseInput("not_found", f"no photo {sha256[:64]!r}")
        return self._folder / sha256[:2] / sha256


def name_photos(
    connection: Connection, photos: Sequence[Photo], *, organisation: str, asset: str, now_ms: int
) -> None:
    """Expect photos that a record names; what was named before stays as it is."""
    for one in photos:
        here = (table.c.organisation == organisation, table.c.sha256 == one.sha256)
        if connection.execute(select(table.c.id).where(*here)).first() is None:
            values = {
                "sha256": one.sha256,
                "organisation": organisation,
                "asset": asset,
                "size_bytes": one.size_bytes,
                "named_at": now_ms,
                "media_type": "",
                "carried_by": "",
            }
            connection.execute(insert(table).values(**values))


def _check(sha256: str, raw: bytes) -> str:
    """Return the media type of a photo; RefuseInput."""
    if len(raw) > PHOTO_BYTES_MAX:
        raise RefuseInput("too_large", f"at most {PHOTO_BYTES_MAX} bytes")
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        raise RefuseInput("bad_hash", f"expected {sha256}, found {found}")
    for start, media_type in _KINDS:
        if raw.startswith(start):
            return media_type
    raise RefuseInput("bad_photo", "expected JPEG or PNG")
