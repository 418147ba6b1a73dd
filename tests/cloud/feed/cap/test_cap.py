"""CAP 1.2 messages: the rules of the standard, the chain of references, the signature."""

import base64
import copy
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from cryptography.x509 import load_pem_x509_certificate
from lxml import etree
from signxml.exceptions import InvalidDigest, InvalidSignature
from signxml.verifier import XMLVerifier
from sqlalchemy import insert

from cloud.feed.cap.chain import Issued, next_kind
from cloud.feed.cap.desk import CapDesk
from cloud.feed.cap.write import moment
from cloud.feed.items import read_item
from cloud.model import tables
from cloud.model.alarm import FeedItem
from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, Scope
from protocols.clock import ManualClock
from protocols.errors import RetryLater
from tests.support import cap_rules
from tests.support.cap_rules import CAP, text_of
from tests.support.feed_items import LIFT, FeedWriter, alarm_data
from tests.support.receivers import open_cap
from tests.support.retention import DAY_MS, carry_out
from tests.support.state_database import open_state


class Stage:
    """A feed, and the messages issued for it."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, ManualClock()
        self.write = FeedWriter(database, self.clock)
        self.cap: CapDesk = open_cap(database, self.clock)

    async def root(self, offset: int) -> etree._Element:
        """Return a document that was checked in every way."""
        document = await self.cap.document(offset)
        assert document is not None
        assert cap_rules.faults(document) == []
        await self.verify(document)
        return cap_rules.parsed(document)

    async def verify(self, document: bytes) -> None:
        pem = await self.cap.certificate()
        XMLVerifier().verify(document, x509_cert=pem.decode())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """On SQLite; one test is carried out on both."""
    database = open_state(f"sqlite:///{tmp_path / 'test.db'}")
    yield Stage(database)
    database.close()


@pytest.fixture
def any_stage(database_url: str) -> Iterator[Stage]:
    database = open_state(database_url)
    yield Stage(database)
    database.close()


async def test_life_of_an_alarm_is_a_chain_that_names_what_was_issued(any_stage: Stage) -> None:
    stage = any_stage
    changes = [
        ("fired", "unacknowledged", "Alert"),
        ("upgraded", "unacknowledged", "Update"),
        ("acknowledged", "acknowledged", "Ack"),
        ("resolved", "normal", "Cancel"),
    ]
    issued: list[str] = []
    for change, state, kind in changes:
        offset = await stage.write.alarm(1, change=change, state=state)
        stage.clock.advance(1_500)
        root = await stage.root(offset)
        assert text_of(root, "msgType") == kind
        named = text_of(root, "references").split(" ") if issued else []
        assert named == issued
        sent = text_of(root, "sent")
        issued.append(f"{text_of(root, 'sender')},{text_of(root, 'identifier')},{sent}")
    assert len(set(issued)) == 4


async def test_what_refers_to_nothing_is_not_issued(stage: Stage) -> None:
    for change, state in (("resolved", "normal"), ("acknowledged", "acknowledged")):
        offset = await stage.write.alarm(9, change=change, state=state)
        assert await stage.cap.document(offset) is None
    offset = await stage.write.alarm(9, change="upgraded")
    assert text_of(await stage.root(offset), "msgType") == "Alert"
    assert [one.offset for one in await stage.cap.entries(EVERYTHING, None, 10)] == [offset]


def test_alarm_that_comes_back_begins_a_new_chain() -> None:
    def item(change: str, state: str) -> object:
        return read_item(
            FeedItem(offset=9, event="alarm", data=alarm_data(1, change=change, state=state))
        )

    back = item("fired", "unacknowledged")
    assert next_kind(Issued(5, "Cancel", 1), back) == ("Alert", 9)  # type: ignore[arg-type]
    latched = item("resolved", "latched_unacknowledged")
    assert next_kind(Issued(5, "Update", 1), latched) == ("Cancel", 1)  # type: ignore[arg-type]
    over = item("resolved", "return_to_normal_unacknowledged")
    assert next_kind(Issued(5, "Update", 1), over) == ("Cancel", 1)  # type: ignore[arg-type]
    assert next_kind(Issued(5, "Cancel", 1), over) == (None, 9)  # type: ignore[arg-type]
    seen = item("acknowledged", "normal")
    assert next_kind(Issued(5, "Cancel", 1), seen) == ("Ack", 1)  # type: ignore[arg-type]


async def test_document_says_where_what_and_for_whom_in_both_languages(stage: Stage) -> None:
    attributes = {"district": "昌邑区", "address": "解放大路 1 号", "division": "220202"}
    attributes |= {"latitude": "43.8378", "longitude": 126.5494}  # type: ignore[dict-item]
    row = {"asset_id": LIFT, "kind": "elevator", "name": "1 号梯", "gateways": "[]"}
    row |= {"attributes": msgspec.json.encode(attributes).decode(), "district": "昌邑区"}
    row |= {"category": "", "updated_at": 1}  # type: ignore[dict-item]
    stage.database.write_now(lambda c: c.execute(insert(tables.asset).values(row)))
    root = await stage.root(await stage.write.alarm(1, evidence="a < b & \x00 c"))
    assert text_of(root, "scope") == "Restricted"
    infos = root.findall(f"{{{CAP}}}info")
    assert [text_of(one, "language") for one in infos] == ["zh-CN", "en-US"]
    assert [text_of(one, "event") for one in infos] == ["电梯困人", "Passengers trapped"]
    zh = infos[0]
    words = ("category", "urgency", "severity", "certainty")
    assert [text_of(zh, one) for one in words] == ["Rescue", "Immediate", "Severe", "Observed"]
    assert text_of(zh, "web") == "https://city.test/alarms/1"
    area = zh.find(f"{{{CAP}}}area")
    assert area is not None
    assert text_of(area, "circle") == "43.837800,126.549400 0.05"
    geocode = area.find(f"{{{CAP}}}geocode")
    assert (text_of(geocode, "valueName"), text_of(geocode, "value")) == ("GB/T 2260", "220202")
    again = await stage.cap.document(1)
    stage.database.write_now(lambda c: c.execute(tables.asset.update().values(district="x")))
    assert await stage.cap.document(1) == again, "what was issued does not change"


async def test_rescue_has_its_number_and_an_exercise_says_so(stage: Stage) -> None:
    root = await stage.root(await stage.write.incident(3, drill=True))
    assert text_of(root, "status") == "Exercise"
    assert text_of(root, "incidents") == "R20261126-0003"
    await stage.write.incident(3, change="accept", state="accepted")
    for change, state, kind in (("arrive", "arrived", "Update"), ("close", "closed", "Cancel")):
        root = await stage.root(await stage.write.incident(3, change=change, state=state))
        assert text_of(root, "msgType") == kind
    test = await stage.cap.test(stage.clock.wall_ms())
    assert cap_rules.faults(test) == []
    assert text_of(cap_rules.parsed(test), "status") == "Test"


async def test_references_are_bounded_and_keep_the_first(stage: Stage) -> None:
    for _ in range(40):
        last = await stage.write.alarm(1, change="upgraded")
    named = text_of(await stage.root(last), "references").split(" ")
    assert len(named) == 21
    assert named[0].split(",")[1] == "suyuan-alarm-1-1"
    assert named[-1].split(",")[1] == "suyuan-alarm-1-39"


async def test_a_changed_document_or_another_key_is_found(stage: Stage) -> None:
    offset = await stage.write.alarm(1)
    document = await stage.cap.document(offset)
    assert document is not None
    await stage.verify(document)
    with pytest.raises((InvalidDigest, InvalidSignature)):
        await stage.verify(document.replace(b"Immediate", b"Future"))
    other = copy.deepcopy(cap_rules.parsed(document))
    value = other.find(".//{*}SignatureValue")
    assert value is not None
    value.text = base64.b64encode(bytes(256)).decode()
    with pytest.raises((InvalidDigest, InvalidSignature)):
        await stage.verify(etree.tostring(other))


async def test_another_process_has_the_same_key_and_issues_nothing_twice(stage: Stage) -> None:
    offset = await stage.write.alarm(1)
    other = open_cap(stage.database, stage.clock)
    first = await stage.cap.document(offset)
    assert await other.document(offset) == first
    assert await other.issue() == 0
    certificate = load_pem_x509_certificate(await other.certificate())
    assert "suyuan@city.test" in certificate.subject.rfc4514_string()


async def test_scope_decides_who_sees_a_message(stage: Stage) -> None:
    offset = await stage.write.alarm(1)
    await stage.cap.issue()
    nobody = Scope(organisations=frozenset({"firm-a"}))
    assert await stage.cap.document(offset, nobody) is None
    assert await stage.cap.entries(nobody, None, 10) == []
    assert len(await stage.cap.entries(EVERYTHING, None, 10)) == 1


async def test_item_that_is_not_there_yet_is_asked_for_later(stage: Stage) -> None:
    with pytest.raises(RetryLater):
        await stage.cap.document(5)
    assert await stage.cap.document(5, EVERYTHING) is None


async def test_messages_go_with_their_items_and_the_next_is_issued_all_the_same(
    stage: Stage,
) -> None:
    await stage.write.alarm(1)
    await stage.cap.issue()
    stage.clock.advance(91 * DAY_MS)
    await stage.write.alarm(1, change="upgraded")
    await stage.cap.issue()
    await carry_out(stage.database, stage.clock, after={"feed": stage.write.feed.load})
    offset = await stage.write.alarm(2)
    assert text_of(await stage.root(offset), "msgType") == "Alert"
    assert len(await stage.cap.entries(EVERYTHING, None, 10)) == 2


def test_times_have_an_offset_and_never_z() -> None:
    at = 1_764_000_000_999
    assert moment(at, ZoneInfo("Asia/Shanghai")) == "2025-11-25T00:00:00+08:00"
    assert moment(at, ZoneInfo("UTC")) == "2025-11-24T16:00:00-00:00"


@pytest.mark.parametrize(
    ("old", "new", "about"),
    [
        ("<status>Actual</status>", "", "lacks status"),
        ("<status>Actual</status>", "<status>Real</status>", "status is"),
        ("+08:00</sent>", "Z</sent>", "never Z"),
        ("<scope>Restricted</scope>", "<scope>Public</scope>", "restriction"),
        ("<msgType>Alert</msgType>", "<msgType>Cancel</msgType>", "refers to nothing"),
        ("<urgency>Immediate</urgency>", "", "lacks urgency"),
        ("<language>zh-CN</language>", "<language>中文</language>", "language is"),
        ("<identifier>", "<identifier>a b", "identifier"),
        ("<sender>", "<note>x</note><sender>", "order"),
        ("<areaDesc>", "<other/><areaDesc>", "holds"),
    ],
)
async def test_the_checker_itself_finds_what_is_wrong(
    stage: Stage, old: str, new: str, about: str
) -> None:
    document = await stage.cap.document(await stage.write.alarm(1))
    assert document is not None
    bent = document.decode().replace(old, new, 1).encode()
    assert bent != document
    assert any(about in one for one in cap_rules.faults(bent)), cap_rules.faults(bent)
