"""What a partner has comes over: all of it, once, in pages, and through any end of ours."""

from typing import Any

import msgspec
import pytest

from cloud.model.principal import EVERYTHING
from cloud.roles.exchange import guarded
from cloud.trace.exchange import pull as pulling
from cloud.trace.exchange.base import PAGE_EVENTS, Partner, Pull, Pulling
from cloud.trace.exchange.pull import as_parameters, broken, first_page, follow, parts
from cloud.trace.exchange.remote import Failed, Page, Repository
from cloud.trace.exchange.rows import Hand
from cloud.trace.exchange.runner import LOST_S
from protocols.clock import ManualClock
from tests.support.epcis_bodies import event
from tests.support.exchange import OWNER, PLATFORM, Side, open_faulty, results
from tests.support.trace_world import PromptCaptures

both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
SHIPPED = Pull(parameters={"EQ_bizStep": "shipping"}, interval_s=60, overlap_s=60)


async def link(ours: Side, theirs: Side, pull: Pull = SHIPPED, **more: Any) -> Partner:
    return await ours.link(f"{theirs.address}/epcis", pull=pull, **more)


@both
async def test_what_is_there_and_what_comes_is_fetched_once(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    await theirs.capture(*(event(n) for n in range(5)), event(5, bizStep="packing"))
    one = await link(ours, theirs)
    await ours.exchange.look()
    assert await ours.serials() == [0, 1, 2, 3, 4]
    assert {event.organisation for event in await ours.stored()} == {OWNER}
    shown = await ours.shown(one)
    assert shown.pulling.cursor_ms == clock.wall_ms() == shown.pulling.course.success_at_ms
    clock.advance(30_000)
    await theirs.capture(event(6))
    await ours.exchange.look()  # too early
    assert len(await ours.serials()) == 5
    clock.advance(30_000)
    await ours.exchange.look()
    assert await ours.serials() == [0, 1, 2, 3, 4, 6]
    [first, second] = await ours.receipts(one)
    assert (first.kind, first.state, first.events, first.stored) == ("pulled", "done", 5, 5)
    assert (second.stored, second.duplicates) == (1, 5)
    job = await ours.trace.captures.job(second.url.rpartition("/")[2], scope=EVERYTHING)
    assert (job.stored, job.by) == (1, one.by)


async def test_quiet_partner_makes_no_receipts(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    await theirs.capture(event(1))
    one = await link(ours, theirs)
    for _ in range(4):
        await ours.exchange.look()
        clock.advance(60_000)
    assert len(await ours.receipts(one)) == 1


@both
async def test_pages_are_followed_to_the_end_over_several_turns(
    ours: Side, theirs: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PAGES_AT_ONCE", 2)
    monkeypatch.setattr(pulling, "ROUNDS_MAX", 1)
    await theirs.capture(*(event(n) for n in range(23)))
    one = await link(ours, theirs)
    await _smaller(ours, one, 5)
    for turn in (10, 20, 23):
        await ours.exchange.look()
        assert len(await ours.serials()) == turn
    assert await ours.serials() == list(range(23))
    assert (await ours.shown(one)).pulling.next_url == ""


async def test_chain_whose_token_has_expired_goes_on_at_the_cursor(
    ours: Side, theirs: Side, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PAGES_AT_ONCE", 2)
    monkeypatch.setattr(pulling, "ROUNDS_MAX", 1)
    for n in range(9):
        await theirs.capture(event(n))
        clock.advance(120_000)
    one = await link(ours, theirs)
    await _smaller(ours, one, 3)
    await ours.exchange.look()
    assert len(await ours.serials()) == 6
    clock.advance(2 * 3_600_000)  # tokens are good for an hour
    await ours.exchange.look()
    assert await ours.serials() == list(range(9))
    [*_, last] = await ours.receipts(one)
    assert last.duplicates <= 3, "it began anew from the start"
    assert (await ours.shown(one)).pulling.course.fault == ""


async def test_named_query_is_asked_by_its_parameters_and_a_cursor(
    ours: Side, theirs: Side, clock: ManualClock
) -> None:
    query = {
        "@context": {"ex": "https://ns.example.com/"},
        "EQ_bizStep": ["shipping", "receiving"],
        "EXISTS_ex:lot": "",
        "orderBy": "eventTime",
        "eventCountLimit": 1,
    }
    await theirs.query("moved", query, PLATFORM)
    lot = {"@context": {"ex": "https://ns.example.com/"}, "ex:lot": "1"}
    await theirs.capture(event(1, **lot), event(2))
    await theirs.capture(event(3, **lot, bizStep="receiving"))
    one = await link(ours, theirs, Pull(query_name="moved"))
    await ours.exchange.look()
    assert (await ours.shown(one)).pulling.course.fault == ""
    assert await ours.serials() == [1, 3]


@both
async def test_end_between_capture_and_cursor_loses_and_doubles_nothing(
    ours: Side, theirs: Side, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await theirs.capture(*(event(n) for n in range(12)))
    one = await link(ours, theirs)
    await _smaller(ours, one, 4)
    real = pulling.Puller._passed

    async def ends(*_: object) -> None:
        raise SystemError("the process ends here")

    monkeypatch.setattr(pulling.Puller, "_passed", ends)
    with pytest.raises(ExceptionGroup):
        await ours.exchange.look()
    assert await ours.serials() == list(range(12))
    assert (await ours.shown(one)).pulling.cursor_ms is None
    monkeypatch.setattr(pulling.Puller, "_passed", real)
    await theirs.capture(event(12))
    clock.advance(int(LOST_S * 1000))
    await ours.exchange.look()
    assert await ours.serials() == list(range(13))
    receipts = await ours.receipts(one)
    assert {receipt.state for receipt in receipts} == {"done"}
    assert sum(receipt.stored for receipt in receipts) == 13


@both
async def test_two_that_run_the_same_partner_do_not_both_fetch(ours: Side, theirs: Side) -> None:
    await theirs.capture(*(event(n) for n in range(3)))
    one = await link(ours, theirs)
    stale = await ours.shown(one)
    await ours.exchange.look()
    await ours.exchange._serve(stale, 0)  # as of a process that slept since it looked
    assert len(await ours.receipts(one)) == 1


async def test_bad_events_are_told_and_hinder_none(ours: Side) -> None:
    good, bad = event(1), event(2, action="MOVE")
    async with open_faulty() as (partner, base):
        partner.otherwise = (200, {}, results(good, bad, event(3)))
        one = await ours.link(base, pull=SHIPPED)
        await ours.exchange.look()
        [receipt] = await ours.receipts(one)
    assert await ours.serials() == [1, 3]
    assert (receipt.state, receipt.stored, receipt.refused) == ("refused", 2, 1)
    assert receipt.faults[0]["pointer"].endswith("/eventList/1/action")


async def test_jobs_that_take_long_are_waited_for_and_nothing_is_fetched_again(
    ours: Side, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    captures = ours.trace.captures
    assert isinstance(captures, PromptCaptures)
    work = captures.run_waiting

    async def rest() -> None:
        return None

    monkeypatch.setattr(captures, "run_waiting", rest)
    monkeypatch.setattr(pulling, "JOB_WAIT_S", 0.2)
    async with open_faulty() as (partner, base):
        partner.otherwise = (200, {}, results(event(1, recordTime="2025-01-01T00:00:00Z")))
        one = await ours.link(base, pull=SHIPPED)
        await ours.exchange.look()
        assert (await ours.shown(one)).pulling.cursor_ms is None
        await work()
        clock.advance(2_000)
        await ours.exchange.look()
        shown = await ours.shown(one)
        assert (shown.pulling.cursor_ms, shown.pulling.then) == (1_735_689_600_000, None)
        assert len(partner.asked) == 1


async def test_defect_in_one_partners_turn_hinders_no_other(
    ours: Side, theirs: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    await theirs.capture(event(1))
    broken_one = await link(ours, theirs)
    await link(ours, theirs)
    real = pulling.Puller.run

    async def fails(self: pulling.Puller, hand: Hand, repository: Repository) -> None:
        if hand.partner.partner_id == broken_one.partner_id:
            raise ZeroDivisionError
        await real(self, hand, repository)

    monkeypatch.setattr(pulling.Puller, "run", fails)
    monkeypatch.setattr(ours.exchange, "_guarded", guarded)
    await ours.exchange.look()
    assert await ours.serials() == [1]
    shown = await ours.shown(broken_one)
    assert shown.pull_at_ms > shown.created_at_ms, "it is tried again at once, for ever"


async def test_tolerances_are_those_of_the_partner(ours: Side) -> None:
    odd = event(epcList=["https://id.gs1.org/01/06901234567890/21/1"])  # a wrong check digit
    async with open_faulty() as (partner, base):
        partner.otherwise = (200, {}, results(odd))
        for tolerances, stored in (("strict", 0), ("", 1)):
            one = await ours.link(base, pull=SHIPPED, tolerances=tolerances)
            await ours.exchange.look()
            [receipt] = await ours.receipts(one)
            assert (receipt.stored, receipt.refused) == (stored, 1 - stored)


async def test_partner_that_is_paused_is_left_alone_and_goes_on_later(
    ours: Side, theirs: Side
) -> None:
    one = await link(ours, theirs)
    await ours.partners.set_state(OWNER, one.partner_id, "paused")
    await theirs.capture(event(1))
    await ours.exchange.look()
    assert await ours.serials() == []
    await ours.partners.set_state(OWNER, one.partner_id, "active")
    await ours.exchange.look()
    assert await ours.serials() == [1]


async def _smaller(ours: Side, one: Partner, size: int) -> None:
    state = msgspec.structs.replace(one.pulling, size=size)
    text = msgspec.json.encode(state).decode()
    sql = f"UPDATE trace_partner SET pulling = '{text}'"
    ours.database.write_now(lambda c: c.exec_driver_sql(sql))


def page(*seconds: int, more: bool = False) -> Page:
    events = [{"recordTime": f"2026-01-01T00:00:{one:02}Z"} for one in seconds]
    document = {"epcisBody": {"eventList": events}}
    link = "https://a.example.com/next" if more else ""
    return Page(document=document, events=events, next_url=link, digest=str(seconds))


NOW_MS = 1_800_000_000_000
START_MS = 1_767_225_600_000


def test_cursor_moves_at_the_end_of_a_chain_whatever_its_order() -> None:
    state = follow(Pulling(), page(9, 3, more=True), "recordTime", NOW_MS)
    assert (state.cursor_ms, state.pages, state.ordered) == (None, 1, False)
    state = follow(state, page(5), "recordTime", NOW_MS)
    assert state.cursor_ms == START_MS + 9_000
    assert (state.pages, state.high_ms, state.next_url) == (0, None, "")
    assert follow(state, page(1), "recordTime", NOW_MS).cursor_ms == START_MS + 9_000


def test_chain_that_breaks_moves_the_cursor_only_where_it_came_in_order() -> None:
    ordered = follow(Pulling(), page(1, 2, more=True), "recordTime", NOW_MS)
    ordered = follow(ordered, page(2, 4, more=True), "recordTime", NOW_MS)
    assert broken(ordered, NOW_MS).cursor_ms == START_MS + 4_000
    mixed = follow(ordered, page(3, more=True), "recordTime", NOW_MS)
    assert broken(mixed, NOW_MS).cursor_ms is None


def test_clock_of_a_partner_that_is_ahead_hides_nothing() -> None:
    state = follow(Pulling(), page(9), "recordTime", START_MS)
    assert state.cursor_ms == START_MS


def test_events_without_the_time_move_no_cursor() -> None:
    events = [{"type": "ObjectEvent"}]
    one = Page(document={}, events=events, next_url="", digest="")
    assert follow(Pulling(), one, "recordTime", NOW_MS).cursor_ms is None


def test_pages_that_never_end_are_a_fault() -> None:
    state = follow(Pulling(), page(more=True), "recordTime", NOW_MS)
    with pytest.raises(Failed, match="again and again"):
        follow(state, page(more=True), "recordTime", NOW_MS)


def test_a_chain_begins_at_the_cursor_less_the_overlap() -> None:
    pull = Pull(parameters={"GE_recordTime": "2026-01-01T00:00:00Z", "orderBy": "eventTime"})
    asked = first_page(pull.parameters, pull, Pulling(cursor_ms=START_MS + 400_000))
    assert asked == {
        "GE_recordTime": "2026-01-01T00:01:40.000Z",
        "orderBy": "recordTime",
        "orderDirection": "ASC",
        "perPage": str(PAGE_EVENTS),
    }
    early = first_page(pull.parameters, pull, Pulling(cursor_ms=START_MS - 400_000))
    assert early["GE_recordTime"] == "2026-01-01T00:00:00Z"


def test_named_query_as_parameters() -> None:
    query = {"@context": [{"ex": "https://e.example.com/"}], "EQ_a": ["x", "y"], "GE_b": 2.5}
    expected = {"EQ_a": "x|y", "GE_b": "2.5"}
    assert as_parameters(query) == (expected, "ex=https://e.example.com/")


def test_page_with_more_events_than_one_capture_takes_is_parted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulling, "PART_EVENTS_MAX", 2)
    whole = page(1, 2, 3)
    found = [
        (len(msgspec.json.decode(body)["epcisBody"]["eventList"]), n) for body, n in parts(whole)
    ]
    assert found == [(2, 2), (1, 1)]
    assert len(whole.events) == 3
