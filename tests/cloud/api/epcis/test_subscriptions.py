"""Subscriptions as they are made, shown and ended."""

from typing import Any

from tests.support.epcis import Asked
from tests.support.epcis_bodies import event

QUERY = {"name": "shipped", "query": {"EQ_bizStep": ["shipping"]}}
DEST = "https://client.example.com/callback"
TOKEN = "13df38d8275b13f05704629e5f1cf3d45d6132d5"
WHERE = "/queries/shipped/subscriptions"
STREAM = {"dest": DEST, "signatureToken": TOKEN, "stream": True}


async def refused(asked: Asked, body: Any, name: str = "SubscriptionControlsException") -> None:
    answer = await asked.post(WHERE, body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == f"epcisException:{name}", answer.text


async def test_subscription_is_made_shown_and_ended(asked: Asked) -> None:
    await asked.post("/queries", QUERY)
    made = await asked.post(WHERE, STREAM)
    assert made.status_code == 201
    one = made.json()
    assert (one["dest"], one["stream"], one["queryName"]) == (DEST, True, "shipped")
    where = made.headers["location"].removeprefix("/epcis")
    assert where == f"{WHERE}/{one['subscriptionID']}"
    shown = await asked.get(where)
    assert shown.json() == one
    assert shown.headers["gs1-query-min-record-time"] == one["minRecordTime"]
    assert (await asked.get(WHERE)).json() == [one]
    assert TOKEN not in made.text + shown.text
    gone = await asked.client.delete(f"/epcis{where}", headers=dict(shown.request.headers))
    assert gone.status_code == 204
    assert (await asked.get(where)).status_code == 404


async def test_secret_is_taken_under_either_name_and_kept_sealed(asked: Asked) -> None:
    await asked.post("/queries", QUERY)
    body = {"dest": DEST, "secret": TOKEN, "schedule": {"hour": "1", "minute": 5}}
    made = await asked.post(WHERE, body, GS1_EPC_Format="Always_EPC_URN")
    assert made.json()["schedule"] == {"hour": "1", "minute": "5"}
    assert made.json()["epcFormat"] == "Always_EPC_URN"
    query = "SELECT secret FROM trace_subscription"
    rows = asked.world.database.read_now(lambda c: c.exec_driver_sql(query).all())
    assert [row[0] for row in rows] == [f"sealed {TOKEN}"]


async def test_subscription_that_says_not_when_is_refused(asked: Asked) -> None:
    await asked.post("/queries", QUERY)
    when: list[dict[str, Any]] = [
        {"dest": DEST},
        {**STREAM, "schedule": {"hour": "1"}},
        {"dest": DEST, "schedule": {}},
        {"dest": DEST, "schedule": {"hour": "24"}},
        {"dest": DEST, "schedule": {"dayOfMonth": "31", "month": "2"}},
    ]
    for body in when:
        await refused(asked, body)
    await refused(asked, {"stream": True}, "ValidationException")
    await refused(asked, {**STREAM, "more": 1}, "ValidationException")


async def test_address_that_points_inside_is_refused(asked: Asked) -> None:
    await asked.post("/queries", QUERY)
    for dest in (
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://2130706433/",
        "http://user:secret@client.example.com/",
        "https://client.example.com:22/",
        "ftp://client.example.com/",
        "file:///etc/passwd",
        "not an address",
    ):
        await refused(asked, {**STREAM, "dest": dest})
    assert (await asked.get(WHERE)).json() == []


async def test_subscriptions_end_with_their_query_and_are_the_organisations_own(
    asked: Asked,
) -> None:
    a, b = asked.firm("firm-a"), asked.firm("firm-b")
    for who in (a, b):
        await asked.post("/queries", QUERY, who)
        assert (await asked.post(WHERE, STREAM, who)).status_code == 201
    assert (await asked.post("/queries/other/subscriptions", STREAM, a)).status_code == 404
    [one] = (await asked.get(WHERE, a)).json()
    assert (await asked.get(f"{WHERE}/{one['subscriptionID']}", b)).status_code == 404
    assert (await asked.client.delete("/epcis/queries/shipped", headers=a)).is_success
    assert (await asked.get(WHERE, a)).status_code == 404
    await asked.post("/queries", QUERY, a)
    assert (await asked.get(WHERE, a)).json() == []
    assert len((await asked.get(WHERE, b)).json()) == 1


async def test_clerk_may_ask_but_not_subscribe(asked: Asked) -> None:
    await asked.capture(event(), who=asked.firm(role="enterprise_clerk"))
    await asked.post("/queries", QUERY, asked.firm())
    answer = await asked.post(WHERE, STREAM, asked.firm(role="enterprise_clerk"))
    assert answer.status_code == 403
