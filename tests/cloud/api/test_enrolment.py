"""Enrolment over HTTP: no token for gateways, one for admins, every refusal as a problem."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from cloud.model.refusal import Refusal
from cloud.trust.book import add_refusals
from protocols.enrolment import (
    ENROL_PATH,
    PROOF_HEADER,
    RENEW_PATH,
    SIGNATURE_HEADER,
    Code,
    answer_proof,
    parse_code,
)
from tests.support.authority import Bureau, enrol_request, new_key, open_bureau, renew_request
from tests.support.http_services import TOKEN, open_world

ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Bureau, httpx.AsyncClient]]:
    """An authority, and a client without a token."""
    bureau = open_bureau(tmp_path)
    world = await open_world(tmp_path, clock=bureau.clock, trust=bureau.desk, pages=False)
    transport = httpx.ASGITransport(app=world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield bureau, client
    world.database.close()
    bureau.database.close()


async def test_from_invitation_to_renewal(site: tuple[Bureau, httpx.AsyncClient]) -> None:
    client = site[1]
    invited = await client.post(
        "/api/v1/gateways/gw-1/invite", headers=ADMIN, json={"valid_hours": 1}
    )
    assert invited.status_code == 201
    code = parse_code(invited.json()["code"])
    key, next_key = new_key(), new_key()
    request = enrol_request(code, key)
    answer = await client.post(ENROL_PATH, content=msgspec.json.encode(request))
    assert answer.status_code == 200
    proof = answer_proof(code.key(), request.csr, answer.content)
    assert answer.headers[PROOF_HEADER] == proof
    given = answer.json()
    assert set(given) == {"gateway_id", "certificate", "ca", "broker", "anchors"}
    ask = renew_request(given["certificate"], key, next_key, "gw-1")
    answer = await client.post(RENEW_PATH, content=msgspec.json.encode(ask))
    assert answer.status_code == 200
    assert answer.headers[SIGNATURE_HEADER]
    identity = (await client.get("/api/v1/gateways/gw-1/identity", headers=ADMIN)).json()
    assert len(identity["certificates"]) == 2
    assert identity["certificates"][0]["expires_at"].endswith("Z")
    revoked = await client.post("/api/v1/gateways/gw-1/revoke", headers=ADMIN)
    assert revoked.json()["revoked"] == 2
    answer = await client.post(RENEW_PATH, content=msgspec.json.encode(ask))
    assert (answer.status_code, answer.json()["type"]) == (
        403,
        "urn:suyuan:problem:certificate_revoked",
    )


@pytest.mark.parametrize("path", [ENROL_PATH, RENEW_PATH])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 50_000, b'{"gateway_id": 1}', b'{"x": 1}']
)
async def test_body_that_is_none_is_a_bad_request(
    site: tuple[Bureau, httpx.AsyncClient], path: str, body: bytes
) -> None:
    answer = await site[1].post(path, content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_wrong_code_is_refused_and_soon_must_wait(
    site: tuple[Bureau, httpx.AsyncClient],
) -> None:
    bad = msgspec.json.encode(enrol_request(Code("gw-1", "0" * 20), new_key()))
    answers = [await site[1].post(ENROL_PATH, content=bad) for _ in range(11)]
    assert [one.status_code for one in answers] == [403] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_admins_calls_need_a_token(site: tuple[Bureau, httpx.AsyncClient]) -> None:
    client = site[1]
    for method, path in [
        ("POST", "/api/v1/gateways/gw-1/invite"),
        ("POST", "/api/v1/gateways/gw-1/revoke"),
        ("GET", "/api/v1/gateways/gw-1/identity"),
        ("GET", "/api/v1/refusals"),
    ]:
        assert (await client.request(method, path)).status_code == 401
    answer = await client.get("/api/v1/gateways/gw-1/identity", headers=ADMIN)
    assert answer.status_code == 404
    answer = await client.post("/api/v1/gateways/suyuan-cloud/invite", headers=ADMIN)
    assert answer.status_code == 400


async def test_refusals_are_listed_latest_first(site: tuple[Bureau, httpx.AsyncClient]) -> None:
    bureau, client = site
    found = [
        Refusal(kind="publish", who="gw-1", what=f"x/{at}", first_at=at, last_at=at)
        for at in (1_000, 3_000, 2_000)
    ]
    bureau.database.write_now(lambda c: add_refusals(c, found))
    rows = (await client.get("/api/v1/refusals", headers=ADMIN, params={"limit": 2})).json()
    assert [row["what"] for row in rows] == ["x/3000", "x/2000"]
    assert rows[0]["last_at"] == "1970-01-01T00:00:03.000Z"


async def test_service_without_an_authority_says_so(tmp_path: Path) -> None:
    world = await open_world(tmp_path, pages=False)
    transport = httpx.ASGITransport(app=world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post(ENROL_PATH, content=b"{}")
    assert answer.status_code == 404
    assert "ca init" in answer.json()["detail"]
    world.database.close()
