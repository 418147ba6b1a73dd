"""Photos: taken when a record of one's own names them, whole, once; swept when nothing does."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from cloud.handheld.photos import PhotoBook, name_photos
from cloud.model.database import Database
from cloud.model.handheld_tables import handheld_photo
from cloud.model.principal import EVERYTHING, Granted, Principal, Scope
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from protocols.handheld import PHOTO_BYTES_MAX, Photo
from tests.support.state_database import open_state

JPEG = b"\xff\xd8\xff" + b"x" * 1000
SHA = hashlib.sha256(JPEG).hexdigest()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


@pytest.fixture
def book(database: Database, tmp_path: Path) -> PhotoBook:
    return PhotoBook(database, ManualClock(), tmp_path / "photos")


def granted(organisation: str = "office") -> Granted:
    scope = Scope(organisations=frozenset({organisation}))
    principal = Principal(kind="device", id="device:1", by="h", organisation=organisation, may={})
    return Granted(principal, "handheld.use", scope)


def name(database: Database, raw: bytes = JPEG, organisation: str = "office") -> str:
    digest = hashlib.sha256(raw).hexdigest()
    photo = Photo(file="a.jpg", sha256=digest, size_bytes=len(raw))
    database.write_now(
        lambda c: name_photos(
            c, [photo, photo], organisation=organisation, asset="cylinder:1", now_ms=1
        )
    )
    return digest


async def test_photo_is_kept_once_and_shown_to_its_organisation(
    book: PhotoBook, database: Database
) -> None:
    name(database)
    assert await book.take(granted(), SHA, JPEG)
    assert not await book.take(granted(), SHA, JPEG)
    found = await book.find(granted().scope, SHA)
    assert (found.path.read_bytes(), found.media_type) == (JPEG, "image/jpeg")
    with pytest.raises(RefuseInput, match="not_found"):
        await book.find(granted("firm-a").scope, SHA)


async def test_photo_that_nobody_named_is_refused(book: PhotoBook, database: Database) -> None:
    name(database)
    for organisation, sha256 in (("firm-a", SHA), ("office", "0" * 64), ("office", "../../etc")):
        with pytest.raises(RefuseInput, match="not_found"):
            await book.take(granted(organisation), sha256, JPEG)
    with pytest.raises(RefuseInput, match="not_found"):
        await book.find(EVERYTHING, SHA)  # it was named, and is not here


@pytest.mark.parametrize(
    ("raw", "named", "reason"),
    [
        (JPEG[:-1], JPEG, "bad_hash"),
        (b"<html>", b"<html>", "bad_photo"),
        (JPEG + bytes(PHOTO_BYTES_MAX), JPEG + bytes(PHOTO_BYTES_MAX), "too_large"),
    ],
)
async def test_what_is_no_photo_leaves_nothing(
    book: PhotoBook, database: Database, tmp_path: Path, raw: bytes, named: bytes, reason: str
) -> None:
    digest = name(database, named)
    with pytest.raises(RefuseInput, match=reason):
        await book.take(granted(), digest, raw)
    assert not (tmp_path / "photos").exists()


async def test_file_goes_after_its_rows(book: PhotoBook, database: Database) -> None:
    for organisation in ("office", "firm-a"):
        name(database, organisation=organisation)
        assert await book.take(granted(organisation), SHA, JPEG)
    mine = handheld_photo.c.organisation
    database.write_now(lambda c: c.execute(delete(handheld_photo).where(mine == "office")))
    assert await book.sweep() == 0, "another's row still names it"
    database.write_now(lambda c: c.execute(delete(handheld_photo)))
    assert await book.sweep() == 1
    assert await book.sweep() == 0
