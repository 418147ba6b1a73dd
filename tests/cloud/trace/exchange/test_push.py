"""What we have goes over: in order, once, nothing held up by what is bad, nothing sent back."""

from typing import Any

import pytest

from cloud.model.principal import NOTHING
from cloud.model.principal import Scope as Reach
from cloud.trace.exchange import push as pushing
from cloud.trace.exchange.base import Pull, Push
from cloud.trace.exchange.push import outcome_of, refused_of
from cloud.trace.exchange.remote import TheirJob
from cloud.trace.exchange.runner import LOST_S
from protocols.clock import ManualClock
from tests.support.epcis_bodies import event
from tests.support.exchange import OWNER, Faulty, Side, open_faulty

both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
WHOLE = Push(whole=True)


@both
async def test_what_comes_after_it_was_registered_is_sent_once_in_order(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    await ours.capture(event(0))
    one = await ours.link(f"{theirs.address}/epcis", push=Push())
    await ours.capture(*(event(n) for n in range(1, 5)))
    for _ in range(2):
        await ours.exchange.look()
        clock.advance(60_000)
    assert await theirs.serials() == [1, 2, 3, 4]
    [receipt] = await ours.receipts(one)
    assert (receipt.kind, receipt.state, receipt.events, receipt.last_no) == (
        "pushed",
        "done",
        4,
        5,
    )
    assert receipt.url.startswith(f"{theirs.address}/epcis/capture/")
    shown = await ours.shown(one)
    assert shown.pushing.passed_no == 5
    assert await ours.partners.waiting(shown) == 0


async def test_whole_history_is_sent_where_asked_in_documents_of_bounded_size(
    ours: Side, theirs: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "DOCUMENT_BYTES_MAX", 2_000)
    await ours.capture(*(event(n) for n in range(30)))
    one = await ours.link(f"{theirs.address}/epcis", push=WHOLE)
    for _ in range(10):
        await ours.exchange.look()
    assert await theirs.serials() == list(range(30))
    assert max(receipt.events for receipt in await ours.receipts(one)) < 10


async def test_what_is_sent_is_what_the_query_and_the_rights_admit(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    await ours.query("packed", {"EQ_bizStep": ["packing"]}, OWNER)
    one = await ours.link(f"{theirs.address}/epcis", push=Push(query_name="packed"))
    ours.reach["account:1"] = Reach(organisations=frozenset({OWNER}))
    await ours.capture(event(1), event(2, bizStep="packing"))
    await ours.capture(event(3, bizStep="packing"), organisation="firm-b")
    await ours.exchange.look()
    assert await theirs.serials() == [2]
    ours.reach["account:1"] = NOTHING
    await ours.capture(event(4, bizStep="packing"))
    await ours.exchange.look()
    assert "no_rights" in (await ours.shown(one)).pushing.course.fault
    ours.reach["account:1"] = Reach(organisations=frozenset({OWNER}))
    clock.advance(60_000)
    await ours.exchange.look()
    assert await theirs.serials() == [2, 4]


async def test_extensions_arrive_with_their_namespaces(ours: Side, theirs: Side) -> None:
    own = {"@context": {"ex": "https://ns.example.com/"}, "ex:lot": "7"}
    await ours.link(f"{theirs.address}/epcis", push=Push())
    await ours.capture(event(1, **own))
    await ours.exchange.look()
    assert [one.hash for one in await theirs.stored()] == [one.hash for one in await ours.stored()]


@both
async def test_events_of_a_partner_are_not_sent_back_to_it(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    await theirs.capture(event(1), event(2))
    one = await ours.link(f"{theirs.address}/epcis", pull=Pull(), push=WHOLE)
    await ours.exchange.look()
    await ours.capture(event(3))
    clock.advance(60_000)
    await ours.exchange.look()
    assert await theirs.serials() == [1, 2, 3]
    sent = [receipt for receipt in await ours.receipts(one) if receipt.kind == "pushed"]
    assert [(receipt.events, receipt.duplicates) for receipt in sent] == [(1, 0)]


async def test_what_is_refused_alone_is_told_and_passed(ours: Side, theirs: Side) -> None:
    await theirs.capture(event(9, eventID="urn:uuid:831c0292-4de1-430a-8255-2aca821abaab"))
    one = await ours.link(f"{theirs.address}/epcis", push=Push())
    taken = {"eventID": "urn:uuid:831c0292-4de1-430a-8255-2aca821abaab"}
    await ours.capture(event(1), event(2, **taken), event(3))
    await ours.exchange.look()
    assert await theirs.serials() == [9, 1, 3]
    [receipt] = await ours.receipts(one)
    assert (receipt.state, receipt.events, receipt.refused) == ("refused", 3, 1)
    assert receipt.faults[0]["rule"] == "event_id_taken"


async def test_document_that_is_rolled_back_is_sent_in_halves_until_the_bad_stands_alone(
    ours: Side,
) -> None:
    async with open_faulty() as (partner, base):
        partner.captures, partner.bad = True, frozenset({5, 11})
        one = await ours.link(base, push=WHOLE)
        await ours.capture(*(event(n) for n in range(16)))
        for _ in range(4):
            await ours.exchange.look()
        assert partner.taken == [n for n in range(16) if n not in (5, 11)]
        receipts = await ours.receipts(one)
        alone = [receipt for receipt in receipts if receipt.state == "refused"]
        assert [(one.events, one.refused, one.last_no) for one in alone] == [(1, 1, 6), (1, 1, 12)]
        assert alone[0].faults[0]["detail"] == "an item that is not known"
        assert (await ours.shown(one)).pushing.passed_no == 16


async def test_partner_that_refuses_everything_is_sent_one_at_a_time_and_slowly(
    ours: Side, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "REFUSED_MAX", 3)
    async with open_faulty() as (partner, base):
        partner.otherwise = (400, {}, {"title": "no"})
        one = await ours.link(base, push=WHOLE)
        await ours.capture(*(event(n) for n in range(8)))
        await ours.exchange.look()
        await ours.exchange.look()
        shown = await ours.shown(one)
        assert shown.pushing.passed_no == 3
        assert "one by one" in shown.pushing.course.fault
        clock.advance(60_000)
        await ours.exchange.look()
        assert (await ours.shown(one)).pushing.passed_no == 4


@both
async def test_end_between_their_job_and_our_cursor_sends_again_what_they_know(
    ours: Side, theirs: Side, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await ours.link(f"{theirs.address}/epcis", push=Push())
    await ours.capture(event(1), event(2))
    real = pushing.Pusher._sent

    async def ends(*_: object) -> None:
        raise SystemError("the process ends here")

    monkeypatch.setattr(pushing.Pusher, "_sent", ends)
    with pytest.raises(ExceptionGroup):
        await ours.exchange.look()
    assert await theirs.serials() == [1, 2]
    assert (await ours.shown(one)).pushing.passed_no == 0
    monkeypatch.setattr(pushing.Pusher, "_sent", real)
    await ours.capture(event(3))
    clock.advance(int(LOST_S * 1000))
    await ours.exchange.look()
    assert await theirs.serials() == [1, 2, 3]
    assert (await ours.shown(one)).pushing.passed_no == 3


async def test_job_that_runs_is_looked_at_later_and_one_that_is_gone_is_sent_again(
    ours: Side, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "JOB_LOOKS", 1)
    async with open_faulty() as (partner, base):
        one = await ours.link(base, push=Push())
        await ours.capture(event(1))
        running = {"running": True, "success": True}
        partner.answers = [_taken("a"), (200, {}, running)]
        await ours.exchange.look()
        shown = await ours.shown(one)
        assert (shown.pushing.passed_no, shown.pushing.job_url) == (0, f"{base}/capture/a")
        partner.answers = [(404, {}, b"")]
        clock.advance(6_000)
        await ours.exchange.look()
        assert "gone" in (await ours.shown(one)).pushing.course.fault
        partner.answers = [_taken("b"), (200, {}, {"running": False, "success": True})]
        clock.advance(6_000)
        await ours.exchange.look()
        assert (await ours.shown(one)).pushing.passed_no == 1
        assert [receipt.state for receipt in await ours.receipts(one)] == ["split", "done"]
        assert _documents(partner) == 2


async def test_413_and_no_job_at_all(ours: Side) -> None:
    async with open_faulty() as (partner, base):
        one = await ours.link(base, push=Push())
        await ours.capture(event(1), event(2))
        partner.answers = [(413, {}, b""), (201, {}, b""), (201, {}, b"")]
        await ours.exchange.look()
        receipts = await ours.receipts(one)
        assert [(one.state, one.events) for one in receipts] == [
            ("split", 2),
            ("done", 1),
            ("done", 1),
        ]


def test_what_a_job_makes_of_a_document() -> None:
    def job(success: bool, proceeds: bool, *errors: Any) -> TheirJob:
        return TheirJob(running=False, success=success, proceeds=proceeds, errors=list(errors))

    cases = (
        (job(True, False), 5, "done"),
        (job(False, True), 5, "refused"),
        (job(False, False), 5, "split"),
        (job(False, False), 1, "refused"),
    )
    for one, sent, expected in cases:
        assert outcome_of(one, sent) == expected
    at = "/epcisBody/eventList/{}/action".format
    told = job(False, True, {"pointer": at(1)}, {"pointer": at(1)}, {"pointer": at(2)}, {})
    assert [refused_of(told, 5), refused_of(job(False, True), 5)] == [2, 1]


def _taken(name: str) -> tuple[int, dict[str, str], bytes]:
    return 202, {"Location": f"/epcis/capture/{name}"}, b""


def _documents(partner: Faulty) -> int:
    return sum(method == "POST" for method, *_ in partner.asked)
