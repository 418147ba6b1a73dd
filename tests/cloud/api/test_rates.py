"""Rate limits: who asks too often waits, a busy rescue centre never does, memory stays bounded."""

import resource
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.api.rates import BUCKETS_MAX, Buckets, RateLimit, Rates, address_key, cost_of
from cloud.model.session import SESSION_COOKIE
from protocols.clock import ManualClock
from tests.support.http_services import LIFT, TOKEN, World, entrapment, open_world

TIGHT = Rates(caller_points_per_s=1, caller_points=10, address_points_per_s=1, address_points=40)
ALARMS = "/api/v1/alarms"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(tmp_path, clock=ManualClock(), rates=TIGHT)
    yield world
    world.database.close()


def visitor(world: World, address: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(world.app, raise_app_exceptions=False, client=(address, 4_000))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def statuses(client: httpx.AsyncClient, count: int, **options: dict[str, str]) -> list[int]:
    return [(await client.get(ALARMS, **options)).status_code for _ in range(count)]  # type: ignore[arg-type]


async def test_caller_waits_when_the_points_are_spent_and_goes_on_after(world: World) -> None:
    client = visitor(world)
    assert await statuses(client, 1, headers=BEARER) == [200]  # of the address: not yet known
    assert await statuses(client, 11, headers=BEARER) == [200] * 10 + [429]
    answer = await client.get(ALARMS, headers=BEARER)
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(2_000)
    assert await statuses(client, 3, headers=BEARER) == [200, 200, 429]


async def test_caller_and_its_address_have_points_of_their_own(world: World) -> None:
    client = visitor(world)
    await statuses(client, 12, headers=BEARER)
    assert await statuses(client, 1) == [401]
    assert await statuses(client, 39) == [401] * 38 + [429]
    assert await statuses(visitor(world, "192.0.2.2"), 1) == [401]
    assert await statuses(visitor(world, "192.0.2.2"), 1, headers=BEARER) == [429]


async def test_caller_is_the_same_from_every_address_and_by_session(world: World) -> None:
    session = await world.services.access.log_in_token(TOKEN, person="Li", address="")
    assert session is not None
    cookie = {"Cookie": f"{SESSION_COOKIE}={session.cookie}"}
    await statuses(visitor(world, "192.0.2.1"), 6, headers=BEARER)
    await statuses(visitor(world, "192.0.2.2"), 6, headers=cookie)
    assert await statuses(visitor(world, "192.0.2.3"), 1, headers=BEARER) == [429]


async def test_made_up_tokens_are_no_new_callers(world: World) -> None:
    client = visitor(world)
    found = [
        (await client.get(ALARMS, headers={"Authorization": f"Bearer {number}"})).status_code
        for number in range(41)
    ]
    assert found == [401] * 40 + [429]


async def test_static_file_between_does_not_forget_the_caller(world: World) -> None:
    client = visitor(world)
    await statuses(client, 1, headers=BEARER)
    assert (await client.get("/static/console.css", headers=BEARER)).status_code == 200
    assert await statuses(client, 10, headers=BEARER) == [*[200] * 9, 429]


async def test_what_a_life_may_hang_on_is_never_counted(world: World) -> None:
    client = visitor(world)
    await statuses(client, 60)
    await statuses(client, 60, headers=BEARER)
    for path in ("/healthz", "/readyz", "/metrics", "/parts/alive"):
        for _ in range(60):
            assert (await client.get(path, headers=BEARER)).status_code in (200, 303)
    world.feed.oldest = 5
    for _ in range(60):
        answer = await client.get("/api/v1/feed", params={"after": "1"}, headers=BEARER)
        assert answer.status_code == 410
    for number in range(1, 60):
        world.desk.put(entrapment(world.clock, number))
        answer = await client.post(f"/api/v1/alarms/{number}/acknowledge", headers=BEARER)
        assert answer.status_code == 200
    assert await statuses(client, 1, headers=BEARER) == [429]


async def test_login_is_dear(world: World) -> None:
    client = visitor(world)
    for status in (401, 401, 429):
        answer = await client.post("/login", data={"token": "wrong"})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "cost"),
    [
        ("GET", ALARMS, 1),
        ("GET", "/login", 1),
        ("POST", "/login", 20),
        ("POST", "/api/v1/enroll", 20),
        ("POST", "/api/v1/enroll/renew", 20),
        ("POST", "/api/v1/redeem", 20),
        ("POST", "/api/v1/signup", 20),
        ("POST", "/signup", 20),
        ("GET", "/login/with/city/back", 20),
        ("GET", "/login/with/city", 20),
        ("GET", "/open/assets.csv", 10),
        ("PUT", f"/api/v1/assets/{LIFT}", 2),
        ("DELETE", "/anything", 2),
        ("POST", "/alarms/1/acknowledge", 0),
        ("GET", "/alarms/1/acknowledge", 1),
        ("GET", "/api/v1/feed", 0),
        ("GET", "/healthz", 0),
    ],
)
def test_cost_of_kinds_of_requests(method: str, path: str, cost: int) -> None:
    assert cost_of(Rates(), method, path) == cost


def test_busy_rescue_centre_is_never_limited() -> None:
    """40 screens on one account, 100 open alarms that change each second, for an hour."""
    rates, wall_ms = Rates(), 0.0
    buckets = Buckets(rates.caller_points_per_s, rates.caller_points)
    for second in range(3_600):
        wall_ms += 1_000
        polls = 40 * 100 // 5  # each card of each screen every 5 s
        changes = 40 * 2 if second % 2 else 0  # two parts after each change, taken together
        assert buckets.take("account:1", polls + changes, wall_ms) == 0


def test_office_that_signs_in_at_eight_is_not_limited() -> None:
    """400 people behind one address within two minutes, each with the page and its files."""
    rates = Rates()
    buckets = Buckets(rates.address_points_per_s, rates.address_points)
    for number in range(400):
        cost = rates.login_cost + 12 * rates.read_cost
        assert buckets.take("203.0.113.1", cost, number * 300) == 0


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 20)), min_size=1, max_size=60),
    st.integers(1, 50),
    st.integers(20, 200),
)
def test_buckets_give_what_plain_counting_gives(
    asked: list[tuple[int, int]], per_s: int, most: int
) -> None:
    buckets, points, now_ms, last_ms = Buckets(per_s, most), float(most), 0, 0
    for wait_ms, cost in asked:
        now_ms += wait_ms
        points, last_ms = min(most, points + (now_ms - last_ms) * per_s / 1_000), now_ms
        wait = buckets.take("a", cost, now_ms)
        if abs(points - cost) > 1e-6:
            assert (wait == 0) == (points >= cost)
        if wait == 0:
            points -= cost
        else:
            assert wait == pytest.approx((cost - points) * 1_000 / per_s)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_memory_is_bounded_under_a_million_addresses() -> None:
    buckets, early = Buckets(100, 10_000), 0
    for number in range(1_000_000):
        buckets.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1, number)
        if number == 100_000:
            early = resident_bytes()
    assert len(buckets) == BUCKETS_MAX
    assert resident_bytes() - early < 32 * 1024 * 1024  # all of them would take 150 MB


async def test_memory_is_bounded_under_many_credentials() -> None:
    async def app(scope: dict[str, dict[str, str]], _receive: object, _send: object) -> None:
        scope["state"]["caller"] = "account:1"

    rates = Rates(caller_points=1_000_000, address_points=1_000_000)
    limit = RateLimit(app, rates=rates, clock=ManualClock())  # type: ignore[arg-type]
    for number in range(2 * BUCKETS_MAX):
        headers = [(b"authorization", str(number).encode())]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        await limit(scope, None, None)  # type: ignore[arg-type]  # neither is used
    assert len(limit._proven) == BUCKETS_MAX


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("junk:" + "x" * 500, "junk:" + "x" * 40),
    ],
)
def test_address_key(address: str, key: str) -> None:
    assert address_key((address, 1)) == key
    assert address_key(None) == "?"
