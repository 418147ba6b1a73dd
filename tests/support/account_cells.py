"""Accounts and keys of several organisations, and what each call shows a caller of them."""

from collections.abc import Awaitable, Callable
from typing import cast

from sqlalchemy import insert

from cloud.access.book import AccessBook
from cloud.model.people_tables import account, api_key, device
from tests.support.cells import Caller, City, table
from tests.support.http_services import World

ACCOUNTS = {1: "platform", 2: "firm-a", 3: "firm-b", 7: "firm-a"}
"""Organisations by account; 7 is that of every caller."""
KEYS = {1: "firm-a", 2: "firm-b"}
DEVICES = {1: "platform", 2: "firm-a", 3: "firm-b", 7: "firm-a"}
"""Organisations by handheld, each that of the account with its number."""


async def settle_accounts(world: World) -> None:
    """Make them."""
    common = {"name": "somebody", "recovery": "[]", "state": "active", "failures": 0}
    dates = {"created_at": 1, "updated_at": 1}
    roles = '["enterprise_manager","enterprise_clerk"]'
    people = [
        {"id": n, "username": f"user-{n}", "organisation": one, "roles": roles, **common, **dates}
        for n, one in ACCOUNTS.items()
    ]
    keys = [
        {
            "id": n,
            "sha256": f"{n}",
            "name": "k",
            "account": 2,
            "organisation": one,
            "calls": "[]",
            "created_at": world.clock.wall_ms(),
            "expires_at": world.clock.wall_ms() + 10**9,
        }
        for n, one in KEYS.items()
    ]
    world.database.write_now(lambda c: c.execute(insert(account), people))
    world.database.write_now(lambda c: c.execute(insert(api_key), keys))
    held = [
        {
            "id": f"{n:016}",
            "sha256": f"{n}",
            "name": "h",
            "account": n,
            "organisation": one,
            "issued_at": world.clock.wall_ms(),
            "renewed_at": world.clock.wall_ms(),
            "expires_at": world.clock.wall_ms() + 10**9,
        }
        for n, one in DEVICES.items()
    ]
    world.database.write_now(lambda c: c.execute(insert(device), held))
    await cast("AccessBook", world.services.access).load()


def reached(call: str, caller: Caller, of: dict[int, str]) -> set[int]:
    """Tell by the table alone which of them the call reaches."""
    row = next(row for row in table("calls")["call"] if row["id"] == call)
    found: set[int] = set()
    if caller.role in row.get("all", ()):
        found |= set(of)
    if caller.role in row.get("own", ()):
        found |= {number for number, one in of.items() if one == caller.organisation}
    if caller.role in row.get("self", ()):
        found |= {7} & set(of)
    return found


async def read_accounts(city: City, caller: Caller) -> set[int]:
    """List them, and look at each."""
    answer = await city.get(caller, "/api/v1/accounts")
    listed = {one["id"] for one in answer.json()} if answer.status_code == 200 else set()
    each = set()
    for number in ACCOUNTS:
        one = await city.get(caller, f"/api/v1/accounts/{number}")
        assert one.status_code in (200, 403, 404)
        each |= {number} if one.status_code == 200 else set()
    assert each == listed
    return listed


async def write_accounts(city: City, caller: Caller) -> set[int]:
    """Rename each, reset each, hand each over to itself (which leads nowhere)."""
    done = []
    for method, path, body, right in (
        ("PATCH", "", {"name": "else"}, 200),
        ("POST", "/hand-over", {"to": 2}, 400),
    ):
        found = set()
        for number, organisation in ACCOUNTS.items():
            target = body if "to" not in body else {"to": number}
            answer = await city.send(caller, method, f"/api/v1/accounts/{number}{path}", target)
            forbidden = (right, 403) if organisation == "platform" else (right,)
            assert answer.status_code in (200, 400, 403, 404), answer.text
            if answer.status_code in forbidden and "may not" not in answer.text:
                found.add(number)
        done.append(found)
    assert done[0] == done[1]
    return done[0]


async def write_keys(city: City, caller: Caller) -> set[int]:
    """Revoke each."""
    found = set()
    for number in KEYS:
        answer = await city.send(caller, "DELETE", f"/api/v1/keys/{number}", None)
        assert answer.status_code in (200, 403, 404)
        found |= {number} if answer.status_code == 200 else set()
    return found


async def write_devices(city: City, caller: Caller) -> set[int]:
    """List them, revoke each, and ask for a code for another of the same account."""
    listed = await city.get(caller, "/api/v1/devices")
    found, invited = set(), set()
    for number in DEVICES:
        answer = await city.send(caller, "DELETE", f"/api/v1/devices/{number:016}", None)
        assert answer.status_code in (200, 403, 404)
        found |= {number} if answer.status_code == 200 else set()
        code = await city.send(caller, "POST", "/api/v1/devices/codes", {"account": number})
        assert code.status_code in (201, 403, 404)
        invited |= {number} if code.status_code == 201 or "not active" in code.text else set()
    items = listed.json() if listed.status_code == 200 else []
    assert {int(one["id"]) for one in items} == found == invited
    return found


async def use_own(city: City, caller: Caller) -> set[int]:
    """Look at the own account; a token alone gets no further than that."""
    answer = await city.get(caller, "/api/v1/me")
    assert answer.status_code in (200, 403)
    for method, path, body in (
        ("POST", "/password", {"old": "x", "new": "y"}),
        ("POST", "/second-factor", None),
        ("POST", "/second-factor/confirm", {"sealed": "", "code": "", "password": ""}),
        ("DELETE", "/second-factor", {"password": ""}),
        ("DELETE", "/sessions/0", None),
    ):
        refused = await city.send(caller, method, f"/api/v1/me{path}", body)
        assert refused.status_code == 403, refused.text
    return {answer.json()["id"]} if answer.status_code == 200 else set()


Probe = Callable[[City, Caller], Awaitable[set[int]]]
ACCOUNT_PROBES: dict[str, tuple[Probe, dict[int, str]]] = {
    "accounts.read": (read_accounts, ACCOUNTS),
    "accounts.write": (write_accounts, ACCOUNTS),
    "keys.write": (write_keys, KEYS),
    "devices.write": (write_devices, DEVICES),
    "account.use": (use_own, ACCOUNTS),
}
