"""A partner calls us: signed, durable before it is answered, renewed when it is lost, ended."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cloud.trace.delivery import signature
from cloud.trace.exchange import pull as pulling
from cloud.trace.exchange.base import Partner, Pull, Push
from cloud.trace.exchange.book import PartnerBook
from protocols.clock import ManualClock
from tests.support.epcis_bodies import event
from tests.support.exchange import OWNER, PLATFORM, Side, open_faulty, open_side, results
from tests.support.trace_world import OpenSeal

SHIPPED = Pull(query_name="shipped", subscribe=True, interval_s=60)
both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def ours(tmp_path: Path, clock: ManualClock, database_url: str) -> AsyncIterator[Side]:
    async with open_side(tmp_path / "ours", clock, database_url=database_url) as side:
        yield side


async def subscribe(ours: Side, theirs: Side, **more: Any) -> Partner:
    """Register a partner whose query we subscribe to; what is there is fetched."""
    await theirs.query("shipped", {"EQ_bizStep": ["shipping"]}, PLATFORM)
    base = f"{theirs.address}/epcis"
    one = await ours.link(base, pull=SHIPPED, **more)
    await ours.exchange.look()
    shown = await ours.shown(one)
    assert (shown.subscribed.fault, shown.pulling.course.fault) == ("", "")
    assert shown.subscribed.url.startswith(f"{base}/queries/shipped/subscriptions/")
    return shown


async def call(ours: Side, one: Partner, body: bytes, **headers: str) -> httpx.Response:
    secret = OpenSeal().open(one.subscribed.sealed)
    given = {
        "Content-Type": "application/json",
        "GS1-Signature": signature(secret, body),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    where = f"/api/v1/partner-events/{one.partner_id}"
    async with httpx.AsyncClient(base_url=ours.address) as client:
        return await client.post(where, content=body, headers=given)


@both
async def test_new_events_are_brought_and_looking_becomes_rare(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    await theirs.capture(event(1))
    one = await subscribe(ours, theirs)
    await theirs.capture(event(2), event(3, bizStep="packing"))
    await theirs.deliveries.look()
    assert await ours.serials() == [1, 2]
    await ours.exchange.look()
    [_, brought] = await ours.receipts(one)
    assert (brought.kind, brought.state, brought.stored) == ("notified", "done", 1)
    shown = await ours.shown(one)
    assert shown.heard_at_ms == clock.wall_ms()
    await theirs.capture(event(4))  # is not brought
    clock.advance(60_000 * pulling.SUBSCRIBED_TIMES - 1)
    await ours.exchange.look()
    assert await ours.serials() == [1, 2]
    clock.advance(60_000)
    await ours.exchange.look()
    assert await ours.serials() == [1, 2, 4]


async def test_events_that_a_subscription_brought_are_not_sent_back(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    one = await subscribe(ours, theirs, push=Push())
    await theirs.capture(event(1))
    await theirs.deliveries.look()
    await ours.capture(event(2))
    clock.advance(1_000)
    await ours.exchange.look()
    sent = [receipt for receipt in await ours.receipts(one) if receipt.kind == "pushed"]
    assert [receipt.events for receipt in sent] == [1]


async def test_call_that_is_not_signed_by_our_secret_is_refused(ours: Side, theirs: Side) -> None:
    one = await subscribe(ours, theirs)
    body = httpx.Request("POST", "http://x", json=results(event(1))).content
    good = await call(ours, one, body)
    assert good.status_code == 204
    for signed in ("", "0" * 64, signature("another", body)):
        answer = await call(ours, one, body, GS1_Signature=signed)
        assert answer.status_code == 403, answer.text
    changed = await call(ours, one, body + b" ", GS1_Signature=signature("x", body))
    assert changed.status_code == 403
    nobody = msgspec.structs.replace(one, partner_id="nobody")
    assert (await call(ours, nobody, body)).status_code == 404
    plain = await call(ours, one, body, Content_Type="text/plain")
    assert plain.status_code == 415
    assert await ours.serials() == [1]


async def test_call_that_is_too_large_or_comes_while_paused_is_told_so(
    ours: Side, theirs: Side
) -> None:
    one = await subscribe(ours, theirs)
    assert (await call(ours, one, b" " * (4 * 1024 * 1024 + 1))).status_code == 413
    await ours.partners.set_state(OWNER, one.partner_id, "paused")
    body = httpx.Request("POST", "http://x", json=results(event(1))).content
    assert (await call(ours, one, body)).status_code == 503
    await ours.partners.set_state(OWNER, one.partner_id, "active")
    assert (await call(ours, one, body)).status_code == 204


async def test_answer_is_given_only_when_it_is_kept(
    ours: Side, theirs: Side, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    one = await subscribe(ours, theirs)

    async def ends(*_: object, **__: object) -> None:
        raise SystemError("the process ends here")

    real = PartnerBook.hear
    monkeypatch.setattr(PartnerBook, "hear", ends)
    await theirs.capture(event(1))
    await theirs.deliveries.look()
    assert await ours.serials() == []
    monkeypatch.setattr(PartnerBook, "hear", real)
    clock.advance(10_000)
    await theirs.deliveries.look()
    assert await ours.serials() == [1]
    assert len(await ours.receipts(one)) == 1


async def test_subscription_that_the_partner_lost_is_renewed(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    one = await subscribe(ours, theirs)
    theirs.database.write_now(lambda c: c.exec_driver_sql("DELETE FROM trace_subscription"))
    clock.advance(60_000 * pulling.SUBSCRIBED_TIMES)
    await ours.exchange.look()
    shown = await ours.shown(one)
    assert shown.subscribed.url not in ("", one.subscribed.url)
    theirs.database.write_now(
        lambda c: c.exec_driver_sql("UPDATE trace_subscription SET state = 'given_up'")
    )
    clock.advance(60_000 * pulling.SUBSCRIBED_TIMES)
    await ours.exchange.look()
    await theirs.capture(event(1))
    await theirs.deliveries.look()
    assert await ours.serials() == [1]
    assert await _count(theirs) == 1


async def test_subscription_made_just_before_an_end_is_found_again(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    one = await subscribe(ours, theirs)
    lost = '{"sealed": "%s"}' % one.subscribed.sealed  # noqa: UP031
    ours.database.write_now(
        lambda c: c.exec_driver_sql(f"UPDATE trace_partner SET subscribed = '{lost}'")
    )
    await ours.partners.run_now(OWNER, one.partner_id)
    await ours.exchange.look()
    assert (await ours.shown(one)).subscribed.url == one.subscribed.url
    assert await _count(theirs) == 1


async def test_subscription_ends_with_the_partner_and_when_it_is_not_wanted(
    ours: Side, theirs: Side
) -> None:
    one = await subscribe(ours, theirs)
    await ours.partners.set_state(OWNER, one.partner_id, "ending")
    assert (await call(ours, one, b"{}")).status_code == 404
    assert [shown.state for shown in await ours.partners.find(OWNER)] == ["ending"]
    await ours.exchange.look()
    assert await _count(theirs) == 0
    rows = ours.database.read_now(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM trace_partner").scalar()
    )
    assert rows == 0


async def test_partner_that_cannot_be_subscribed_to_is_looked_at_as_before(
    ours: Side, clock: ManualClock
) -> None:
    async with open_faulty() as (partner, base):
        one = await ours.link(base, pull=SHIPPED)
        query: Any = (200, {}, {"name": "shipped", "query": {}})
        refused: Any = (400, {}, {"title": "no webhooks"})
        for n in range(2):
            partner.answers = [(404, {}, b""), refused, query, (200, {}, results(event(n)))]
            await ours.exchange.look()
            clock.advance(60_000)
        shown = await ours.shown(one)
        assert "no webhooks" in shown.subscribed.fault
        assert await ours.serials() == [0, 1]


async def _count(theirs: Side) -> int:
    sql = "SELECT count(*) FROM trace_subscription"
    return int(theirs.database.read_now(lambda c: c.exec_driver_sql(sql).scalar()) or 0)
