import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from cloud.api import limits
from cloud.api.limits import BODY_BYTES_MAX
from cloud.model.session import SESSION_COOKIE
from tests.support.http_services import LIFT, TOKEN, World, entrapment

CALLS = [
    ("GET", "/metrics"),
    ("PUT", f"/api/v1/assets/{LIFT}"),
    ("GET", f"/api/v1/assets/{LIFT}"),
    ("GET", f"/api/v1/assets/{LIFT}/latest"),
    ("GET", f"/api/v1/assets/{LIFT}/readings"),
    ("GET", "/api/v1/gateways"),
    ("GET", "/api/v1/gateways/gw-1"),
    ("GET", "/api/v1/alarms"),
    ("POST", "/api/v1/alarms/1/acknowledge"),
    ("GET", "/api/v1/feed"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic eDp5", "Bearer", "Bearer \xff"])
async def test_call_without_valid_token_is_401(
    nobody: httpx.AsyncClient, method: str, path: str, header: str | None
) -> None:
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    answer = await nobody.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["status"] == 401


async def test_health_and_readiness_need_no_token(nobody: httpx.AsyncClient, world: World) -> None:
    assert (await nobody.get("/healthz")).status_code == 200
    assert (await nobody.get("/readyz")).status_code == 200
    world.ready = (False, "no SUBACK yet")
    answer = await nobody.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "no SUBACK yet"


async def test_metrics_are_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "suyuan_up 1\n"


async def test_session_reads_but_changes_only_with_csrf_token(
    nobody: httpx.AsyncClient, world: World
) -> None:
    session = await world.services.access.log_in_token(TOKEN, person="Li", address="")
    assert session is not None
    world.desk.put(entrapment(world.clock))
    nobody.cookies.set(SESSION_COOKIE, session.cookie)
    assert (await nobody.get("/api/v1/alarms")).status_code == 200
    path = "/api/v1/alarms/1/acknowledge"
    assert (await nobody.post(path)).status_code == 403
    assert (await nobody.post(path, headers={"X-CSRF-Token": "x"})).status_code == 403
    answer = await nobody.post(path, headers={"X-CSRF-Token": session.csrf})
    assert answer.status_code == 200
    assert answer.json()["acknowledged_by"] == "Li (admin)"


async def test_errors_are_problem_details_with_security_headers(client: httpx.AsyncClient) -> None:
    for method, path, status in [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/nowhere", 404),
        ("DELETE", "/api/v1/alarms", 405),
        ("GET", "/docs", 404),
    ]:
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def test_failure_inside_is_500_without_trace(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[object]:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(world.gateways, "all", fail)
    answer = await client.get("/api/v1/gateways")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "Trace" not in answer.text


async def test_body_that_is_too_slow_is_408(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_S", 0.2)

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" "
            await asyncio.sleep(0.05)

    answer = await client.put(f"/api/v1/assets/{LIFT}", content=drip())
    assert answer.status_code == 408
    assert answer.json()["type"] == "urn:suyuan:problem:too_slow"


async def test_body_beyond_the_bound_is_413_announced_or_not(client: httpx.AsyncClient) -> None:
    big = b" " * (BODY_BYTES_MAX + 1)

    async def unannounced() -> object:
        for start in range(0, len(big), 8_192):
            yield big[start : start + 8_192]

    path = f"/api/v1/assets/{LIFT}"
    for body in (big, unannounced()):
        answer = await client.put(path, content=body)  # type: ignore[arg-type]  # both kinds do
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:suyuan:problem:too_large"
    assert (await client.put(path, content=b"{}")).status_code == 201
