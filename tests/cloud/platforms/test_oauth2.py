"""Tokens of platforms: RFC 6749, 4.4 and 5, RFC 7009."""

from typing import cast

import httpx
import pytest

from cloud.platforms.tokens import GOOD_S, TOKENS_MAX
from protocols.clock import ManualClock
from tests.support.http_services import World
from tests.support.platforms import BASE, register, status, token_of

FORM = {"grant_type": "client_credentials"}


async def send(client: httpx.AsyncClient, world: World, headers: dict[str, str]) -> int:
    item = status(world.clock.wall_ms())
    answer = await client.post(f"{BASE}/acme/status", json={"items": [item]}, headers=headers)
    return answer.status_code


async def test_token_is_given_for_an_hour(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World
) -> None:
    secret = await register(client)
    given = await nobody.post("/oauth2/token", data=FORM, auth=("acme", secret))
    assert given.headers["cache-control"] == "no-store"
    told = given.json()
    assert (told["token_type"], told["expires_in"]) == ("Bearer", GOOD_S)
    assert told["scope"] == "lift_platform.send"
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert await send(nobody, world, headers) == 200
    cast("ManualClock", world.clock).advance(GOOD_S * 1000)
    assert await send(nobody, world, headers) == 401


async def test_tokens_given_and_ended_stand_in_the_audit(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World
) -> None:
    secret = await register(client)
    headers = await token_of(nobody, secret)
    form = {"token": headers["Authorization"].split()[1]}
    await nobody.post("/oauth2/revoke", data=form, auth=("acme", secret))
    entries = (await client.get("/api/v1/audit?limit=10")).json()
    told = [(one["by"], one["subject"], one["detail"].get("what")) for one in entries]
    assert [one for one in told if one[1] == "platform:acme"] == [
        ("platform:acme", "platform:acme", "token ended"),
        ("platform:acme", "platform:acme", "token given"),
        ("token:admin", "platform:acme", "registered"),
    ]
    assert form["token"] not in str(entries)
    assert secret not in str(entries)


async def test_secret_in_the_form_is_as_good(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    secret = await register(client)
    form = {**FORM, "client_id": "acme", "client_secret": secret}
    assert (await nobody.post("/oauth2/token", data=form)).status_code == 200
    both = await nobody.post("/oauth2/token", data=form, auth=("acme", secret))
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("form", "auth", "status_code", "error"),
    [
        (FORM, ("acme", "wrong"), 401, "invalid_client"),
        (FORM, ("nobody", "{secret}"), 401, "invalid_client"),
        (FORM, ("acme", ""), 401, "invalid_client"),
        ({"grant_type": "password"}, ("acme", "{secret}"), 400, "unsupported_grant_type"),
        ({**FORM, "scope": "audit.read"}, ("acme", "{secret}"), 400, "invalid_scope"),
    ],
)
async def test_what_proves_nothing_is_refused_in_the_words_of_the_standard(
    client: httpx.AsyncClient,
    nobody: httpx.AsyncClient,
    form: dict[str, str],
    auth: tuple[str, str],
    status_code: int,
    error: str,
) -> None:
    secret = await register(client)
    pair = auth[0], auth[1].format(secret=secret)
    answer = await nobody.post("/oauth2/token", data=form, auth=pair)
    assert (answer.status_code, answer.json()["error"]) == (status_code, error)
    if status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "body",
    [b'{"grant_type":"client_credentials"}', b"grant_type=a&grant_type=b", b"\xff", b"&" * 99],
)
async def test_body_that_is_no_form_is_refused(nobody: httpx.AsyncClient, body: bytes) -> None:
    kind = "application/json" if body[:1] == b"{" else "application/x-www-form-urlencoded"
    answer = await nobody.post("/oauth2/token", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type")


async def test_guessing_is_slowed_down(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    secret = await register(client)
    for _ in range(10):
        assert (
            await nobody.post("/oauth2/token", data=FORM, auth=("acme", "x"))
        ).status_code == 401
    answer = await nobody.post("/oauth2/token", data=FORM, auth=("acme", secret))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_revoked_token_is_dead_at_once_and_others_live(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World
) -> None:
    secret = await register(client)
    first, second = [await token_of(nobody, secret) for _ in range(2)]
    form = {"token": first["Authorization"].split()[1]}
    for _ in range(2):  # one that is dead already is no error (RFC 7009, 2.2)
        assert (
            await nobody.post("/oauth2/revoke", data=form, auth=("acme", secret))
        ).status_code == 200
    assert await send(nobody, world, first) == 401
    assert await send(nobody, world, second) == 200


async def test_new_secret_ends_the_old_one_and_every_token(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World
) -> None:
    secret = await register(client)
    headers = await token_of(nobody, secret)
    rotated = await client.post(f"{BASE}/acme/rotate")
    assert await send(nobody, world, headers) == 401
    old = await nobody.post("/oauth2/token", data=FORM, auth=("acme", secret))
    assert old.status_code == 401
    assert await send(nobody, world, await token_of(nobody, rotated.json()["secret"])) == 200
    assert (await client.post(f"{BASE}/acme/revoke")).json()["state"] == "revoked"
    assert (await client.post(f"{BASE}/acme/rotate")).status_code == 409
    dead = await nobody.post("/oauth2/token", data=FORM, auth=("acme", ""))
    assert dead.status_code == 401


async def test_oldest_token_ends_when_there_are_too_many(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World
) -> None:
    secret = await register(client)
    first = await token_of(nobody, secret)
    for _ in range(TOKENS_MAX):
        cast("ManualClock", world.clock).advance(1)
        newest = await token_of(nobody, secret)
    assert await send(nobody, world, first) == 401
    assert await send(nobody, world, newest) == 200


async def test_token_of_another_scope_sends_nothing(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World
) -> None:
    secret = await register(client)
    headers = await token_of(nobody, secret, scope="assets.read")
    assert await send(nobody, world, headers) == 403
    for path in ("/api/v1/audit", "/api/v1/accounts", BASE, "/api/v1/feed"):
        assert (await nobody.get(path, headers=headers)).status_code == 403
    assert (await nobody.get("/api/v1/assets/elevator:1", headers=headers)).status_code == 404


async def test_platform_of_a_firm_that_is_suspended_is_shut_out(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World
) -> None:
    secret = await register(client)
    headers = await token_of(nobody, secret)
    body = {"reason": "no"}
    answer = await client.post("/api/v1/organisations/firm-a/suspend", json=body)
    assert answer.status_code == 200, answer.text
    assert await send(nobody, world, headers) == 401
