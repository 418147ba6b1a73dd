"""Faults that the campaign does not make, and how verification tells them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text, update

from cloud.audit.faults import FAULTS_MAX, Fault, Faults
from cloud.audit.heads import HEADS_FILE, HeadsFile
from cloud.audit.verify import verify
from cloud.audit.witness import read_witnesses
from cloud.model.audit import append, open_head
from cloud.model.database import Database
from cloud.model.people_tables import audit, audit_head
from protocols.clock import ManualClock
from protocols.errors import StopService
from tests.cloud.audit.test_append import KEY, entry
from tests.support.state_database import open_state


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    database.write_now(lambda c: open_head(c, KEY))
    database.write_now(lambda c: append(c, KEY, *(entry(number) for number in range(10))))
    yield database
    database.close()


def told(database: Database, folder: Path | None = None) -> list[tuple[str, int, int]]:
    witnesses = read_witnesses([folder / HEADS_FILE]) if folder else []
    verdict = database.read_now(lambda c: verify(c, KEY, witnesses))
    return [(fault.kind, fault.first, fault.last) for fault in verdict.faults]


def test_verify_tells_what_was_expected_and_found(database: Database) -> None:
    database.write_now(lambda c: c.execute(update(audit).where(audit.c.seq == 4).values(by="x")))
    (fault,) = database.read_now(lambda c: verify(c, KEY)).faults
    assert str(fault).startswith("entry 4: edited: expected seal ")
    database.write_now(lambda c: c.execute(delete(audit).where(audit.c.seq.in_([7, 8]))))
    assert told(database) == [("edited", 4, 4), ("missing", 7, 8)]


def test_verify_reads_its_own_progress_and_one_state(database: Database) -> None:
    seen: list[int] = []
    verdict = database.read_now(lambda c: verify(c, KEY, progress=seen.append))
    assert (verdict.entries, seen) == (10, [])


def test_verify_with_a_wrong_key_names_every_entry(database: Database) -> None:
    verdict = database.read_now(lambda c: verify(c, bytes(32)))
    assert [(one.kind, one.first, one.last) for one in verdict.faults] == [
        ("head", 0, 0),
        ("edited", 1, 10),
    ]


def test_verify_everything_gone_but_the_heads(database: Database, tmp_path: Path) -> None:
    HeadsFile(tmp_path, KEY, ManualClock()).follow(database)
    for table in (audit, audit_head):
        database.write_now(lambda c, t=table: c.execute(delete(t)))  # type: ignore[misc]
    assert told(database, tmp_path) == [("head", 0, 0), ("cut", 1, 10)]


def test_verify_forged_heads_prove_nothing(database: Database, tmp_path: Path) -> None:
    HeadsFile(tmp_path, KEY, ManualClock()).follow(database)
    file = tmp_path / HEADS_FILE
    line = file.read_text()
    file.write_text(line + line.replace('"seq":10', '"seq":11') + "nonsense\n")
    assert told(database, tmp_path) == [("head", 0, 0), ("head", 0, 0)]
    with pytest.raises(StopService, match="No such file"):
        read_witnesses([tmp_path / "nowhere"])


def test_verify_a_head_put_back_is_found(database: Database) -> None:
    early = database.read_now(lambda c: c.execute(audit_head.select()).one())
    database.write_now(lambda c: append(c, KEY, entry(11), entry(12)))
    earlier = {"seq": early.seq, "hash": early.hash, "mac": early.mac}
    database.write_now(lambda c: c.execute(update(audit_head).values(**earlier)))
    assert told(database) == [("head", 11, 12)]


def test_verify_numbers_far_beyond_and_below_are_inserted(database: Database) -> None:
    row = database.read_now(lambda c: dict(c.execute(audit.select()).mappings().first() or {}))
    far = [row | {"seq": seq, "by": "x"} for seq in (10**15, -3, 0)]
    database.write_now(lambda c: c.execute(insert(audit), far))
    assert told(database) == [("inserted", 0, 0), ("inserted", 0, 0), ("inserted", 10**15, 10**15)]


def test_verify_goes_on_after_bytes_that_are_no_text(tmp_path: Path) -> None:
    database = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    database.write_now(lambda c: open_head(c, KEY))
    database.write_now(lambda c: append(c, KEY, *(entry(number) for number in range(6))))
    for statement in (
        "UPDATE audit SET detail = CAST(x'ff00fe' AS TEXT) WHERE seq = 2",
        "UPDATE audit SET hash = x'0011' WHERE seq = 4",
        "UPDATE audit SET recorded_at = 'noon' WHERE seq = 5",
        "UPDATE audit SET seq = 'six' WHERE seq = 6",
    ):
        database.write_now(lambda c, s=statement: c.execute(text(s)))  # type: ignore[misc]
    assert told(database) == [
        ("inserted", 0, 0),
        ("edited", 2, 2),
        ("edited", 4, 5),
        ("cut", 6, 6),
    ]
    database.close()


def test_faults_are_bounded() -> None:
    faults = Faults()
    for seq in range(1, 2 * FAULTS_MAX + 200, 2):
        faults.add("edited", seq, seq, "a", "b")
    found, more = faults.all()
    assert (len(found), more) == (FAULTS_MAX, 100)
    assert found[0] == Fault("edited", 1, 1, "a", "b")
