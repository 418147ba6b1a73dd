"""Partners that are away, in disorder or hostile: told, tried again, and nothing is lost."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from cloud.trace.exchange import pull as pulling
from cloud.trace.exchange.base import Course, Pull, Push
from cloud.trace.exchange.remote import retry_after_s
from cloud.trace.exchange.runner import PAUSE_MAX_S, pause_s
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from tests.support.browser import serve
from tests.support.epcis_bodies import event
from tests.support.exchange import OWNER, Faulty, Side, open_faulty, open_side, results

ALL = Pull(interval_s=60)
GOOD: tuple[int, dict[str, str], Any] = (200, {}, results(event(1)))
JOB_OF_OURS = {"Location": "https://elsewhere.example.com/epcis/capture/1"}


async def course_after(ours: Side, partner: Faulty, base: str, *answers: Any) -> Course:
    one = await ours.link(base, pull=ALL)
    partner.answers = list(answers)
    await ours.exchange.look()
    return (await ours.shown(one)).pulling.course


FAULTS: tuple[tuple[Any, str], ...] = (
    ((500, {}, b"oops"), "away: answered with status 500"),
    ((429, {"Retry-After": "5"}, b""), "away: answered with status 429"),
    ((401, {}, {"title": "no", "detail": "revoked"}), "unauthorised: answered with status 401"),
    ((403, {}, b""), "unauthorised"),
    ((404, {}, b""), "gone"),
    ((200, {}, b"<html>"), "bad_answer: expected JSON"),
    ((200, {}, b"[" * 100_000), "bad_answer: expected JSON"),
    ((200, {}, b"\xff\xfe"), "bad_answer: expected JSON"),
    ((200, {}, [1]), "bad_answer: expected an object"),
    ((200, {}, {"epcisBody": {}}), "found no eventList"),
    ((200, {}, {"epcisBody": 7}), "found no eventList"),
    ((200, {"Content-Encoding": "gzip"}, b"x"), "bad_answer: the answer is packed"),
    ((200, {}, b" " * (17 * 1024 * 1024)), "bad_answer: the answer has more"),
    ((302, {"Location": "http://169.254.169.254/"}, b""), "bad_answer: answered with status"),
    ((307, {"Location": "http://127.0.0.1:1/"}, b""), "bad_answer: answered with status"),
    (
        (200, {"Link": '<http://169.254.169.254/x>; rel="next"'}, results()),
        "bad_answer: it leads to another server",
    ),
    ((200, {"Link": '<https://[x>; rel="next"'}, results()), "it leads to another server"),
    ((200, {}, {**results(event(1)), "type": "Nonsense"}), "the document was refused"),
)
"""What a partner answers, and how it is told."""


async def test_fault_is_told_and_what_comes_later_is_fetched(
    ours: Side, clock: ManualClock
) -> None:
    async with open_faulty() as (partner, base):
        for number, (answer, told) in enumerate(FAULTS):
            partner.otherwise = (200, {}, results(event(number)))
            one = await ours.link(base, pull=ALL)
            partner.answers = [answer]
            await ours.exchange.look()
            course = (await ours.shown(one)).pulling.course
            assert told in course.fault
            assert (course.failures, course.failing_since_ms) == (1, clock.wall_ms())
            clock.advance(10_000)
            await ours.exchange.look()
            assert (await ours.shown(one)).pulling.course.fault == ""
            await ours.partners.set_state(OWNER, one.partner_id, "ending")
        assert await ours.serials() == list(range(len(FAULTS)))
        assert all(target.startswith("/epcis/events?") for _, target, *_ in partner.asked)
        assert {one[2]["gs1-epcis-version"] for one in partner.asked} == {"2.0.0"}


async def test_partner_that_is_silent_is_left_after_a_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    async def silent(scope: Scope, _receive: Receive, _send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(1)

    async with (
        serve(silent, asyncio.Event()) as address,
        open_side(tmp_path / "ours", clock, served=False, timeout_s=0.3) as ours,
    ):
        one = await ours.link(f"{address}/epcis", pull=ALL)
        await ours.exchange.look()
        assert "did not answer within 0.3 s" in (await ours.shown(one)).pulling.course.fault


async def test_partner_that_is_away_for_days_is_never_forgotten(
    ours: Side, clock: ManualClock
) -> None:
    async with open_faulty() as (partner, base):
        one = await ours.link(base, pull=ALL, push=Push())
        await ours.capture(event(7))
        begun_ms = clock.wall_ms()
        for _ in range(80):
            await ours.exchange.look()
            clock.advance(3_600_000)
        shown = await ours.shown(one)
        for course in (shown.pulling.course, shown.pushing.course):
            assert course.failing_since_ms == begun_ms
            assert course.failures > 70
        partner.otherwise = (201, {}, results(event(1)))
        await ours.exchange.look()
        assert await ours.serials() == [7, 1]
        shown = await ours.shown(one)
        assert (shown.pulling.course.fault, shown.pushing.course.fault) == ("", "")
        assert shown.pushing.passed_no == 1


async def test_retry_after_is_heeded(ours: Side, clock: ManualClock) -> None:
    async with open_faulty() as (partner, base):
        partner.otherwise = GOOD
        await course_after(ours, partner, base, (503, {"Retry-After": "7200"}, b""))
        clock.advance(7_000_000)
        await ours.exchange.look()
        assert len(partner.asked) == 1
        clock.advance(300_000)
        await ours.exchange.look()
        assert len(partner.asked) == 2


async def test_page_of_ten_thousand_events_is_taken_in_parts(ours: Side) -> None:
    async with open_faulty() as (partner, base):
        partner.otherwise = (200, {}, results(*(event(n) for n in range(10_001))))
        one = await ours.link(base, pull=ALL)
        await ours.exchange.look()
        assert await ours.serials() == list(range(10_001))
        assert [receipt.stored for receipt in await ours.receipts(one)] == [5_000, 5_000, 1]


async def test_links_that_never_end_do_not_keep_us(
    ours: Side, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "CHAIN_PAGES_MAX", 50)

    class Endless(Faulty):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            said = results(event(len(self.asked)))
            self.otherwise = (200, {"Link": f'<?n={len(self.asked)}>; rel="next"'}, said)
            await super().__call__(scope, receive, send)

    partner = Endless()
    async with serve(partner, asyncio.Event()) as address:
        one = await ours.link(f"{address}/epcis", pull=ALL)
        await ours.exchange.look()
        assert len(partner.asked) == pulling.PAGES_AT_ONCE * pulling.ROUNDS_MAX
        await ours.exchange.look()
        assert "more than 50 pages" in (await ours.shown(one)).pulling.course.fault
        assert await ours.serials() == list(range(50))


async def test_link_to_another_server_is_not_shown_the_credential(ours: Side) -> None:
    async with open_faulty() as (thief, elsewhere), open_faulty() as (partner, base):
        partner.otherwise = (200, {"Link": f'<{elsewhere}/events>; rel="next"'}, results())
        await ours.link(base, pull=ALL)
        push = await ours.link(base, push=Push())
        await ours.capture(event(1))
        partner.otherwise = (202, {"Location": f"{elsewhere}/capture/1"}, b"")
        await ours.exchange.look()
        assert "another server" in (await ours.shown(push)).pushing.course.fault
        partner.otherwise = (302, {"Location": f"{elsewhere}/events"}, b"")
        await ours.link(base, pull=ALL)
        await ours.exchange.look()
        assert thief.asked == []


async def test_address_inside_is_refused_when_it_is_named_and_when_it_is_called(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with (
        open_faulty() as (partner, base),
        open_side(tmp_path / "a", clock, served=False) as side,
    ):
        one = await side.link(base, pull=ALL)
        folder = tmp_path / "b"
        async with open_side(folder, clock, served=False, allowed=()) as strict:
            with pytest.raises(RefuseInput, match="bad_address"):
                await strict.link(base, pull=ALL)
        side.exchange._outbound = strict.exchange._outbound
        await side.exchange.look()
        assert "bad_address" in (await side.shown(one)).pulling.course.fault
        assert partner.asked == []


async def test_answer_that_is_too_large_is_asked_for_in_smaller_pages(
    ours: Side, clock: ManualClock
) -> None:
    async with open_faulty() as (partner, base):
        partner.otherwise = GOOD
        large: Any = (200, {}, b" " * (17 * 1024 * 1024))
        await course_after(ours, partner, base, large)
        clock.advance(10_000)
        await ours.exchange.look()
        sizes = [target.partition("perPage=")[2] for _, target, *_ in partner.asked]
        assert sizes == ["500", "250"]


def test_pauses_grow_are_spread_and_bounded() -> None:
    rng = random.Random(1)
    for failures, longest in ((1, 2), (2, 4), (5, 32), (50, PAUSE_MAX_S)):
        assert all(longest / 2 <= pause_s(failures, rng) <= longest for _ in range(20))


def test_retry_after_in_seconds_or_as_a_date_and_a_day_at_most() -> None:
    date = "Thu, 26 Nov 2026 08:00:00 GMT"
    assert retry_after_s("120", "") == 120
    assert retry_after_s("Thu, 26 Nov 2026 08:01:00 GMT", date) == 60
    assert retry_after_s("Thu, 26 Nov 2026 07:00:00 GMT", date) == 0
    assert retry_after_s("999999999", "") == 86_400
    assert [retry_after_s(text, date) for text in ("", "soon", "-5")] == [0, 0, 0]
