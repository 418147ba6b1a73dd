"""One key for an audit, and heads of it outside the database."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from cloud.audit.heads import FILE_BYTES_MAX, FILES_MAX, HEADS_FILE, HeadsFile, read_heads
from cloud.audit.key import KEY_FILE, fits, make_key, read_key
from cloud.model.audit import append, open_head
from cloud.model.database import Database
from cloud.model.people_tables import audit, audit_head
from cloud.roles.audit import AuditPart
from cloud.roles.common import Common
from cloud.settings import AuditSettings, DatabaseSettings, Settings
from protocols.clock import ManualClock
from protocols.errors import StopService
from tests.cloud.audit.test_append import KEY, entry
from tests.support.postgres import Postgres
from tests.support.state_database import open_state


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    database.write_now(lambda c: open_head(c, KEY))
    yield database
    database.close()


def common(data: Path, *, url: str = "", key_file: str = "") -> Common:
    data.mkdir(exist_ok=True)
    settings = Settings(
        database=DatabaseSettings(log_url=url, state_url=url),
        audit=AuditSettings(key_file=key_file),
    )
    return Common(data=data, settings=settings, name="t", admin_token="t" * 20, clock=ManualClock())


def test_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / KEY_FILE
    make_key(file)
    key = read_key(file)
    make_key(file)
    assert read_key(file) == key
    assert len(key) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [KEY_FILE]
    file.write_bytes(key[:31])
    with pytest.raises(StopService, match="expected 32 bytes, found 31"):
        read_key(file)
    with pytest.raises(StopService, match="No such file"):
        read_key(tmp_path / "nowhere")


def test_key_fits_by_head_or_by_any_of_the_newest_entries(database: Database) -> None:
    other = bytes(32)
    assert database.read_now(lambda c: fits(c, KEY))
    assert not database.read_now(lambda c: fits(c, other))
    database.write_now(lambda c: append(c, KEY, entry(1), entry(2)))
    database.write_now(lambda c: c.execute(delete(audit_head)))
    assert database.read_now(lambda c: fits(c, KEY))
    assert not database.read_now(lambda c: fits(c, other))
    database.write_now(lambda c: c.execute(audit.update().where(audit.c.seq == 2).values(by="x")))
    assert database.read_now(lambda c: fits(c, KEY))


async def test_service_goes_on_with_its_key_and_no_other(tmp_path: Path) -> None:
    first = common(tmp_path / "a")
    part = AuditPart(first)
    await part.book.note(entry())
    await first.close()
    again = common(tmp_path / "a")
    AuditPart(again)
    await again.close()
    file = tmp_path / "a" / KEY_FILE
    key = file.read_bytes()
    file.unlink()
    without = common(tmp_path / "a")
    with pytest.raises(StopService, match="is missing: put it back"):
        AuditPart(without)
    assert not file.exists()
    file.write_bytes(bytes(32))
    with pytest.raises(StopService, match="not the key that the audit was begun with"):
        AuditPart(without)
    file.write_bytes(key)
    AuditPart(without)
    await without.close()


async def test_processes_on_one_database_share_one_key(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    one, two = common(tmp_path / "a", url=url), common(tmp_path / "b", url=url)
    AuditPart(one)
    with pytest.raises(StopService, match="is missing: put it back"):
        AuditPart(two)
    shared = str(tmp_path / "a" / KEY_FILE)
    three = common(tmp_path / "c", url=url, key_file=shared)
    AuditPart(three)
    for process in (one, two, three):
        await process.close()


async def test_bent_head_is_told_at_the_start_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = common(tmp_path / "a")
    await AuditPart(first).book.note(entry(1), entry(2))
    first.state_db.write_now(lambda c: c.execute(audit_head.update().values(mac="0" * 64)))
    AuditPart(first)
    assert "head of the audit is bent" in caplog.text
    await first.close()


def test_heads_are_kept_as_the_audit_grows(database: Database, tmp_path: Path) -> None:
    clock = ManualClock()
    heads = HeadsFile(tmp_path, KEY, clock)
    for number in range(3):
        heads.follow(database)
        heads.follow(database)
        database.write_now(lambda c, n=number: append(c, KEY, entry(n)))  # type: ignore[misc]
    file = tmp_path / HEADS_FILE
    kept = [one for _, one in read_heads(file) if one]
    assert [one.seq for one in kept] == [0, 1, 2]
    assert all(one.is_genuine(KEY) for one in kept)
    assert not kept[1].is_genuine(bytes(32))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open("ab") as torn:
        torn.write(b'{"seq": 99, "ha')
    assert [one.seq for _, one in read_heads(file) if one] == [0, 1, 2]
    HeadsFile(tmp_path, KEY, clock).follow(database)
    assert [one.seq if one else None for _, one in read_heads(file)] == [0, 1, 2, 3]


def test_heads_of_what_was_cut_are_set_aside_for_good(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heads = HeadsFile(tmp_path, KEY, ManualClock())
    database.write_now(lambda c: append(c, KEY, entry(1), entry(2)))
    heads.follow(database)
    database.write_now(lambda c: c.execute(delete(audit).where(audit.c.seq == 2)))
    database.write_now(lambda c: append(c, KEY, entry(3)))
    with caplog.at_level(logging.ERROR):
        heads.follow(database)
    assert "no longer holds its entry 2" in caplog.text
    (aside,) = tmp_path.glob("audit-heads.2*.jsonl")
    assert [one.seq for _, one in read_heads(aside) if one] == [2]
    assert [one.seq for _, one in read_heads(tmp_path / HEADS_FILE) if one] == [3]


def test_heads_of_a_cut_tail_are_set_aside_once(database: Database, tmp_path: Path) -> None:
    heads = HeadsFile(tmp_path, KEY, ManualClock())
    database.write_now(lambda c: append(c, KEY, entry(1), entry(2)))
    heads.follow(database)
    database.write_now(lambda c: c.execute(delete(audit).where(audit.c.seq == 2)))
    for _ in range(3):
        heads.follow(database)
    assert [one.name[:13] for one in tmp_path.glob("audit-heads*")] == ["audit-heads.2"]
    database.write_now(lambda c: append(c, KEY, entry(3)))
    heads.follow(database)
    assert [one.seq for _, one in read_heads(tmp_path / HEADS_FILE) if one] == [3]


def test_heads_stay_within_their_bounds(database: Database, tmp_path: Path) -> None:
    heads = HeadsFile(tmp_path, KEY, ManualClock())
    heads.follow(database)
    file = tmp_path / HEADS_FILE
    with file.open("ab") as full:
        full.write(b"\n" * FILE_BYTES_MAX)
    database.write_now(lambda c: append(c, KEY, entry(1)))
    heads.follow(database)
    assert sorted(one.name for one in tmp_path.glob("audit*")) == [
        "audit-heads.1.jsonl",
        HEADS_FILE,
    ]
    assert len(list(read_heads(file))) == 1
    for number in range(FILES_MAX):
        (tmp_path / f"audit-heads.{number + 2000}.jsonl").touch()
    database.write_now(lambda c: c.execute(delete(audit)))
    heads.follow(database)
    assert len(list(tmp_path.glob("audit-heads*"))) == FILES_MAX + 2
    assert database.read_now(lambda c: c.execute(select(audit)).all()) == []
