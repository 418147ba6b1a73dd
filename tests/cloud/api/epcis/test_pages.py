"""Pages: each is led to by a token that is good for its caller, its query and its hour."""

import httpx
import pytest

from cloud.api.epcis.negotiate import JSON_OR_XML, choose_media
from protocols.errors import RefuseInput
from tests.support.epcis import ADMIN, Asked, events_of, part
from tests.support.epcis_bodies import ITEM, event

TYPE = "epcisException:QueryParameterException"


def serials(answer: httpx.Response) -> list[int]:
    return [int(one["epcList"][0].rsplit("/", 1)[1]) for one in events_of(answer)]


async def pages(asked: Asked, path: str) -> list[httpx.Response]:
    found = [await asked.get(path)]
    while "next" in found[-1].links:
        found.append(await asked.client.get(found[-1].links["next"]["url"], headers=ADMIN))
    return found


async def refused(asked: Asked, url: str, who: dict[str, str]) -> str:
    answer = await asked.client.get(url, headers=who)
    assert (answer.status_code, answer.json()["type"]) == (400, TYPE), answer.text
    return str(answer.json()["detail"])


async def test_events_come_page_by_page_and_new_ones_do_not_disturb(asked: Asked) -> None:
    await asked.capture(*(event(number) for number in range(1, 6)))
    first = await asked.get("/events?perPage=2&EQ_bizStep=shipping")
    assert "gs1-next-page-token-expires" in first.headers
    await asked.capture(event(6))
    url, found = first.links["next"]["url"], serials(first)
    while url:
        answer = await asked.client.get(url, headers=ADMIN)
        url = answer.links.get("next", {}).get("url", "")
        found += serials(answer)
    assert found == [1, 2, 3, 4, 5]
    assert "gs1-next-page-token-expires" not in answer.headers


async def test_pages_follow_an_order_of_times_and_of_texts(asked: Asked) -> None:
    at = "2026-11-26T08:00:0{}.000+08:00"
    named = {"@context": [{"ex": "https://ns.example.com/"}]}
    sent = [event(n, eventTime=at.format(9 - n), **named, **{"ex:a": f"{n}é"}) for n in range(1, 6)]
    await asked.capture(*sent)
    for order, expected in (
        ("orderBy=eventTime&orderDirection=ASC", [5, 4, 3, 2, 1]),
        ("orderBy=eventTime", [1, 2, 3, 4, 5]),
        ("orderBy=https://ns.example.com/a&orderDirection=ASC", [1, 2, 3, 4, 5]),
        ("orderBy=recordTime&eventCountLimit=3&orderDirection=ASC", [1, 2, 3]),
    ):
        answers = await pages(asked, f"/events?perPage=2&{order}")
        assert [serial for one in answers for serial in serials(one)] == expected, order


async def test_without_a_size_a_page_has_thirty(asked: Asked) -> None:
    await asked.capture(*(event(number) for number in range(1, 32)))
    assert [len(events_of(one)) for one in await pages(asked, "/events")] == [30, 1]


async def test_token_that_is_not_the_callers_own_is_refused(asked: Asked) -> None:
    await asked.capture(event(1), event(2), who=asked.firm("firm-a"))
    url = (await asked.get("/events?perPage=1&EQ_bizStep=shipping")).links["next"]["url"]
    assert "another query or another caller" in await refused(asked, url, asked.firm("firm-a"))
    other = url.replace("shipping", "receiving")
    assert "another query" in await refused(asked, other, ADMIN)
    assert (await asked.client.get(url.replace("perPage=1", "perPage=9"), headers=ADMIN)).is_success
    place = url.index("nextPageToken=") + 40
    changed = url[:place] + ("A" if url[place] != "A" else "B") + url[place + 1 :]
    assert "not given out here" in await refused(asked, changed, ADMIN)
    assert "not given out here" in await refused(asked, "/epcis/events?nextPageToken=é", ADMIN)


async def test_token_expires(asked: Asked) -> None:
    await asked.capture(event(1), event(2))
    url = (await asked.get("/events?perPage=1")).links["next"]["url"]
    asked.clock.advance(3_599_000)
    assert (await asked.client.get(url, headers=ADMIN)).is_success
    asked.clock.advance(2_000)
    assert "expired" in await refused(asked, url, ADMIN)


async def test_token_can_be_given_back(asked: Asked) -> None:
    await asked.capture(event(1), event(2))
    url = (await asked.get("/events?perPage=1")).links["next"]["url"]
    token = httpx.URL(url).params["nextPageToken"]
    where = f"/epcis/nextPageToken/{token}"
    foreign = await asked.client.delete(where, headers=asked.firm())
    assert (foreign.status_code, foreign.json()["type"]) == (400, TYPE)
    assert (await asked.client.get(url, headers=ADMIN)).is_success
    for _ in range(2):
        assert (await asked.client.delete(where, headers=ADMIN)).status_code == 204
    assert "given back" in await refused(asked, url, ADMIN)


async def test_resources_list_what_events_hold_and_lead_to_them(asked: Asked) -> None:
    shop = "https://id.gs1.org/414/6901234000016"
    await asked.capture(
        event(1, readPoint={"id": shop}),
        event(2, bizStep="receiving", disposition="in_progress", bizLocation={"id": shop}),
    )
    for path, members in (
        ("/epcs", [f"{ITEM}1", f"{ITEM}2"]),
        ("/readPoints", [shop]),
        ("/bizLocations", [shop]),
    ):
        assert (await asked.get(path)).json()["member"] == members
        where = f"{path}/{part(members[-1])}"
        assert (await asked.get(where)).json()["member"] == ["events"]
        assert len(events_of(await asked.get(f"{where}/events"))) == 1
    for path in ("/bizSteps/receiving", "/dispositions/in_progress", "/epcs/urn%3Ax"):
        found = events_of(await asked.get(f"{path}/events"))
        assert len(found) == (path != "/epcs/urn%3Ax")
        assert (await asked.get(path)).status_code == (200 if found else 404)
    assert len(events_of(await asked.get("/eventTypes/ObjectEvent/events"))) == 2
    assert events_of(await asked.get("/eventTypes/ObjectEvent/events?EQ_bizStep=packing")) == []


async def test_event_types_hold_the_standards_own_on_any_page(asked: Asked) -> None:
    answers = await pages(asked, "/eventTypes?perPage=2")
    assert [name for one in answers for name in one.json()["member"]] == [
        "AggregationEvent",
        "AssociationEvent",
        "ObjectEvent",
        "TransactionEvent",
        "TransformationEvent",
    ]


async def test_resources_show_what_the_caller_may_see(asked: Asked) -> None:
    await asked.capture(event(1), who=asked.firm("firm-a"))
    assert (await asked.get("/epcs", asked.firm("firm-b"))).json()["member"] == []
    where = f"/epcs/{part(ITEM + '1')}"
    assert (await asked.get(where, asked.firm("firm-b"))).status_code == 404
    assert (await asked.get(where, asked.firm("firm-a"))).status_code == 200


def test_accept_is_read_by_quality_and_closeness() -> None:
    for accept, chosen in (
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/xml", "application/xml"),
        ("application/*;q=0.2, application/xml;q=0.1", "application/json"),
        ("application/json;q=0.4, application/xml", "application/xml"),
        ("application/json;q=0, */*", "application/ld+json"),
    ):
        assert choose_media(accept, JSON_OR_XML) == chosen
    with pytest.raises(RefuseInput):
        choose_media("image/png", JSON_OR_XML)
