"""The JSON API under schemathesis, as each role: nothing fails inside, refusals are in order."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from cloud.api.limits import HEADERS
from cloud.api.rates import Rates
from tests.support.browser import serve
from tests.support.cells import Caller, open_city, table
from tests.support.http_services import open_world
from tests.support.openapi import BODIES, api_document

ROLES = [role["id"] for role in table("roles")["role"]]
MANY = Rates(caller_points=1_000_000, address_points=1_000_000)
BOUNDS = {"deadline": None, "derandomize": True, "database": None}
CHECKS_OFF = list(HealthCheck)


class Served:
    """The city with everything in it, on a port, in a thread and an event loop of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ready = folder, threading.Event()
        self.address, self.documents = "", list[dict[str, Any]]()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Start and wait until it listens."""
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        """End it."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        world = await open_world(self._folder, pages=False, rates=MANY)
        async with open_city(world) as city, serve(city.app, world.services.stopping) as address:
            self.address = address
            self.documents = [api_document(city.app, known=known) for known in (True, False)]
            self._ready.set()
            await self._stop.wait()
        world.database.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("fuzz"))
    found.start()
    yield found
    found.stop()


def fuzz(served: Served, role: str, examples: int) -> int:
    """Try every operation as a role; return how many answers were looked at."""
    schemas = [schemathesis.openapi.from_dict(one) for one in served.documents]
    headers = {"Authorization": f"Bearer {Caller(role).token}"} if role else {}
    seen = 0
    for found in (one for schema in schemas for one in schema.get_all_operations()):
        assert isinstance(found, Ok)
        strategy: st.SearchStrategy[Any] = found.ok().as_strategy()

        @settings(max_examples=examples, suppress_health_check=CHECKS_OFF, **BOUNDS)  # type: ignore[arg-type]
        @given(strategy)
        def try_one(case: Any) -> None:
            nonlocal seen
            seen += 1
            look(case.call(base_url=served.address, headers=headers), case)

        try_one()
    return seen


def look(answer: Any, case: Any) -> None:
    """Check one answer."""
    said = answer.content[:300].decode("utf-8", "replace")  # an export is no text
    told = f"{case.method} {case.path}: {answer.status_code} {said}"
    assert answer.status_code < 500, told
    kind = answer.headers.get("content-type", [""])[0]
    if answer.status_code >= 400:
        assert kind == "application/problem+json", told
        assert answer.json()["status"] == answer.status_code, told
    for name in HEADERS:
        assert name.lower() in answer.headers, told


def test_document_names_no_route_that_is_not_there(served: Served) -> None:
    paths = served.documents[0]["paths"]
    assert len(paths) > 30
    assert {(method, path) for method, path in BODIES if method not in paths.get(path, {})} == set()


def test_api_bears_what_a_fuzzer_of_another_hand_sends(served: Served) -> None:
    assert fuzz(served, "administrator", 3) > 100


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("role", [*ROLES, ""])
def test_api_bears_a_long_run_as_each_role(served: Served, role: str) -> None:
    assert fuzz(served, role, 40) > 1_000
