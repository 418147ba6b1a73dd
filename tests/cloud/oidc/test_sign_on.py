"""Coming in by a sign-on: the good way, and every bad one."""

import asyncio
import contextlib
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import Response
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select

from cloud.access.book import AccessBook
from cloud.model.people_tables import audit, identity
from cloud.model.session import SESSION_COOKIE
from cloud.oidc.desk import FLOW_MS, SignOnDesk
from cloud.oidc.provider import KEPT_MS, KEYS_AGAIN_MS
from cloud.oidc.settings import Provider
from cloud.oidc.token import ALGORITHMS, SKEW_S
from cloud.web.sign_on import COOKIE
from protocols.clock import Clock, ManualClock, SystemClock
from protocols.errors import RefuseInput
from tests.support.http_services import World, open_world
from tests.support.sign_on import (
    PUBLIC,
    Liar,
    OpenedSessions,
    accounts_of,
    add_account,
    add_people,
    consent,
    desk_of,
    mock_provider,
    new_key,
    provider,
    running,
    signed_by_hand,
    state_of,
    unsigned,
    with_public_key_as_secret,
)


class Hall:
    """The service, its visitor, and who came in."""

    def __init__(self, world: World, visitor: httpx.AsyncClient, people: OpenedSessions) -> None:
        self.world, self.visitor, self.people = world, visitor, people
        self.desk: SignOnDesk = world.services.sign_on  # type: ignore[assignment]

    @property
    def opened(self) -> list[int]:
        """Accounts that came in, in order."""
        return self.people.opened

    async def leave(self, way: str = "city", following: str = "/fleet") -> str:
        """Press the button; return where the browser is sent."""
        answer = await self.visitor.get(f"/login/with/{way}", params={"next": following})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def back(self, query: dict[str, str], way: str = "city") -> httpx.Response:
        """Come back."""
        return await self.visitor.get(f"/login/with/{way}/back", params=query)

    async def through(self, liar: Liar) -> httpx.Response:
        """Leave, sign on, come back."""
        return await self.back(liar.authorize(await self.leave()))

    def entries(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return what the audit tells."""
        query = select(audit).order_by(audit.c.seq)
        rows = self.world.database.read_now(lambda c: c.execute(query).all())
        return [(row.call, row.subject, json.loads(row.detail)) for row in rows]


@contextlib.asynccontextmanager
async def hall(
    folder: Path, *providers: Provider, clock: Clock, base_url: str = PUBLIC
) -> AsyncIterator[Hall]:
    make, opening = desk_of(*providers, clock=clock, base_url=base_url)
    world = await open_world(folder, clock=clock, sign_on=make)
    access = world.services.access
    assert isinstance(access, AccessBook)
    access.noted = world.services.audit.noted
    transport = httpx.ASGITransport(world.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as visitor:
        found = Hall(world, visitor, opening[0])
        await found.desk.load()
        yield found
    world.database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def liar(clock: ManualClock) -> AsyncIterator[Liar]:
    async with running(Liar(), clock) as found:
        yield found


@pytest.fixture
async def city(tmp_path: Path, liar: Liar, clock: ManualClock) -> AsyncIterator[Hall]:
    """A hall where account 1 is linked with subject `u-1` of the liar."""
    async with hall(tmp_path, provider(tmp_path, liar.issuer), clock=clock) as found:
        assert await add_people(found.world, liar.issuer) == 1
        yield found


def refused(hall_: Hall, answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert words in answer.text
    assert 'name="token"' in answer.text, "the other way in is still there"
    assert "suyuan_session=" not in str(answer.headers.get_list("set-cookie"))
    assert hall_.opened == []


# --- the good way -----------------------------------------------------------------------------


async def test_linked_account_comes_in_by_a_provider_of_another_hand(tmp_path: Path) -> None:
    with mock_provider() as issuer:
        async with hall(tmp_path, provider(tmp_path, issuer), clock=SystemClock()) as city:
            await add_people(city.world, issuer)
            url = await city.leave()
            where = await consent(url, "u-1")
            assert where.startswith(f"{PUBLIC}/login/with/city/back?")
            query = {name: value[0] for name, value in parse_qs(urlsplit(where).query).items()}
            answer = await city.back(query)
            assert (answer.status_code, answer.headers.get("location")) == (303, "/fleet")
            assert city.opened == [1]
            assert (await city.visitor.get("/fleet")).status_code == 200
            stranger = await consent(await city.leave(), "somebody-else")
            query = {name: value[0] for name, value in parse_qs(urlsplit(stranger).query).items()}
            answer = await city.back(query)
            assert answer.status_code == 403
            assert city.opened == [1]


async def test_what_is_sent_along_is_fresh_and_complete(city: Hall, liar: Liar) -> None:
    first, second = [parse_qs(urlsplit(await city.leave()).query) for _ in range(2)]
    assert first["redirect_uri"] == [f"{PUBLIC}/login/with/city/back"]
    assert first["scope"] == ["openid profile"]
    assert first["code_challenge_method"] == ["S256"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43
        assert first[name] != second[name]
    assert liar.asked == [".well-known/openid-configuration"]


async def test_cookie_of_one_under_way_is_guarded_and_goes_when_back(
    city: Hall, liar: Liar
) -> None:
    answer = await city.visitor.get("/login/with/city")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"__Host-{COOKIE}=")
    for part in ("HttpOnly", "SameSite=lax", "Secure", "Path=/", "Max-Age=600"):
        assert part in cookie
    answer = await city.back(liar.authorize(answer.headers["location"]))
    assert f'__Host-{COOKIE}=""' in answer.headers["set-cookie"]


async def test_coming_in_is_noted_without_a_name(city: Hall, liar: Liar) -> None:
    assert (await city.through(liar)).status_code == 303
    assert city.entries() == [("account.sign_in", "account:1", {"what": "signed in"})]


async def test_login_page_offers_each_sign_on_in_both_languages(city: Hall) -> None:
    page = await city.visitor.get("/login", params={"next": "/alarms/1"})
    assert 'href="/login/with/city?next=/alarms/1"' in page.text
    assert "使用市政务登录" in page.text
    await city.visitor.get("/language/en")
    assert "Sign in with City" in (await city.visitor.get("/login")).text


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # and still what many sign with
async def test_every_algorithm_of_the_list_is_verified(
    city: Hall, liar: Liar, clock: ManualClock
) -> None:
    for alg in ALGORITHMS:
        liar.key, liar.alg = new_key(alg), alg
        assert (await city.through(liar)).status_code == 303, alg
        clock.advance(KEYS_AGAIN_MS + 1)
    assert city.opened == [1] * len(ALGORITHMS)


async def test_next_never_leads_away(city: Hall, liar: Liar) -> None:
    away = ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil", "evil"]
    for target in away:
        answer = await city.back(liar.authorize(await city.leave(following=target)))
        assert answer.headers["location"] == "/", target


# --- tokens that prove nothing ----------------------------------------------------------------

CLAIMS: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "another-client"},
    {"aud": ["another-client"]},
    {"aud": []},
    {"aud": None},
    {"aud": ["suyuan", "another-client"]},  # without azp
    {"aud": ["suyuan", "another-client"], "azp": "another-client"},
    {"azp": "another-client"},
    {"iss": "https://evil.example"},
    {"iss": None},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 201},
    {"exp": None},
    {"exp": "soon"},
    {"iat": None},
    {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
]


async def test_token_with_wrong_claims_is_refused(city: Hall, liar: Liar) -> None:
    for claims in CLAIMS:
        liar.claims = claims
        refused(city, await city.through(liar), 400, "无法核实")


async def test_clock_may_be_a_minute_off_and_no_more(
    city: Hall, liar: Liar, clock: ManualClock
) -> None:
    now_s = clock.wall_ms() // 1_000
    for name, within, beyond in [
        ("exp", now_s - SKEW_S + 1, now_s - SKEW_S),
        ("iat", now_s + SKEW_S, now_s + SKEW_S + 1),
        ("nbf", now_s + SKEW_S, now_s + SKEW_S + 1),
    ]:
        liar.claims = {name: within}
        assert (await city.through(liar)).status_code == 303
        liar.claims = {name: beyond}
        assert (await city.through(liar)).status_code == 400
    assert len(city.opened) == 3


def _rsa(liar: Liar) -> RSAKey:
    assert isinstance(liar.key, RSAKey)
    return liar.key


def _forgeries(liar: Liar) -> dict[str, Callable[[dict[str, Any]], str]]:
    other = new_key("RS256")
    secret = OctKey.import_key("client-secret-of-the-tests")

    def signed_by(key: Any, alg: str, kid: str | None) -> Callable[[dict[str, Any]], str]:
        return lambda claims: Liar(key=key, alg=alg).sign(claims, kid=kid)

    def bent(claims: dict[str, Any]) -> str:
        head, body, signature = liar.sign({**claims, "sub": "nobody"}).split(".")
        return ".".join([head, unsigned(claims).split(".")[1] or body, signature])

    return {
        "none": unsigned,
        "None": lambda claims: unsigned(claims, alg="None"),
        "none with the key's id": lambda claims: unsigned(claims, kid=liar.key.kid),
        "no algorithm": lambda claims: unsigned(claims, alg=None),
        "signature cut off": lambda claims: liar.sign(claims).rpartition(".")[0] + ".",
        "bent": bent,
        "public key as secret": lambda claims: with_public_key_as_secret(_rsa(liar), claims),
        "client secret": signed_by(secret, "HS256", None),
        "another key under this id": signed_by(other, "RS256", liar.key.kid),
        "another key": signed_by(other, "RS256", other.kid),
        "its own key along": lambda claims: Liar(key=other).sign(
            claims, jwk=other.as_dict(private=False)
        ),
        "an address for keys along": lambda claims: Liar(key=other).sign(
            claims, jku="https://evil.example/jwks"
        ),
        "critical header": lambda claims: signed_by_hand(_rsa(liar), claims, crit=["x"], x=1),
        "empty": lambda _: "",
        "no token": lambda _: "a.b.c",
        "huge": lambda claims: liar.sign({**claims, "x": "y" * 40_000}),
    }


async def test_forged_token_is_refused(city: Hall, liar: Liar) -> None:
    for how, forge in _forgeries(liar).items():
        liar.forge = forge
        answer = await city.through(liar)
        assert answer.status_code == 400, how
        refused(city, answer, 400, "无法核实")


async def test_key_of_another_kind_than_the_algorithm_says_is_refused(
    city: Hall, liar: Liar
) -> None:
    signer = new_key("ES256")
    liar.published = [liar.key]
    liar.forge = lambda claims: Liar(key=signer, alg="ES256").sign(claims, kid=liar.key.kid)
    refused(city, await city.through(liar), 400, "无法核实")


async def test_secret_among_the_published_keys_is_no_key(city: Hall, liar: Liar) -> None:
    secret = OctKey.generate_key(256, auto_kid=True)
    liar.answer = lambda path: (
        Response(json.dumps({"keys": [secret.as_dict(private=True)]})) if path == "jwks" else None
    )
    liar.forge = lambda claims: Liar(key=secret, alg="HS256").sign(claims)
    refused(city, await city.through(liar), 400, "无法核实")


# --- what the browser brings back -------------------------------------------------------------


async def test_answer_is_taken_once(city: Hall, liar: Liar) -> None:
    answer = await city.visitor.get("/login/with/city")
    cookie, query = answer.headers["set-cookie"], liar.authorize(answer.headers["location"])
    assert (await city.back(query)).status_code == 303
    city.people.opened.clear()
    liar._codes[query["code"]] = {}  # even a provider that would take its code again
    refused(city, await city.back(query), 400, "已过期或已使用")  # the cookie is gone
    headers = {"Cookie": cookie.partition(";")[0]}
    again = await city.visitor.get("/login/with/city/back", params=query, headers=headers)
    refused(city, again, 400, "已过期或已使用")


async def test_answer_for_another_browser_is_refused(
    tmp_path: Path, city: Hall, liar: Liar
) -> None:
    url = await city.leave()
    city.visitor.cookies.clear()
    refused(city, await city.back(liar.authorize(url)), 400, "请重新开始")
    mine = await city.leave()
    refused(city, await city.back(liar.authorize(url)), 400, "请重新开始")  # another state
    assert state_of(url) != state_of(mine)


async def test_cookie_that_we_did_not_write_is_refused(city: Hall, liar: Liar) -> None:
    query = liar.authorize(await city.leave())
    name = f"__Host-{COOKIE}"
    sealed = city.visitor.cookies[name]
    city.visitor.cookies.clear()
    bent = sealed[:9] + ("A" if sealed[9] != "A" else "B") + sealed[10:]
    for value in ("", bent, "eyJ3YXkiOiJjaXR5In0.AAAA", "x" * 10_000, '{"way": "city"}'):
        headers = {"Cookie": f"{name}={value}"}
        answer = await city.visitor.get("/login/with/city/back", params=query, headers=headers)
        refused(city, answer, 400, "请重新开始")


async def test_answer_after_too_long_is_refused(city: Hall, liar: Liar, clock: ManualClock) -> None:
    url = await city.leave()
    clock.advance(FLOW_MS + 1)
    refused(city, await city.back(liar.authorize(url)), 400, "已过期")


async def test_answer_without_a_good_code_is_refused(city: Hall) -> None:
    for query, status, words in [
        ({"error": "access_denied", "error_description": "<script>"}, 401, "未同意"),
        ({}, 400, "请重新开始"),
        ({"code": ""}, 400, "请重新开始"),
        ({"code": "x" * 3_000}, 400, "请重新开始"),
        ({"code": "made-up"}, 400, "无法核实"),
        ({"code": "made-up\r\nX: y"}, 400, "无法核实"),
    ]:
        answer = await city.back({**query, "state": state_of(await city.leave())})
        refused(city, answer, status, words)
        assert "<script>" not in answer.text


async def test_error_with_another_state_is_none_of_ours(city: Hall) -> None:
    for state in ("", "x", "x" * 5_000, "状态"):
        await city.leave()
        answer = await city.back({"error": "access_denied", "state": state})
        refused(city, answer, 400, "请重新开始")


async def test_answer_of_one_sign_on_is_not_taken_for_another(
    tmp_path: Path, clock: ManualClock, liar: Liar
) -> None:
    """Mix-up: a bad provider gets the code of a good one, or its token."""
    async with running(Liar(), clock) as evil:
        ways = [
            provider(tmp_path, liar.issuer),
            provider(tmp_path, evil.issuer, id="evil", organisation="other"),
        ]
        async with hall(tmp_path, *ways, clock=clock) as city:
            await add_people(city.world, liar.issuer)
            at_good = liar.authorize(await city.leave("city"))
            refused(city, await city.back(at_good, "evil"), 400, "请重新开始")
            await city.leave("evil")
            refused(city, await city.back(at_good, "evil"), 400, "请重新开始")
            assert "token" not in evil.asked
            # its answers name their issuer: who says another one was mixed up
            for named, expected in [(evil.issuer, 400), ("", 400), (liar.issuer, 303)]:
                query = {**liar.authorize(await city.leave("city")), "iss": named}
                assert (await city.back(query, "city")).status_code == expected
            city.people.opened.clear()
            # the subject of the one is not the subject of the other
            query = evil.authorize(await city.leave("evil"))
            refused(city, await city.back(query, "evil"), 403, "没有对应的账号")


async def test_answer_must_name_its_issuer_if_the_sign_on_says_it_does(
    city: Hall, liar: Liar
) -> None:
    liar.metadata = {"authorization_response_iss_parameter_supported": True}
    query = liar.authorize(await city.leave())
    refused(city, await city.back(query), 400, "请重新开始")
    query = liar.authorize(await city.leave())
    assert (await city.back({**query, "iss": liar.issuer})).status_code == 303


# --- the sign-on itself -----------------------------------------------------------------------


async def test_new_keys_are_found_and_asked_for_seldom(
    city: Hall, liar: Liar, clock: ManualClock
) -> None:
    assert (await city.through(liar)).status_code == 303
    liar.key = new_key("RS256")
    assert (await city.through(liar)).status_code == 400  # asked for a moment ago
    clock.advance(KEYS_AGAIN_MS + 1)
    assert (await city.through(liar)).status_code == 303
    assert liar.asked.count("jwks") == 2
    liar.forge = lambda claims: Liar(key=new_key("RS256")).sign(claims)
    for _ in range(5):
        assert (await city.through(liar)).status_code == 400
    assert liar.asked.count("jwks") == 2
    liar.forge = None
    clock.advance(KEPT_MS + 1)
    assert (await city.through(liar)).status_code == 303
    assert liar.asked.count("jwks") == 3
    assert liar.asked.count(".well-known/openid-configuration") == 2


async def test_old_key_that_was_taken_back_no_longer_counts(
    city: Hall, liar: Liar, clock: ManualClock
) -> None:
    old = liar.key
    assert (await city.through(liar)).status_code == 303
    liar.published = [new_key("RS256")]
    clock.advance(KEPT_MS + 1)
    liar.forge = lambda claims: Liar(key=old).sign(claims)
    assert (await city.through(liar)).status_code == 400


async def test_sign_on_that_is_away_is_told_and_the_other_ways_stay(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with running(Liar(), clock) as gone:
        issuer = gone.issuer
    async with hall(tmp_path, provider(tmp_path, issuer), clock=clock) as city:
        answer = await city.visitor.get("/login/with/city", params={"next": "/fleet"})
        refused(city, answer, 503, "暂时无法访问")
        assert answer.headers["retry-after"] == "10"
        assert 'value="/fleet"' in answer.text


async def test_sign_on_that_goes_away_in_between_is_told(city: Hall, liar: Liar) -> None:
    for path, status in [("token", 500), ("token", 503), ("jwks", 500)]:
        liar.answer = lambda asked, path=path, status=status: (  # type: ignore[misc]
            Response(status_code=status) if asked == path else None
        )
        refused(city, await city.through(liar), 503, "暂时无法访问")


async def test_discovery_that_leads_astray_is_not_followed(city: Hall, liar: Liar) -> None:
    astray: list[dict[str, Any]] = [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "data:text/html,x"},
        {"authorization_endpoint": "http://a\r\nX: y/"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "ftp://a/b"},
    ]
    for metadata in astray:
        liar.metadata = metadata
        refused(city, await city.visitor.get("/login/with/city"), 503, "暂时无法访问")


async def test_discovery_cannot_make_us_call_inside(
    city: Hall, liar: Liar, clock: ManualClock
) -> None:
    port = urlsplit(liar.issuer).port
    for url in (f"http://127.0.0.2:{port}/x", "http://169.254.169.254/", "http://127.0.0.1:22/"):
        for endpoint in ("token_endpoint", "jwks_uri"):
            liar.metadata = {endpoint: url}
            refused(city, await city.through(liar), 503, "暂时无法访问")
            clock.advance(KEPT_MS + 1)


async def test_nonsense_from_the_sign_on_is_told(
    city: Hall, liar: Liar, clock: ManualClock
) -> None:
    bodies = [b"", b"[]", b"{", b"null", b"[" * 90_000, b" " * 200_000, b"\xff", b"<html>"]
    for path in (".well-known/openid-configuration", "jwks", "token"):
        for body in bodies:
            answered = lambda asked, path=path, body=body: (  # noqa: E731
                Response(body) if asked == path else None
            )
            if path.startswith("."):
                liar.answer = answered
                answer = await city.visitor.get("/login/with/city")
            else:
                query = liar.authorize(await city.leave())
                liar.answer = answered
                answer = await city.back(query)
            refused(city, answer, 503, "暂时无法访问")
            liar.answer = lambda _path: None


async def test_unknown_sign_on_is_not_found(city: Hall) -> None:
    for path in ("/login/with/other", "/login/with/other/back", "/login/with/%2e%2e"):
        assert (await city.visitor.get(path)).status_code == 404


async def test_many_at_once_ask_for_metadata_once(city: Hall, liar: Liar) -> None:
    await asyncio.gather(*(city.desk.begin("city", target="/") for _ in range(20)))
    assert liar.asked == [".well-known/openid-configuration"]


# --- whose account ----------------------------------------------------------------------------


async def test_account_that_is_not_active_stays_out(city: Hall, liar: Liar) -> None:
    await add_account(city.world, "zhao", [(liar.issuer, "u-2")], state="disabled")
    liar.claims = {"sub": "u-2"}
    refused(city, await city.through(liar), 403, "不能登录")


async def test_nobody_comes_in_by_a_name_alone(city: Hall, liar: Liar) -> None:
    liar.claims = {"sub": "u-9", "preferred_username": "li", "email": "li@example.org"}
    refused(city, await city.through(liar), 403, "没有对应的账号")


def accounts(city: Hall) -> dict[str, list[str]]:
    return {one.username: list(one.roles) for one in accounts_of(city.world).of()}


@pytest.fixture
async def open_city(tmp_path: Path, liar: Liar, clock: ManualClock) -> AsyncIterator[Hall]:
    """A hall that makes accounts for two groups; there is a local account `li`, linked as u-1."""
    way = provider(
        tmp_path,
        liar.issuer,
        create_accounts=True,
        role_claim="groups",
        roles={
            "lifts": ("regulator",),
            "inspection": ("inspector", "regulator"),
            "boss": ("administrator",),
        },
    )
    async with hall(tmp_path, way, clock=clock) as found:
        await add_people(found.world, liar.issuer)
        yield found


async def test_mapped_group_makes_an_account_whose_roles_follow(
    open_city: Hall, liar: Liar
) -> None:
    city, liar.claims = (
        open_city,
        {
            "sub": "u-5",
            "preferred_username": "Wang.Wu",
            "name": "王五",
            "groups": ["lifts", "unheard-of", 7],
        },
    )
    assert (await city.through(liar)).status_code == 303
    assert accounts(city)["wang.wu@city"] == ["regulator"]
    liar.claims["groups"] = "inspection"
    assert (await city.through(liar)).status_code == 303
    assert accounts(city)["wang.wu@city"] == ["inspector", "regulator"]
    assert city.opened == [2, 2]
    city.people.opened.clear()
    liar.claims["groups"] = []
    refused(city, await city.through(liar), 403, "没有对应的账号")
    made = {"what": "made", "roles": ["regulator"]}
    assert city.entries()[0] == ("account.sign_in", "account:2", made)


async def test_no_mapped_group_or_a_role_not_held_there_makes_no_account(
    open_city: Hall, liar: Liar
) -> None:
    groups: list[Any] = [None, [], "unheard-of", ["LIFTS"], {"lifts": True}, 7, ["boss"]]
    for said in groups:
        liar.claims = {"sub": "u-6", "groups": said}
        refused(open_city, await open_city.through(liar), 403, "没有对应的账号")
    assert list(accounts(open_city)) == ["li"]


async def test_made_account_never_takes_a_name_that_is_there(open_city: Hall, liar: Liar) -> None:
    for number, name in enumerate(["li", "li", "x" * 300, "a b", "管理员", "", 7, "a@city"]):
        liar.claims = {"sub": f"u-{number + 10}", "groups": "lifts", "preferred_username": name}
        assert (await open_city.through(liar)).status_code == 303
    names = list(accounts(open_city))
    assert len(names) == len(set(names)) == 9
    assert names[:2] == ["li", "li@city"]
    assert all(name.endswith("@city") and len(name) <= 64 for name in names[1:])


async def test_roles_of_a_local_account_are_not_the_sign_ons_to_say(
    open_city: Hall, liar: Liar
) -> None:
    liar.claims = {"groups": "inspection"}
    assert (await open_city.through(liar)).status_code == 303
    assert accounts(open_city)["li"] == ["regulator"]


# --- linking ----------------------------------------------------------------------------------


async def test_account_links_itself_and_only_while_signed_in(city: Hall, liar: Liar) -> None:
    other = await add_account(city.world, "zhao", [])
    liar.claims = {"sub": "u-7"}
    begun = await city.desk.begin("city", target="/", link=other)
    query = liar.authorize(begun.url)
    for signed_in in (None, 1):
        with pytest.raises(RefuseInput, match="somebody else"):
            await city.desk.finish("city", cookie=begun.cookie, query=query, account=signed_in)
    await city.desk.finish("city", cookie=begun.cookie, query=query, account=other)
    assert city.opened == [other]
    rows = city.world.database.read_now(lambda c: c.execute(select(identity)).all())
    assert {(row.subject, row.account) for row in rows} == {("u-1", 1), ("u-7", other)}
    assert city.entries()[0] == ("account.sign_in", f"account:{other}", {"what": "linked"})


async def test_identity_of_another_account_is_not_taken_over(city: Hall, liar: Liar) -> None:
    other = await add_account(city.world, "zhao", [])
    begun = await city.desk.begin("city", target="/", link=other)
    with pytest.raises(RefuseInput, match="linked_elsewhere"):
        await city.desk.finish(
            "city", cookie=begun.cookie, query=liar.authorize(begun.url), account=other
        )
    assert city.opened == []


async def test_linking_from_a_page_leads_on_by_a_page(city: Hall, liar: Liar) -> None:
    """A form may lead nowhere else (CSP form-action), so a link does."""
    other = await add_account(city.world, "zhao", [])
    session = await city.people.open_session(other, second_factor=True)
    assert session is not None
    city.visitor.cookies.set(f"__Host-{SESSION_COOKIE}", session.cookie)
    answer = await city.visitor.post("/login/with/city/link", data={"csrf": session.csrf})
    assert answer.status_code == 200
    link = re.search(r'<a class="big way" href="([^"]+)"', answer.text)
    assert link
    liar.claims = {"sub": "u-7"}
    answer = await city.back(liar.authorize(html.unescape(link[1])))
    assert answer.status_code == 303
    assert city.opened == [other, other]


async def test_linking_begins_only_from_a_page_of_ones_own(city: Hall, liar: Liar) -> None:
    for form in ({}, {"csrf": "made-up"}):
        answer = await city.visitor.post("/login/with/city/link", data=form)
        assert answer.status_code == 403
    assert liar.asked == []


async def _signed_in(city: Hall, account: int) -> str:
    """Sign the visitor in; return what its forms must bring."""
    session = await city.people.open_session(account, second_factor=True)
    assert session is not None
    city.visitor.cookies.clear()
    city.visitor.cookies.set(f"__Host-{SESSION_COOKIE}", session.cookie)
    return session.csrf


async def test_own_page_links_and_undoes_a_link(city: Hall, liar: Liar) -> None:
    other = await add_account(city.world, "zhao", [], password="$argon2id$of-zhao")
    form = {"csrf": await _signed_in(city, other)}
    link, unlink = "/login/with/city/link", "/account/sign-on/city/unlink"
    page = await city.visitor.get("/account")
    assert f'action="{link}"' in page.text
    assert f'action="{unlink}"' not in page.text
    begun = await city.visitor.post(link, data=form)
    url = re.search(r'<a class="big way" href="([^"]+)"', begun.text)
    assert url
    liar.claims = {"sub": "u-7"}
    answer = await city.back(liar.authorize(html.unescape(url[1])))
    assert answer.headers["location"] == "/account?done=linked"
    page = await city.visitor.get("/account?done=linked")
    assert "已与统一登录关联" in page.text
    assert f'action="{unlink}"' in page.text
    form = {"csrf": await _signed_in(city, other)}
    answer = await city.visitor.post(unlink, data=form)
    assert answer.headers["location"] == "/account?done=unlinked"
    assert city.entries()[-1][1:] == (f"account:{other}", {"what": "unlinked", "way": "city"})
    assert (await city.visitor.post(unlink, data=form)).status_code == 404
    city.visitor.cookies.clear()
    assert (await city.through(liar)).status_code == 403
    liar.claims = {"sub": "u-1"}  # of somebody else, whose link stayed
    assert (await city.through(liar)).status_code == 303


async def test_link_is_undone_only_by_a_page_of_ones_own_and_never_the_last_way_in(
    city: Hall, liar: Liar
) -> None:
    csrf, unlink = await _signed_in(city, 1), "/account/sign-on/city/unlink"
    for form in ({}, {"csrf": "made-up"}):
        assert (await city.visitor.post(unlink, data=form)).status_code == 403
    answer = await city.visitor.post("/account/sign-on/nowhere/unlink", data={"csrf": csrf})
    assert answer.status_code == 404
    answer = await city.visitor.post(unlink, data={"csrf": csrf})
    assert answer.status_code == 409
    assert "没有密码" in answer.text
    city.visitor.cookies.clear()
    assert (await city.through(liar)).status_code == 303
