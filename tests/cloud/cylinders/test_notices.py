"""Notices by mail and by call: each thing told once, in counts, through failures and restarts."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cloud.cylinders.watch.addresses import ADDRESSES_MAX, AddressBook
from cloud.cylinders.watch.alarms import CaseAlarms
from cloud.cylinders.watch.cases import Raised
from cloud.cylinders.watch.notices import Notices, signature
from cloud.model.cylinder_notice import NoticeToBody
from cloud.model.principal import EVERYTHING, Granted
from cloud.model.principal import Scope as Reach
from cloud.model.tables import asset, asset_party
from cloud.model.watch_tables import cylinder_notice
from cloud.outbound.caller import Caller
from cloud.outbound.mail import Mailer, MailSettings
from cloud.outbound.policy import read_policy
from protocols.cylinders.watch import Entry
from protocols.errors import RefuseInput, RetryLater
from tests.support.browser import serve
from tests.support.cylinders import CODE, ZONE, Yard, code_of, file_of
from tests.support.firms import DISTRICT
from tests.support.smtp import MailServer, mail_server
from tests.support.trace_world import OpenSeal
from tests.support.watch import WATCH, Post

SECRET = "0123456789abcdef0123"
BASE_URL = "https://suyuan.test"


@dataclass
class Receiver:
    """Another system."""

    statuses: list[int] = field(default_factory=list)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append((dict(request.headers), body))
        await Response(status_code=status)(scope, receive, send)


@dataclass
class Desk:
    """What makes and sends notices, with real servers at the other end."""

    post: Post
    mail: MailServer
    receiver: Receiver
    url: str
    notices: Notices = field(init=False)
    addresses: AddressBook = field(init=False)
    reach: dict[str, Reach] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        database, clock = self.post.yard.database, self.post.yard.clock
        ports = [self.mail.port, int(self.url.rpartition(":")[2])]
        caller = Caller(read_policy(ports, ("127.0.0.1",)), timeout_s=5, answer_bytes_max=10_000)
        settings = MailSettings(
            host="127.0.0.1", port=self.mail.port, security="none", sender="suyuan@city.test"
        )
        self.notices = Notices(
            database,
            clock,
            zone=ZONE,
            watch=WATCH,
            rights=lambda principal, _account: self.reach.get(principal, EVERYTHING),
            outbound=caller,
            mail=Mailer(settings, None),
            seal=OpenSeal(),
            base_url=BASE_URL,
        )
        self.addresses = AddressBook(
            database,
            clock,
            check=caller.check,
            seal=OpenSeal(),
            mail=True,
            zone=ZONE,
            base_url=BASE_URL,
        )

    def granted(self) -> Granted:
        return self.post.yard.who("notices.write", "gas-a", "enterprise_manager")

    async def tell(self, **fields: Any) -> None:
        given = {"channel": "mail", "address": "boss@gas-a.test", "language": "en"}
        body = NoticeToBody(**{**given, **fields})
        await self.addresses.add(self.granted(), body)

    async def at(self, day: str, hour: int = 8, minute: int = 0) -> None:
        moment = datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=ZONE)
        self.post.yard.clock.set_wall(round(moment.timestamp() * 1_000))
        await self.post.watch.look()
        await self.notices.look()

    def raise_urgent(self, subject: str, key: str = "1") -> None:
        now_ms = self.post.yard.clock.wall_ms()
        alarms = CaseAlarms(WATCH, lambda _connection, _transitions: None)
        day = datetime.fromtimestamp(now_ms / 1_000, ZONE).date()
        raised = [Raised(subject, Entry("overfilled", key, day), "gas-a")]
        self.post.yard.database.write_now(lambda c: alarms.raise_new(c, raised, now_ms))

    def states(self) -> list[tuple[str, int]]:
        query = select(cylinder_notice).order_by(cylinder_notice.c.id)
        rows = self.post.yard.database.read_now(lambda c: c.execute(query).all())
        return [(row.state, row.attempts) for row in rows]


@pytest.fixture
async def desk(yard: Yard) -> AsyncIterator[Desk]:
    receiver = Receiver()
    async with mail_server() as mail, serve(receiver, asyncio.Event()) as url:
        yield Desk(Post(yard), mail, receiver, url)


async def bottles(desk: Desk, count: int = 3) -> None:
    for number in range(count):
        file = file_of(number)
        yard = desk.post.yard
        await yard.cylinders.register(yard.filler(), code_of(number), file, DISTRICT)


async def test_one_notice_a_day_with_counts_and_a_link(desk: Desk) -> None:
    await bottles(desk)
    await desk.at("2027-12-30")
    await desk.tell()
    await desk.at("2028-01-01")
    await desk.at("2028-01-01", hour=20)
    (mail,) = desk.mail.taken
    assert mail["To"] == "boss@gas-a.test"
    assert mail["Subject"] == "Cylinders, 2028-01-01: 3 new on the work lists"
    text = mail.get_content()
    assert "Inspection due soon within 90 days: 3" in text
    assert f"{BASE_URL}/cylinder-cases" in text
    assert code_of(0) not in text
    await desk.at("2028-01-02")
    await desk.at("2028-03-01")
    assert len(desk.mail.taken) == 2


async def test_chinese(desk: Desk) -> None:
    await bottles(desk, 1)
    await desk.tell(language="zh")
    await desk.at("2028-01-01")
    (mail,) = desk.mail.taken
    assert mail["Subject"] == "气瓶工作清单 2028-01-01：新增 1 项"
    assert "即将到检（90 天内）：1" in mail.get_content()


async def test_what_is_urgent_is_told_at_once_and_not_again_and_again(desk: Desk) -> None:
    await bottles(desk, 1)
    await desk.at("2026-04-10")
    await desk.tell()
    desk.raise_urgent(CODE, "1")
    await desk.at("2026-04-10", hour=9)
    assert CODE in desk.mail.taken[0].get_content()
    desk.raise_urgent(CODE, "2")
    await desk.at("2026-04-10", hour=9, minute=5)
    assert len(desk.mail.taken) == 1
    await desk.at("2026-04-10", hour=9, minute=20)
    assert len(desk.mail.taken) == 2
    desk.restart()
    await desk.at("2026-04-10", hour=15)
    assert len(desk.mail.taken) == 2


async def test_a_call_is_signed(desk: Desk) -> None:
    await bottles(desk, 1)
    await desk.tell(channel="webhook", address=f"{desk.url}/hook", secret=SECRET)
    await desk.at("2028-01-01")
    ((headers, body),) = desk.receiver.taken
    assert headers["suyuan-signature"] == signature(SECRET, body)
    told = json.loads(body)
    assert (told["new"], told["organisation"]) == ({"due_90": 1}, "gas-a")
    assert headers["suyuan-notice"] == str(told["id"])


async def test_a_server_that_is_away_gets_one_notice_of_all_when_it_is_back(desk: Desk) -> None:
    await bottles(desk, 2)
    await desk.tell(channel="webhook", address=f"{desk.url}/hook")
    desk.receiver.statuses = [503, 500, 429]
    await desk.at("2028-01-01", hour=8)
    await desk.at("2028-01-01", hour=8, minute=1)
    desk.raise_urgent(code_of(0))
    desk.restart()
    await desk.at("2028-01-01", hour=9)
    assert not desk.receiver.taken
    assert desk.states() == [("waiting", 3)]
    await desk.at("2028-01-01", hour=12)
    await desk.at("2028-01-01", hour=13)
    told = [json.loads(body)["new"] for _, body in desk.receiver.taken]
    assert told == [{"due_90": 2}, {"overfilled": 1}]
    assert [state for state, _ in desk.states()] == ["sent", "sent"]


async def test_after_so_many_attempts_it_is_given_up_and_the_next_is_made(desk: Desk) -> None:
    await bottles(desk, 1)
    await desk.tell()
    desk.mail.answers = ["550 no such user"] * WATCH.notices.attempts
    await desk.at("2028-01-01", hour=1)
    for _ in range(WATCH.notices.attempts):
        desk.post.yard.clock.advance(3_700_000)
        await desk.notices.look()
    assert desk.states() == [("given_up", WATCH.notices.attempts)]
    (address,) = await desk.addresses.find(desk.granted())
    assert (address.state, address.error) == (
        "given_up",
        "bad_address: 550 no such user",
    )
    desk.raise_urgent(code_of(0))
    await desk.at("2028-01-02")
    assert len(desk.mail.taken) == 1


@pytest.mark.parametrize(
    ("answer", "error"), [("550 no such user", RefuseInput), ("450 busy", RetryLater)]
)
async def test_what_a_mail_server_says(desk: Desk, answer: str, error: type[Exception]) -> None:
    desk.mail.answers = [answer]
    settings = MailSettings(
        host="127.0.0.1", port=desk.mail.port, security="none", sender="a@b.test"
    )
    with pytest.raises(error):
        await Mailer(settings, None).send("x@y.test", "s", "t", message_id="<1@x>")
    with pytest.raises(RefuseInput):
        await Mailer(settings, None).send("x@y.test\r\nBcc: z@y.test", "s", "t", message_id="<1@x>")
    away = MailSettings(host="127.0.0.1", port=1, security="none", sender="a@b.test")
    with pytest.raises(RetryLater):
        await Mailer(away, None).send("x@y.test", "s", "t", message_id="<1@x>")


async def test_each_is_told_of_what_it_may_see(desk: Desk) -> None:
    await bottles(desk, 2)
    await desk.tell()
    desk.reach["account:7"] = Reach(organisations=frozenset({"gas-b"}))
    await desk.at("2028-01-01")
    assert not desk.mail.taken


async def test_three_hundred_thousand_due_are_one_mail(desk: Desk) -> None:
    """With a hundredth of that: nothing in it grows with the number but the counts."""
    database, count = desk.post.yard.database, 3_000
    await bottles(desk, 1)
    await desk.at("2027-12-30")
    await desk.tell()
    desk.reach["account:7"] = Reach(organisations=frozenset({"gas-a"}))
    alarms = CaseAlarms(WATCH, lambda _connection, _transitions: None)
    day = datetime(2028, 1, 30, tzinfo=ZONE).date() + timedelta(days=60)
    names = [f"cylinder:bulk{number:06}" for number in range(count)]
    entry = Entry("due", f"{day}:90", day, 90)
    placed: dict[str, Any] = {"kind": "cylinder", "name": "", "gateways": "[]", "attributes": "{}"}
    placed |= {"district": "", "category": "", "updated_at": 0}

    def work(connection: Any) -> None:
        rows = [{**placed, "asset_id": name} for name in names]
        connection.execute(insert(asset), rows)
        parties = [{"asset_id": name, "part": "filler", "organisation": "gas-a"} for name in names]
        connection.execute(insert(asset_party), parties)
        alarms.raise_new(connection, [Raised(name, entry) for name in names], 0)

    database.write_now(work)
    await desk.at("2028-01-01")
    (mail,) = desk.mail.taken
    assert f"within 90 days: {count + 1}" in mail.get_content()
    assert len(mail.get_content()) < 500


async def test_an_organisation_has_so_many_addresses(desk: Desk) -> None:
    for _ in range(ADDRESSES_MAX):
        await desk.tell()
    with pytest.raises(RefuseInput, match="at most"):
        await desk.tell()
    with pytest.raises(RefuseInput, match="bad_address"):
        await desk.tell(channel="webhook", address="http://10.0.0.1/inside")
    found = await desk.addresses.find(desk.granted())
    await desk.addresses.remove(desk.granted(), found[0].id)
    assert len(await desk.addresses.find(desk.granted())) == ADDRESSES_MAX - 1


async def test_an_address_is_tried_at_once_and_not_again_within_the_minute(desk: Desk) -> None:
    await desk.tell()
    await desk.tell(channel="webhook", address=desk.url, secret=SECRET)
    known = await desk.addresses.find(desk.granted())
    for one in known:
        await desk.addresses.test(desk.granted(), one.id)
        with pytest.raises(RefuseInput, match="wrong_state"):
            await desk.addresses.test(desk.granted(), one.id)
    stranger = desk.post.yard.who("notices.write", "gas-b", "enterprise_manager")
    with pytest.raises(RefuseInput, match="not_found"):
        await desk.addresses.test(stranger, known[0].id)
    await desk.notices.look()
    assert [state for state, _ in desk.states()] == ["sent", "sent"]
    (mail,) = desk.mail.taken
    assert mail["Subject"] == "Cylinders: a test of this address"
    ((_, body),) = desk.receiver.taken
    told = json.loads(body)
    assert (told["test"], told["new"], told["urgent"]) == (True, {}, [])
    with pytest.raises(RefuseInput, match="wrong_state"):
        await desk.addresses.test(desk.granted(), known[0].id)
    desk.post.yard.clock.advance(60_000)
    await desk.addresses.test(desk.granted(), known[0].id)
