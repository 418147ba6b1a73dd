"""What every answer has, and what none tells."""

import httpx
import pytest

from cloud.api.limits import HEADERS
from tests.support.http_services import LIFT

ANSWERS = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/alarms"),
    ("GET", f"/api/v1/assets/{LIFT}"),
    ("PUT", f"/api/v1/assets/{LIFT}"),
    ("POST", "/api/v1/enroll"),
    ("GET", "/nowhere"),
    ("OPTIONS", "/api/v1/alarms"),
    ("TRACE", "/api/v1/alarms"),
    ("HEAD", "/healthz"),
]


@pytest.mark.parametrize(("method", "path"), ANSWERS)
async def test_every_answer_has_the_headers(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"
    if answer.content:
        assert (
            "charset" in answer.headers["content-type"] or "json" in answer.headers["content-type"]
        )


@pytest.mark.parametrize(("method", "path"), ANSWERS)
async def test_answer_tells_no_version(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers
    for word in ("uvicorn", "starlette", "fastapi", "python"):
        assert word not in answer.text.lower().replace("python_", "")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://test"])
async def test_no_other_site_may_read_an_answer(client: httpx.AsyncClient, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    for method in ("GET", "OPTIONS"):
        answer = await client.request(method, "/api/v1/alarms", headers=asked)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert HEADERS["Cross-Origin-Resource-Policy"] == "same-origin"
