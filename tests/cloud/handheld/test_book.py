"""Records of handhelds: once each, whatever the line does, with a word on every one of them."""

from collections.abc import Iterator, Mapping

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select

from cloud.handheld.base import Sender
from cloud.handheld.book import HandheldBook
from cloud.model.database import Database, Work
from cloud.model.handheld_tables import handheld_record
from cloud.model.people_tables import device
from cloud.model.principal import EVERYTHING, Granted, Principal, Scope
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from protocols.handheld import (
    Batch,
    Inspection,
    Record,
    Scan,
    Settled,
    Signature,
    Tag,
    What,
)
from tests.support.state_database import open_state

STORE, OTHER = "a" * 32, "b" * 32
WANG, LI, STRANGER = "1" * 16, "2" * 16, "3" * 16
BOTTLE = "cylinder:JL2B0001234"
NOW_MS = ManualClock().wall_ms()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    rows = [
        {
            "id": id_,
            "sha256": id_,
            "name": "h",
            "account": number,
            "organisation": organisation,
            "issued_at": 1,
            "renewed_at": 1,
            "expires_at": 2**40,
        }
        for id_, number, organisation in (
            (WANG, 1, "office"),
            (LI, 2, "office"),
            (STRANGER, 3, "firm-a"),
        )
    ]
    database.write_now(lambda c: c.execute(insert(device), rows))
    yield database
    database.close()


@pytest.fixture
def book(database: Database) -> HandheldBook:
    return HandheldBook(database, ManualClock(), offline_grace_s=100)


def granted(person: str = WANG, organisation: str = "office") -> Granted:
    scope = Scope(organisations=frozenset({organisation}))
    principal = Principal(
        kind="device",
        id=f"device:{person}",
        by="h",
        organisation=organisation,
        account=1,
        may={"handheld.use": scope},
    )
    return Granted(principal, "handheld.use", scope)


def record(number: int, what: What | None = None, **fields: object) -> Record:
    one = Record(
        number=number,
        observed_at=NOW_MS - 1_000,
        time_source="service",
        person=WANG,
        known_at=NOW_MS,
        what=what or Scan(text="JL2B0001234", asset=BOTTLE),
    )
    return msgspec.structs.replace(one, **fields)


def inspection(*people: str) -> Inspection:
    signatures = tuple(
        Signature(person=one, signed_at=NOW_MS, sha256="0" * 64) for one in people or (WANG, LI)
    )
    return Inspection(asset=BOTTLE, form="cylinder", outcome="passed", signatures=signatures)


async def take(
    book: HandheldBook, *records: Record | bytes, store: str = STORE, by: Granted | None = None
) -> list[Settled]:
    raws = [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in records]
    batch = Batch(store=store, records=tuple(map(msgspec.Raw, raws)))
    answer = await book.take(batch, by or granted(), unnoted)
    assert answer.time == NOW_MS
    return list(answer.settled)


def unnoted(_subject: str, _counts: Mapping[str, int]) -> Work:
    return lambda _: None


def kept(database: Database) -> int:
    count = select(func.count()).select_from(handheld_record)
    return int(database.read_now(lambda c: c.execute(count).scalar()) or 0)


async def test_record_sent_again_is_known_and_kept_once(
    book: HandheldBook, database: Database
) -> None:
    assert [one.outcome for one in await take(book, record(1), record(2))] == ["taken"] * 2
    again = await take(book, record(2), record(3), record(3))
    assert [one.outcome for one in again] == ["known", "taken", "known"]
    assert kept(database) == 3
    found = await book.find(EVERYTHING)
    assert [(one.number, one.account, one.organisation) for one in found] == [
        (3, 1, "office"),
        (2, 1, "office"),
        (1, 1, "office"),
    ]
    assert found[0].what["asset"] == BOTTLE
    assert await book.find(Scope(organisations=frozenset({"firm-a"}))) == []


async def test_bad_record_is_refused_alone_and_kept(book: HandheldBook, database: Database) -> None:
    bad = [
        b'{"number": 2, "person": 7}',
        b'"text"',
        msgspec.json.encode(record(4)).replace(b'"scan"', b'"theft"'),
        msgspec.json.encode(record(5, Scan(text="x" * 4096), person=WANG))[:-2]
        + b', "more": "'
        + b"y" * 33_000
        + b'"}}',
    ]
    words = await take(book, record(1), *bad, record(6))
    assert [one.outcome for one in words] == ["taken", *["refused"] * 4, "taken"]
    assert [one.number for one in words] == [1, 2, 0, 4, 5, 6]
    assert [one.reason for one in words][1:5] == [*["bad_record"] * 3, "too_large"]
    assert all(one.expected and one.found for one in words[1:5] if one.reason == "too_large")
    assert kept(database) == 6
    assert [one.outcome for one in await take(book, bad[0])] == ["refused"]
    assert kept(database) == 6


async def test_number_used_for_something_else_is_told_and_both_are_kept(
    book: HandheldBook, database: Database
) -> None:
    await take(book, record(1))
    (word,) = await take(book, record(1, Scan(text="another")))
    assert (word.outcome, word.reason) == ("refused", "number_reused")
    assert kept(database) == 2


async def test_two_who_inspected_apart_are_told(book: HandheldBook) -> None:
    before_ms = NOW_MS - 2 * 86_400_000
    first = await take(book, record(1, inspection(), known_at=before_ms))
    assert first[0].outcome == "taken"
    late = record(1, inspection(), known_at=before_ms)
    (word,) = await take(book, late, store=OTHER)
    assert (word.outcome, word.reason) == ("conflict", "inspected_elsewhere")
    assert "record 1 of aaaaaaaa" in word.found
    (again,) = await take(book, late, store=OTHER)
    assert again == word, "the answer may have been lost: it is told again"
    (knew,) = await take(book, record(2, inspection(), known_at=NOW_MS), store=OTHER)
    assert knew.outcome == "taken"


@pytest.mark.parametrize("people", [(WANG,), (WANG, WANG), (WANG, STRANGER), ()])
async def test_inspection_counts_by_two_of_the_organisation(
    book: HandheldBook, people: tuple[str, ...]
) -> None:
    signed = inspection(*people) if people else msgspec.structs.replace(inspection(), signatures=())
    (word,) = await take(book, record(1, signed))
    assert (word.outcome, word.reason) == ("conflict", "not_signed")
    assert word.expected == "signatures of two inspectors"


async def test_tag_belongs_to_the_cylinder_that_had_it_first(book: HandheldBook) -> None:
    tag = Tag(asset=BOTTLE, uid="04A1B2C3D4E5F6")
    other = Tag(asset="cylinder:JL2B0009999", uid=tag.uid)
    words = await take(book, record(1, tag), record(2, other), record(3, tag))
    assert [one.outcome for one in words] == ["taken", "conflict", "taken"]
    assert (words[1].reason, words[1].found) == ("tag_taken", BOTTLE)


async def test_nobody_sends_for_another_organisation(book: HandheldBook) -> None:
    (word,) = await take(book, record(1, person=STRANGER))
    assert (word.outcome, word.reason) == ("refused", "unknown_person")
    (carried,) = await take(book, record(2, person=LI))
    assert carried.outcome == "taken", "a colleague's record is carried along"
    found = await book.find(EVERYTHING)
    assert (found[0].account, found[0].carried_by) == (2, f"device:{WANG}")


async def test_time_that_cannot_be_is_told(book: HandheldBook) -> None:
    (word,) = await take(book, record(1, observed_at=NOW_MS + 86_400_001))
    assert (word.outcome, word.reason) == ("conflict", "from_the_future")


async def test_what_another_part_refuses_is_a_conflict_and_leaves_nothing_there(
    database: Database,
) -> None:
    def judge(connection: Connection, _record: Record, sender: Sender) -> Settled | None:
        assert sender.account == 1
        connection.execute(device.delete())
        raise RefuseInput("scrapped", "scrapped on 2025-01-01")

    clock = ManualClock()
    book = HandheldBook(database, clock, offline_grace_s=1, judges={"scan": judge})
    (word,) = await take(book, record(1))
    assert (word.outcome, word.reason) == ("conflict", "scrapped")
    (next_one,) = await take(book, record(2, inspection()))
    assert next_one.outcome == "taken", "the handhelds are still there"
