"""Receivers and CAP messages over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from lxml import etree

from tests.support import cap_rules
from tests.support.feed_items import FeedWriter
from tests.support.http_services import TOKEN, World, open_world

PATH = "/api/v1/receivers"
BODY = {
    "name": "Rescue centre of the district",
    "kind": "webhook",
    "address": "https://p.example.com/hook",
    "filter": {"severities": ["emergency"], "districts": ["昌邑区"]},
}
ATOM = {"a": "http://www.w3.org/2005/Atom"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(tmp_path, pages=False)
    yield world
    world.database.close()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(world.app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://city.test", headers=headers
    ) as client:
        yield client


async def test_receiver_is_made_shown_changed_and_removed(client: httpx.AsyncClient) -> None:
    made = await client.post(PATH, json=BODY)
    assert made.status_code == 201
    secret, path = made.json()["secret"], f"{PATH}/{made.json()['id']}"
    assert secret.startswith("whsec_")
    shown = (await client.get(path)).json()
    assert shown["filter"]["districts"] == ["昌邑区"]
    assert shown["health"]["last_success_at"] is None
    assert shown["created_at"].endswith("Z")
    assert secret not in (await client.get(PATH)).text
    changed = await client.put(path, json={**BODY, "name": "other"})
    assert changed.json()["name"] == "other"
    rotated = (await client.post(f"{path}/secret")).json()
    assert rotated["secret"] != secret
    assert rotated["secrets"] == 2
    assert (await client.post(f"{path}/pause")).json()["state"] == "paused"
    assert (await client.post(f"{path}/pause")).status_code == 409
    assert (await client.post(f"{path}/resume")).json()["state"] == "active"
    assert (await client.post(f"{path}/resume", json={"skip": True})).status_code == 200
    assert (await client.post(f"{path}/test")).json()["ok"]
    assert (await client.delete(path)).status_code == 204
    for answer in (await client.get(path), await client.delete(path)):
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**BODY, "kind": "fax"}, 400),
        ({**BODY, "address": ""}, 400),
        ({**BODY, "address": "https://10.0.0.1/"}, 400),
        ({**BODY, "filter": {"severities": ["bad"]}}, 400),
        ({**BODY, "filter": {"severity": ["emergency"]}}, 400),
        ({**BODY, "options": {"resend_s": 1}}, 400),
        ({**BODY, "secret": "mine"}, 400),
        ([], 400),
    ],
)
async def test_bad_body_is_refused_with_what_is_wrong(
    client: httpx.AsyncClient, body: object, status: int
) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == status, answer.text
    assert (await client.get(PATH)).json() == []


async def test_cap_is_an_atom_feed_of_signed_documents(
    client: httpx.AsyncClient, world: World
) -> None:
    write = FeedWriter(world.database, world.clock)
    for number in range(1, 6):
        await write.alarm(number)
    await world.services.cap.document(1)  # they are issued by whoever consumes
    answer = await client.get("/cap?limit=2")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    root = etree.fromstring(answer.content)
    assert root.findtext("a:id", namespaces=ATOM) == "http://city.test/cap"
    assert len(root.findall("a:entry", ATOM)) == 2
    links = {one.get("rel"): one.get("href") for one in root.findall("a:link", ATOM)}
    assert links["next"] == "http://city.test/cap?before=4&limit=2"
    seen, after = [], "http://city.test/cap?limit=2"
    while after:
        page = etree.fromstring((await client.get(after)).content)
        seen += page.findall("a:entry", ATOM)
        found = page.find("a:link[@rel='next']", ATOM)
        after = "" if found is None else str(found.get("href"))
    assert len(seen) == 5
    where = seen[0].find("a:link", ATOM)
    assert where is not None
    document = await client.get(str(where.get("href")))
    assert document.headers["content-type"].startswith("application/cap+xml")
    assert cap_rules.faults(document.content) == []
    assert b"BEGIN CERTIFICATE" in (await client.get("/cap/certificate.pem")).content


async def test_what_did_not_change_is_not_sent_again(
    client: httpx.AsyncClient, world: World
) -> None:
    write = FeedWriter(world.database, world.clock)
    await write.alarm(1)
    await world.services.cap.document(1)
    for path in ("/cap", "/cap/1.xml"):
        first = await client.get(path)
        known = {"If-None-Match": first.headers["etag"]}
        again = await client.get(path, headers=known)
        assert (again.status_code, again.content) == (304, b"")
    await write.alarm(2)
    await world.services.cap.document(2)
    assert (await client.get("/cap", headers=known)).status_code == 200


@pytest.mark.parametrize("path", ["/cap/9.xml", "/cap/x.xml", "/cap/1.json", "/cap/1"])
async def test_unknown_document_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
    assert (await client.get(path, headers={"Authorization": ""})).status_code == 401
