"""Enterprise platforms behind the HTTP side of the tests, and items of them."""

from collections.abc import Sequence
from typing import Any

import httpx

from cloud.access.book import AccessBook
from cloud.access.limiter import FailureLimiter
from cloud.model.database import Database
from cloud.model.dead_letter import DeadLetter
from cloud.organisations.book import OrganisationBook
from cloud.platforms.book import PlatformBook
from cloud.platforms.intake import PlatformIntake
from cloud.registry.assets import AssetRegistry
from protocols.clock import Clock, iso
from protocols.lifts.dialect import Dialects, load_dialects

BASE = "/api/v1/platforms"
CODE = "31102202022026010017"
LIFT = f"elevator:{CODE}"


class Intake(PlatformIntake):
    """The door, with its dead letters at hand."""

    dead: list[DeadLetter]


def open_platforms(
    database: Database,
    clock: Clock,
    access: AccessBook,
    organisations: OrganisationBook,
    registry: AssetRegistry,
    dialects: Dialects | None = None,
) -> dict[str, Any]:
    """Open the book of platforms and the door for what they send."""
    known = load_dialects() if dialects is None else dialects
    book = PlatformBook(
        database,
        clock,
        dialects=known,
        organisation=organisations.peek,
        failures=FailureLimiter(),
    )
    access.machine = book.bearer
    dead: list[DeadLetter] = []

    async def keep_dead(letters: Sequence[DeadLetter]) -> None:
        dead.extend(letters)

    intake = Intake(
        database,
        clock,
        dialects=known,
        platform=book.known,
        asset=registry.peek,
        finding=registry.add_finding,
        keep_dead=keep_dead,
        on_taken=lambda: None,
    )
    intake.dead = dead
    return {"platforms": book, "intake": intake}


async def register(
    client: httpx.AsyncClient,
    platform: str = "acme",
    *,
    dialect: str = "special-equipment",
    version: str = "1",
    organisation: str = "firm-a",
) -> str:
    """Register a platform and return its secret."""
    body = {
        "id": platform,
        "name": f"{platform} 云平台",
        "dialect": dialect,
        "dialect_version": version,
        "organisation": organisation,
    }
    answer = await client.post(BASE, json=body)
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["secret"]
    return secret


async def token_of(
    client: httpx.AsyncClient, secret: str, platform: str = "acme", scope: str = ""
) -> dict[str, str]:
    """Return the headers of a platform that has a token."""
    form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
    answer = await client.post("/oauth2/token", data=form, auth=(platform, secret))
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def status(at: int, *codes: str | int, **fields: Any) -> dict[str, Any]:
    """Return a status item in the regional form."""
    values = {"service_mode": 1, "car_status": 0, "door_status": 1, "passenger_status": 2}
    return {
        "registration_code": CODE,
        "time_stamps": iso(at),
        "values": values,
        "message_code": list(codes) or [0],
        **fields,
    }


def message(at: int, *codes: str | int, **fields: Any) -> dict[str, Any]:
    """Return a message item."""
    return {
        "registration_code": CODE,
        "time_stamps": iso(at),
        "message_code": list(codes),
        **fields,
    }
