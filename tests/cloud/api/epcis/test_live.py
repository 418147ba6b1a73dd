"""Subscriptions over WebSockets: a real server, a client of another hand, a real repository."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIWebSocketRoute
from sqlalchemy import select
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from cloud.access.book import AccessBook
from cloud.api.guard import calls_of, guarded_routes
from cloud.api.rates import Rates
from cloud.api.sockets import Sockets
from cloud.model.people_tables import audit
from cloud.model.principal import Granted
from cloud.model.session import SESSION_COOKIE
from cloud.trace import live
from protocols.clock import iso
from tests.support.epcis import ADMIN, Asked
from tests.support.epcis_bodies import event
from tests.support.people import Door as Porter
from tests.support.people import unnoted
from tests.support.sockets import Line, closing, document, nothing, open_line, serials

QUERY = {"name": "shipped", "query": {"EQ_bizStep": ["shipping"]}}
CALLS = ["trace.read", "trace.subscribe"]


@pytest.fixture
async def line(asked: Asked) -> AsyncIterator[Line]:
    await asked.post("/queries", QUERY)
    async with open_line(asked) as line:
        yield line


def porter(asked: Asked) -> Porter:
    world = asked.world
    access = world.services.access
    assert isinstance(access, AccessBook)
    return Porter(world.database, asked.clock, Path(), world.organisations, access)


async def test_events_come_as_they_are_recorded(line: Line) -> None:
    await line.asked.capture(event(1))
    async with line.follow() as link:
        assert link.response is not None
        headers = link.response.headers
        assert headers["GS1-Query-Min-Record-Time"] == iso(line.asked.clock.wall_ms())
        assert headers["GS1-EPCIS-Version"] == "2.0.0"
        await line.asked.capture(event(2), event(3), event(4, bizStep="receiving"))
        told = await document(link)
        assert told["queryName"] == "shipped"
        assert len(told["subscriptionID"]) == 32
        items = [one["epcList"][0][-1] for one in told["resultsBody"]["eventList"]]
        assert items == ["2", "3"]
        await line.asked.capture(event(5))
        assert await serials(link) == [5]
        assert await nothing(link)


async def test_who_lost_the_connection_goes_on_from_a_record_time(line: Line) -> None:
    asked = line.asked
    for serial in (1, 2, 3):
        await asked.capture(event(serial))
        asked.clock.advance(1_000)
    since = iso(asked.clock.wall_ms() - 2_000)
    async with line.follow(stream="true", initialRecordTime=since) as link:
        assert await serials(link) == [2, 3]
        await asked.capture(event(4))
        assert await serials(link) == [4]


async def test_schedule_tells_what_came_since_and_nothing_where_asked(line: Line) -> None:
    asked = line.asked
    async with (
        line.follow(second="0") as quiet,
        line.follow(second="0", reportIfEmpty="true") as told,
    ):
        await asked.capture(event(1))
        assert await nothing(told)
        asked.clock.advance(60_000)
        assert await serials(quiet) == await serials(told) == [1]
        asked.clock.advance(60_000)
        assert await serials(told) == []
        await asked.capture(event(2))
        assert await nothing(quiet)
        asked.clock.advance(60_000)
        assert await serials(quiet) == await serials(told) == [2]


async def test_nobody_is_told_of_what_is_not_theirs(line: Line) -> None:
    asked = line.asked
    a, b = asked.firm("firm-a"), asked.firm("firm-b")
    for who in (a, b):
        await asked.post("/queries", QUERY, who)
    async with line.follow(a) as of_a, line.follow(b) as of_b, line.follow() as of_all:
        await asked.capture(event(1), who=a)
        await asked.capture(event(2), who=b)
        assert await serials(of_a) == [1]
        assert await serials(of_b) == [2]
        found = await serials(of_all)
        assert found + (await serials(of_all) if len(found) == 1 else []) == [1, 2]
        assert await nothing(of_a)
    problem = await line.refused(asked.firm(role="enterprise_clerk"))
    assert (problem["status"], problem["type"]) == (403, "epcisException:SecurityException")


async def test_who_may_not_read_any_more_is_told_nothing_more(line: Line) -> None:
    asked = line.asked
    firm = asked.firm("firm-a")
    await asked.post("/queries", QUERY, firm)
    async with line.follow(firm) as link:
        await asked.capture(event(1), who=firm)
        assert await serials(link) == [1]
        asked.people._tokens.clear()
        await asked.capture(event(2))
        code, reason = await closing(link)
    assert code == 1008
    assert reason.startswith("no_token")


async def test_revoked_key_ends_it(line: Line) -> None:
    asked, people = line.asked, porter(line.asked)
    number = await people.account("m", "enterprise_manager", organisation="firm-a")
    principal = people.book.principal(number)
    assert principal is not None
    granted = Granted(principal, "keys.write", principal.scope("keys.write"))
    accounts = asked.world.services.accounts
    token, key = await accounts.make_key("k", CALLS, 30, granted, unnoted)
    who = {"Authorization": f"Bearer {token}"}
    await asked.post("/queries", QUERY, asked.firm("firm-a"))
    async with line.follow(who) as link:
        await asked.capture(event(1), who=asked.firm("firm-a"))
        assert await serials(link) == [1]
        await accounts.revoke_key(key.id, granted, unnoted)
        assert await closing(link) == (1008, "no_token: the token is not known here")
    assert (await line.refused(who))["status"] == 401


async def test_key_without_the_call_is_refused(line: Line) -> None:
    people = porter(line.asked)
    number = await people.account("m", "enterprise_manager", organisation="firm-a")
    principal = people.book.principal(number)
    assert principal is not None
    granted = Granted(principal, "keys.write", principal.scope("keys.write"))
    for call in CALLS:
        make = line.asked.world.services.accounts.make_key
        token, _ = await make("k", [call], 30, granted, unnoted)
        assert (await line.refused({"Authorization": f"Bearer {token}"}))["status"] == 403


async def signed_in(line: Line) -> tuple[Porter, int, str]:
    """Return an account of firm-a, and the cookie of its session."""
    people = porter(line.asked)
    number = await people.account("m", "enterprise_manager", organisation="firm-a")
    await line.asked.post("/queries", QUERY, line.asked.firm("firm-a"))
    session = await people.opened(number)
    return people, number, f"{SESSION_COOKIE}={session.cookie}"


async def test_session_that_ends_and_account_that_is_closed_end_it(line: Line) -> None:
    people, number, cookie = await signed_in(line)
    here = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{line.server.config.port}"}
    async with line.follow(here) as link:
        assert await nothing(link, 0.7)
        await people.book.sessions.end(account=number)
        assert (await closing(link))[0] == 1008
    session = await people.opened(number)
    here["Cookie"] = f"{SESSION_COOKIE}={session.cookie}"
    async with line.follow(here) as link:
        await people.set_account(number, state="closed")
        assert (await closing(link))[0] == 1008


async def test_page_of_another_site_opens_none(line: Line) -> None:
    _, _, cookie = await signed_in(line)
    port = line.server.config.port
    for origin in (
        "https://evil.example",
        f"http://127.0.0.1:{port}.evil.example",
        f"http://evil.example:{port}",
        f"http://127.0.0.1:{port}@evil.example",
        "http://127.0.0.1",
        "http://[::1",
        "null",
        "file://",
        "",
        None,
    ):
        who = {"Cookie": cookie} if origin is None else {"Cookie": cookie, "Origin": origin}
        assert (await line.refused(who))["status"] == 403, origin


async def test_behind_tls_only_pages_that_came_by_it_open_one(asked: Asked) -> None:
    async with open_line(asked, base_url="https://trace.example.com") as line:
        _, _, cookie = await signed_in(line)
        who = {"Cookie": f"__Host-{cookie}"}
        for origin in ("http://trace.example.com", "https://example.com"):
            assert (await line.refused({**who, "Origin": origin}))["status"] == 403
        assert (await line.refused({"Cookie": cookie}))["status"] == 401
        async with line.follow({**who, "Origin": "https://trace.example.com"}) as link:
            assert await nothing(link, 0.1)


async def test_key_needs_no_origin_and_none_lets_in(line: Line) -> None:
    async with connect(line.url(), additional_headers=ADMIN, origin=None):
        pass
    own = f"http://127.0.0.1:{line.server.config.port}"
    assert (await line.refused({"Origin": own}))["status"] == 401
    assert (await line.refused({"Authorization": "Bearer nobody"}))["status"] == 401


async def test_every_websocket_asks_who_calls(line: Line) -> None:
    routes = [
        route
        for route in guarded_routes(line.asked.app.routes)
        if isinstance(route, APIWebSocketRoute)
    ]
    assert [(one.path, calls_of(one)) for one in routes] == [
        ("/epcis/queries/{queryName}/events", {"trace.subscribe"})
    ]


async def test_bad_control_is_told_before_the_upgrade(line: Line) -> None:
    wrong: list[dict[str, str]] = [
        {"perPage": "3"},
        {"stream": "false"},
        {"stream": "yes"},
        {"stream": "true", "hour": "1"},
        {"hour": "24"},
        {"hour": ""},
        {"dayOfMonth": "31", "month": "2"},
        {"second": "0/30"},
        {"stream": "true", "reportIfEmpty": "1"},
        {"stream": "true", "more": "1"},
        {"stream": "true", "token": "x"},
    ]
    for controls in wrong:
        problem = await line.refused(**controls)
        expected = (400, "epcisException:SubscriptionControlsException")
        assert (problem["status"], problem["type"]) == expected, controls
    problem = await line.refused(stream="true", initialRecordTime="yesterday")
    assert (problem["status"], problem["type"]) == (400, "epcisException:ValidationException")
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{line.url()}&stream=true", additional_headers=ADMIN):
            pass
    assert refused.value.response.status_code == 400


async def test_what_cannot_be_given_is_406_by_header_and_in_the_address(line: Line) -> None:
    for name, text in (
        ("GS1-EPCIS-Min", "2.1"),
        ("GS1-CBV-Max", "1.2"),
        ("GS1-EPC-Format", "Sometimes"),
        ("GS1-CBV-XML-Format", "Sometimes"),
    ):
        assert (await line.refused({**ADMIN, name: text}))["status"] == 406
        controls = {"stream": "true", name: text}
        assert (await line.refused(ADMIN, **controls))["status"] == 406
    assert (await line.refused({**ADMIN, "Accept": "application/xml"}))["status"] == 406


async def test_format_of_identifiers_is_asked_for_either_way(line: Line) -> None:
    wanted = {"GS1-EPC-Format": "Always_EPC_URN"}
    async with (
        line.follow({**ADMIN, **wanted}) as by_header,
        line.follow(ADMIN, stream="true", **wanted) as in_address,
        line.follow() as plain,
    ):
        await line.asked.capture(event(7))
        for link, begins in (
            (by_header, "urn:epc:id:sgtin:"),
            (in_address, "urn:epc:id:sgtin:"),
            (plain, "https://id.gs1.org/01/"),
        ):
            [found] = (await document(link))["resultsBody"]["eventList"]
            assert found["epcList"][0].startswith(begins)


async def test_query_that_is_deleted_ends_it_also_when_it_is_made_again(line: Line) -> None:
    asked = line.asked
    async with line.follow() as link, line.follow() as idle:
        assert (await asked.client.delete("/epcis/queries/shipped", headers=ADMIN)).is_success
        asked.clock.advance(1)
        await asked.post("/queries", QUERY)
        await asked.capture(event(1))
        assert await closing(link) == (1000, "not_found: shipped")
        assert await closing(idle) == (1000, "not_found: shipped")


async def test_query_that_is_deleted_ends_it_though_nothing_comes(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUERY_S", 0.5)
    async with line.follow() as link:
        assert (await line.asked.client.delete("/epcis/queries/shipped", headers=ADMIN)).is_success
        assert (await closing(link, within_s=8))[0] == 1000


async def test_whoever_speaks_is_left(line: Line) -> None:
    async with line.follow() as link:
        await link.send("hello")
        assert (await closing(link))[0] == 1003
    async with line.follow() as link:
        await link.send("x" * 2_000)
        assert (await closing(link))[0] == 1009


async def test_places_are_bounded_for_each_and_for_all_and_are_given_back(asked: Asked) -> None:
    await asked.post("/queries", QUERY)
    firm = asked.firm("firm-a")
    await asked.post("/queries", QUERY, firm)
    async with open_line(asked, Sockets(open_max=3, of_one_max=2)) as line:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(line.follow())
            problem = await line.refused()
            assert (problem["status"], problem["type"]) == (409, "urn:suyuan:problem:quota_reached")
            await stack.enter_async_context(line.follow(firm))
            assert (await line.refused(firm))["status"] == 503
        async with asyncio.timeout(5), line.follow(firm):
            pass
    async with open_line(asked, Sockets(open_max=0)) as line:
        assert (await line.refused())["status"] == 503


async def test_document_that_is_large_is_cut_but_no_event_is(asked: Asked) -> None:
    await asked.post("/queries", QUERY)
    text = {"@context": [{"ex": "https://ns.example.com/"}], "ex:note": "x" * 3_000}
    async with open_line(asked, Sockets(document_bytes=8 * 1024)) as line, line.follow() as link:
        await asked.capture(*(event(serial, **text) for serial in (1, 2, 3, 4)))
        found: list[list[int]] = []
        while sum(map(len, found)) < 4:
            found.append(await serials(link))
        assert found == [[1, 2], [3, 4]]
        await asked.capture(event(5, **{**text, "ex:note": "x" * 20_000}))
        assert await serials(link) == [5]


async def test_limits_of_requests_hold_for_upgrades_too(asked: Asked) -> None:
    many = {f"A{number}": "b" for number in range(110)}
    rates = Rates(address_points_per_s=1, address_points=3)
    async with open_line(asked, rates=rates) as line:
        assert (await line.refused({**ADMIN, **many}))["status"] == 431
        for _ in range(2):
            assert (await line.refused({}))["status"] == 401
        assert (await line.refused({}))["status"] == 429


async def test_end_of_the_service_is_told(line: Line) -> None:
    async with line.follow() as link:
        line.server.should_exit = True
        assert (await closing(link))[0] == 1012


async def test_subscribing_is_noted_before_the_upgrade(line: Line) -> None:
    before = noted(line.asked)
    async with line.follow():
        [entry] = [one for one in noted(line.asked) if one not in before]
    assert (entry["call"], entry["subject"]) == ("trace.subscribe", "epcis:subscriptions")
    assert entry["detail"] == '{"way":"websocket"}'
    with pytest.raises(InvalidStatus) as refused:
        async with line.follow(name="other"):
            pass
    assert refused.value.response.status_code == 404
    assert b"NoSuchNameException" in refused.value.response.body
    assert len(noted(line.asked)) == len(before) + 1


def noted(asked: Asked) -> list[Any]:
    query = select(audit).order_by(audit.c.seq)
    return asked.world.database.read_now(
        lambda c: [dict(row) for row in c.execute(query).mappings()]
    )


async def test_plain_request_is_answered_as_ever(line: Line) -> None:
    await line.asked.capture(event(1))
    answer = await line.asked.get("/queries/shipped/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert (await line.asked.get("/queries/shipped/events?stream=true")).status_code == 400
