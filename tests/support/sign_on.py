"""Sign-ons for tests: one of another hand as a child process, and one that lies when told to."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fastapi import FastAPI, Request, Response
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from sqlalchemy import insert

from cloud.access.accounts import AccountBook
from cloud.access.book import AccessBook
from cloud.audit.base import Audit
from cloud.model.account import Account, AccountState
from cloud.model.people_tables import identity, organisation
from cloud.model.session import Session
from cloud.oidc.desk import SignOnDesk
from cloud.oidc.people import People
from cloud.oidc.settings import Provider
from cloud.organisations.book import OrganisationBook
from cloud.outbound.caller import Caller
from cloud.outbound.policy import read_policy
from protocols.clock import Clock
from tests.support.browser import serve
from tests.support.http_services import World
from tests.support.mosquitto import free_port, wait_for_port

CLIENT, SECRET = "suyuan", "client-secret-of-the-tests"
CITY = "city-department"
PUBLIC = "https://suyuan.example.org"


def provider(folder: Path, issuer: str, **changed: Any) -> Provider:
    """Return the settings of a sign-on."""
    file = folder / "client_secret"
    file.write_text(SECRET + "\n")
    fields: dict[str, Any] = {
        "id": "city",
        "title": "City",
        "title_zh": "市政务",
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret_file": str(file),
        "organisation": CITY,
        **changed,
    }
    return Provider(**fields)


@contextlib.contextmanager
def mock_provider() -> Iterator[str]:
    """Run `oidc-provider-mock` as a child process; yields its issuer."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, child, timeout_s=20)
        yield f"http://localhost:{port}"
    finally:
        child.kill()
        child.wait(10)


async def consent(url: str, subject: str) -> str:
    """Sign on at the mock provider as a browser would; return where it sends the browser."""
    async with httpx.AsyncClient() as client:
        page = await client.get(url)
        assert page.status_code == 200, page.text
        answer = await client.post(url, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


@dataclass
class Liar:
    """A provider that does all of the protocol, but for what a test makes it do otherwise."""

    issuer: str = ""
    clock: Clock | None = None
    key: Key = field(default_factory=lambda: new_key("RS256"))
    alg: str = "RS256"
    published: list[Key] | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    """Said in the ID token beside what belongs there; None: left out."""
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    forge: Callable[[dict[str, Any]], str] | None = None
    """Makes the ID token of claims, instead of signing them."""
    answer: Callable[[str], Response | None] = lambda _path: None
    """Answers a path, instead of what belongs there."""
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str) -> dict[str, str]:
        """Sign somebody on at an authorization URL; return what the browser brings back."""
        said = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert said["response_type"] == "code"
        assert said["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = said
        return {"code": code, "state": said["state"]}

    def app(self) -> FastAPI:
        """Build the provider."""
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def everything(request: Request, path: str) -> Response:
            self.asked.append(path)
            instead = self.answer(path)
            if instead is not None:
                return instead
            if path == ".well-known/openid-configuration":
                return _json(self._discovery())
            if path == "jwks":
                keys = self.published if self.published is not None else [self.key]
                return _json({"keys": [key.as_dict(private=False) for key in keys]})
            if path == "token":
                return self._token(request, (await request.body()).decode())
            return Response(status_code=404)

        return app

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            **self.metadata,
        }

    def _token(self, request: Request, body: str) -> Response:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        said = self._codes.pop(form.get("code", ""), None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            said is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or said["code_challenge"] != challenge
            or said["redirect_uri"] != form.get("redirect_uri")
        ):
            return _json({"error": "invalid_grant"}, 400)
        assert self.clock is not None
        now_s = self.clock.wall_ms() // 1_000
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "u-1",
            "iat": now_s,
            "exp": now_s + 300,
            "nonce": said["nonce"],
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        token = self.forge(claims) if self.forge else self.sign(claims)
        return _json({"id_token": token, "access_token": "at", "token_type": "Bearer"})

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Sign claims as this provider does now."""
        head = {"alg": self.alg, "kid": self.key.kid, **self.header, **header}
        head = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(head, dict(claims), self.key, algorithms=[str(head["alg"])])


@contextlib.asynccontextmanager
async def running(liar: Liar, clock: Clock) -> AsyncIterator[Liar]:
    """Serve a provider on the loopback."""
    async with serve(liar.app(), asyncio.Event()) as address:
        liar.issuer, liar.clock = address, clock
        yield liar


def unsigned(claims: Mapping[str, Any], **header: Any) -> str:
    """Return a token that nobody signed."""
    parts = [{"typ": "JWT", "alg": "none", **header}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b""]).decode()


def with_public_key_as_secret(key: RSAKey, claims: Mapping[str, Any]) -> str:
    """Return a token with an HMAC under the public key, which everybody has."""
    start = unsigned(claims, alg="HS256", kid=key.kid)[:-1]
    digest = hmac.digest(key.as_pem(private=False), start.encode(), "sha256")
    return f"{start}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def signed_by_hand(key: RSAKey, claims: Mapping[str, Any], **header: Any) -> str:
    """Return a token whose header no library would write."""
    start = unsigned(claims, **{"alg": "RS256", "kid": key.kid, **header})[:-1]
    assert key.private_key is not None
    signature = key.private_key.sign(start.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{start}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def new_key(alg: str) -> Key:
    """Make a key for an algorithm."""
    if alg.startswith("ES"):
        curves = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
        return ECKey.generate_key(curves[alg], auto_kid=True)
    if alg.startswith("Ed"):
        return OKPKey.generate_key("Ed25519", auto_kid=True)
    return RSAKey.generate_key(2048, auto_kid=True)


class OpenedSessions:
    """Opens sessions, and remembers for which accounts."""

    def __init__(self, access: AccessBook) -> None:
        self._access = access
        self.opened: list[int] = []

    async def open_session(self, account_id: int, *, second_factor: bool) -> Session | None:
        """Open one."""
        session = await self._access.open_session(account_id, second_factor=second_factor)
        if session is not None:
            self.opened.append(account_id)
        return session


def desk_of(
    *providers: Provider, clock: Clock, base_url: str = PUBLIC
) -> tuple[Callable[[AccessBook, OrganisationBook, Audit], SignOnDesk], list[OpenedSessions]]:
    """Return what builds a desk for `open_world`, and where the sessions that it opens are told."""
    ports = [urlsplit(one.issuer).port or 443 for one in providers]
    caller = Caller(read_policy(ports, ["127.0.0.1", "::1"]), timeout_s=5, answer_bytes_max=100_000)
    opening: list[OpenedSessions] = []

    def make(access: AccessBook, organisations: OrganisationBook, audit: Audit) -> SignOnDesk:
        opening.append(OpenedSessions(access))
        database = access._database
        return SignOnDesk(
            providers,
            base_url=base_url,
            database=database,
            outbound=caller,
            people=People(database, access.accounts, organisations, audit, clock),
            sessions=opening[0],
            clock=clock,
        )

    return make, opening


async def add_people(world: World, issuer: str) -> int:
    """Add the city's department, and an account linked with subject `u-1`; return its id."""
    fields = {
        "id": CITY,
        "kind": "department",
        "name": "市场监管局",
        **dict.fromkeys(("districts", "categories"), "[]"),
        **dict.fromkeys(("contact", "quotas"), "{}"),
        "tolerances": "standard",
        "state": "active",
        **dict.fromkeys(("applied_at", "repeated", "updated_at"), 0),
        "reason": "",
    }
    world.database.write_now(lambda c: c.execute(insert(organisation).values(**fields)))
    await world.organisations.load()
    return await add_account(world, "li", [(issuer, "u-1")])


async def add_account(
    world: World,
    username: str,
    identities: list[tuple[str, str]],
    state: AccountState = "active",
    password: str | None = None,
) -> int:
    """Add an account with its identities; return its id."""
    new = Account(
        id=0,
        username=username,
        name="李四",
        organisation=CITY,
        roles=("regulator",),
        password=password,
        state=state,
        created_at=0,
        updated_at=0,
    )
    added = await accounts_of(world).add(new, note=lambda _: lambda _connection: None)
    for issuer, subject in identities:
        row = {"issuer": issuer, "subject": subject, "account": added.id, "created_at": 0}
        world.database.write_now(lambda c, row=row: c.execute(insert(identity).values(**row)))  # type: ignore[misc]
    return added.id


def accounts_of(world: World) -> AccountBook:
    """Return the accounts of a world."""
    access = world.services.access
    assert isinstance(access, AccessBook)
    return access.accounts


def state_of(url: str) -> str:
    """Return the state in an authorization URL."""
    found = re.search(r"[?&]state=([^&]+)", url)
    assert found
    return found[1]


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status_code=status, media_type="application/json")
