"""Named queries: each organisation has its own."""

from tests.support.epcis import ADMIN, Asked, events_of, part
from tests.support.epcis_bodies import event

SHIPPED = {"name": "shipped", "query": {"eventType": ["ObjectEvent"], "EQ_bizStep": ["shipping"]}}


async def test_named_query_is_kept_run_and_deleted(asked: Asked) -> None:
    firm = asked.firm()
    made = await asked.post("/queries", SHIPPED, firm)
    assert (made.status_code, made.headers["location"]) == (201, "/epcis/queries/shipped")
    assert (await asked.get("/queries", firm)).json() == [SHIPPED]
    assert (await asked.get("/queries/shipped", firm)).json() == SHIPPED
    await asked.capture(event(1), event(2, bizStep="receiving"), event(3), who=firm)
    first = await asked.get("/queries/shipped/events?perPage=1", firm)
    assert first.json()["epcisBody"]["queryResults"]["queryName"] == "shipped"
    second = await asked.client.get(first.links["next"]["url"], headers=firm)
    assert [len(events_of(one)) for one in (first, second)] == [1, 1]
    assert (await asked.post("/queries", SHIPPED, firm)).status_code == 409
    assert (await asked.client.delete(made.headers["location"], headers=firm)).status_code == 204
    assert (await asked.client.delete(made.headers["location"], headers=firm)).status_code == 404
    assert (await asked.get("/queries/shipped/events", firm)).status_code == 404


async def test_names_are_an_organisations_own(asked: Asked) -> None:
    a, b = asked.firm("firm-a"), asked.firm("firm-b")
    assert (await asked.post("/queries", SHIPPED, a)).status_code == 201
    assert (await asked.get("/queries/shipped", b)).status_code == 404
    assert (await asked.post("/queries", SHIPPED, b)).status_code == 201
    assert len((await asked.get("/queries", b)).json()) == 1


async def test_any_name_fits_into_a_path(asked: Asked) -> None:
    for name in ("a/b", "查询", "100 %", "...", "?#"):
        made = await asked.post("/queries", {**SHIPPED, "name": name})
        assert made.headers["location"] == f"/epcis/queries/{part(name)}"
        assert (await asked.get(f"/queries/{part(name)}")).json()["name"] == name


async def test_query_that_cannot_be_run_is_not_kept(asked: Asked) -> None:
    for body, name in (
        ({"name": "q", "query": {"EQ_nothing": ["1"]}}, "QueryParameterException"),
        ({"name": "q", "query": {"EQ_bizStep": ["x"] * 1_001}}, "QueryTooComplexException"),
        ({"name": "", "query": {}}, "ValidationException"),
        ({"name": "..", "query": {}}, "ValidationException"),
        ({"name": "q", "query": []}, "ValidationException"),
        ({"name": "q", "query": {}, "more": 1}, "ValidationException"),
    ):
        answer = await asked.post("/queries", body)
        assert answer.status_code == (413 if name == "QueryTooComplexException" else 400)
        assert answer.json()["type"] == f"epcisException:{name}"
    assert (await asked.get("/queries")).json() == []


async def test_prefixes_of_the_header_are_kept_with_the_query(asked: Asked) -> None:
    named = {"@context": [{"ex": "https://ns.example.com/"}], "ex:lot": "7"}
    await asked.capture(event(1, **named), event(2))
    body = {"name": "lot", "query": {"EQ_other:lot": ["7"]}}
    extensions = "other=https://ns.example.com/"
    assert (await asked.post("/queries", body)).status_code == 400
    assert (await asked.post("/queries", body, GS1_Extensions=extensions)).status_code == 201
    assert len(events_of(await asked.get("/queries/lot/events"))) == 1
    answer = await asked.client.get(
        "/epcis/events?EQ_other:lot=7", headers={**ADMIN, "GS1-Extensions": extensions}
    )
    assert len(events_of(answer)) == 1
    assert answer.headers["gs1-extensions"] == extensions


async def test_more_events_than_the_query_bears_is_told(asked: Asked) -> None:
    await asked.capture(event(1), event(2))
    answer = await asked.get("/events?maxEventCount=1")
    assert answer.status_code == 413
    assert answer.json()["type"] == "epcisException:QueryTooLargeException"
