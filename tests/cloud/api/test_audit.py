"""The audit over HTTP."""

import httpx
import pytest

from tests.support.http_services import LIFT, World

PATH = "/api/v1/audit"


async def changed(client: httpx.AsyncClient, count: int) -> None:
    for number in range(count):
        answer = await client.put(f"/api/v1/assets/{LIFT}", json={"name": f"{number}"})
        assert answer.status_code in (200, 201)


async def test_audit_tells_who_did_what_newest_first(
    client: httpx.AsyncClient, world: World
) -> None:
    await changed(client, 1)
    found = (await client.get(PATH)).json()
    assert [one["seq"] for one in found] == [2, 1]
    assert found[0]["subject"] == "audit"  # the look at it
    entry = found[1]
    assert len(entry.pop("hash")) == 64
    assert entry == {
        "seq": 1,
        "recorded_at": "2025-11-24T16:00:00.000Z",
        "by": "token:admin",
        "who": "token:admin",
        "organisation": "platform",
        "call": "assets.write",
        "subject": f"asset:{LIFT}",
        "detail": {"fields": ["name"], "state": "registered"},
    }


async def test_audit_pages_by_link(client: httpx.AsyncClient) -> None:
    await changed(client, 5)
    seen, path = [], f"{PATH}?call=assets.write&limit=2"
    while path:
        answer = await client.get(path)
        seen += [one["seq"] for one in answer.json()]
        link = answer.links.get("next")
        path = link["url"] if link else ""
    assert seen == [5, 4, 3, 2, 1]


async def test_audit_is_filtered(client: httpx.AsyncClient) -> None:
    await changed(client, 1)
    for query, count in (
        ("by=token:admin", 2),
        ("by=account:1", 0),
        (f"subject=asset:{LIFT}", 1),
        ("call=assets.write&organisation=platform", 1),
        ("from=2025-11-24T16:00:00Z&to=2025-11-24T16:00:01Z", 2),
        ("to=2025-11-24T16:00:00Z", 0),
    ):
        assert len((await client.get(f"{PATH}?{query}")).json()) == count, query


@pytest.mark.parametrize(
    "query",
    [
        "who=x",
        "limit=0",
        "limit=1001",
        "before=x",
        "from=noon",
        "subject=" + "x" * 129,
        "by=a%00b",
    ],
)
async def test_audit_refuses_what_it_does_not_know(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
async def test_audit_cannot_be_changed(client: httpx.AsyncClient, method: str) -> None:
    assert (await client.request(method, PATH)).status_code == 405
