"""Organisations of the tests, and people who speak for them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
from fastapi import FastAPI

from cloud.access.base import Access
from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app
from cloud.feed.store import FeedStore
from cloud.model.organisation import Details
from cloud.model.permissions import Reach, administrator, permissions
from cloud.model.principal import Principal
from cloud.model.session import Pending, Session
from cloud.organisations.details import credit_code as checked
from tests.support.http_services import World

DISTRICT, OTHER_DISTRICT = "船营区", "龙潭区"
ROOT = administrator("token", "token:admin", "admin")
PASSWORD = "a long password of the tests"
_CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def credit_code(number: int) -> str:
    """Return a credit code with both its check characters (GB 32100, GB 11714)."""
    own = f"MA{number:06d}"
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(digits.index(one) * weight for one, weight in zip(own, weights, strict=True))
    code = f"91220202{own}{'0123456789X'[-total % 11]}"
    rest = sum(_CREDIT.index(one) * pow(3, at, 31) for at, one in enumerate(code))
    return checked(code + _CREDIT[-rest % 31])


def firm_details(number: int, **fields: Any) -> Details:
    """Return the file of a firm."""
    given = {
        "kind": "enterprise",
        "name": f"企业 {number}",
        "credit_code": credit_code(number),
        "districts": (DISTRICT,),
        "categories": ("food",),
    }
    return Details(**{**given, **fields})


def district_details(*districts: str) -> Details:
    """Return the file of a district's office."""
    return Details(kind="district", name="区市场监管局", districts=districts)


def application(number: int, **fields: Any) -> dict[str, Any]:
    """Return what a firm sends that asks to be let in."""
    given = {
        "kind": "enterprise",
        "name": f"企业 {number}",
        "credit_code": credit_code(number),
        "districts": [DISTRICT],
        "categories": ["food"],
        "contact": {"name": "王五", "phone": "0432-6248 0001"},
        "username": f"manager{number}",
        "password": PASSWORD,
    }
    return {**given, **fields}


@dataclass
class People:
    """Who may come in: by tokens that the test gives out, and as the service lets one."""

    world: World
    _tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    _sessions: dict[str, Session] = field(default_factory=dict)

    def give(self, role: str, organisation: str) -> dict[str, str]:
        """Return the headers of somebody with this role there."""
        token = f"{role}.{organisation}"
        self._tokens[token] = role, organisation
        return {"Authorization": f"Bearer {token}"}

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is, unless the organisation is not active."""
        known = self._tokens.get(token)
        return self._principal(known[0], known[1], 7) if known else None

    async def log_in_token(self, token: str, *, person: str, address: str) -> Session | None:
        """Open a session by a token that the test gave out."""
        del person, address
        principal = self.bearer(token)
        if principal is None:
            return None
        name = secrets.token_hex(8)
        self._sessions[name] = Session(
            id=name[:8],
            cookie=name,
            principal=principal,
            csrf=secrets.token_hex(8),
            opened_at=self.world.clock.wall_ms(),
        )
        return self._sessions[name]

    async def log_in(
        self, username: str, password: str, *, address: str, known: str = ""
    ) -> Session | Pending | None:
        """Come in as the service lets one."""
        access = self.world.services.access
        return await access.log_in(username, password, address=address, known=known)

    def known(self, account_id: int) -> str:
        """Return what the service gives a browser."""
        return self.world.services.access.known(account_id)

    def seal(self, page: str, content: Mapping[str, str], *, session: str) -> str:
        """Seal as the service does."""
        return self.world.services.access.seal(page, content, session=session)

    def unseal(self, page: str, sealed: str, *, session: str) -> Mapping[str, str] | None:
        """Unseal as the service does."""
        return self.world.services.access.unseal(page, sealed, session=session)

    def session(self, cookie: str) -> Session | None:
        """Return an open session, as long as its organisation is active."""
        found = self._sessions.get(cookie)
        if found is None:
            return self.world.services.access.session(cookie)
        one = self.world.organisations.peek(found.principal.organisation or "")
        return found if one is not None and one.state == "active" else None

    def _principal(self, role: str, organisation: str, number: int) -> Principal | None:
        one = self.world.organisations.peek(organisation)
        if one is None or one.state != "active":
            return None
        reach = Reach(
            organisation=organisation,
            districts=frozenset(one.districts) or None,
            categories=frozenset(one.categories) or None,
            account=number,
        )
        return Principal(
            kind="account",
            id=f"account:{number}",
            by=role,
            organisation=organisation,
            account=number,
            may=permissions([role], reach),
        )


def with_people(world: World) -> tuple[FastAPI, People]:
    """Return the application with people at its door, and alarms that ask whose they are."""
    people, feed = People(world), FeedStore(world.database, world.clock)
    desk = AlarmDesk(
        database=world.database,
        clock=world.clock,
        append_feed=feed.append,
        on_commit=feed.committed,
    )
    services = replace(world.services, access=cast("Access", people), alarms=desk)
    return create_app(services), people


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """Return a client of an application in this process."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def put(world: World, organisation_id: str, details: Details) -> None:
    """Make an organisation."""
    await world.organisations.put(organisation_id, details, by=ROOT)
