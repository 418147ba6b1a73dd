"""The page of the gates, looked at and pressed as a browser on the gateway would."""

import asyncio
import contextlib
import http.client
import json
from typing import Any

LOOK_S = 0.05
TIMEOUT_S = 5.0


class Panel:
    """One page, shared by all who work in a hall; `run` keeps looking at it.

    Args:
        port: of the page, on this machine.

    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._gates: dict[str, dict[str, Any]] = {}
        self.page: dict[str, Any] = {}
        """All of it but the gates: day, clock, rules, snapshot; empty while nobody serves it."""

    def gate(self, name: str) -> dict[str, Any]:
        """Return what the page shows of a place; empty while it shows nothing."""
        return self._gates.get(name, {})

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                found = await asyncio.to_thread(self._ask, "GET", "/state", None)
            except (OSError, http.client.HTTPException, ValueError):
                found = {}
            self._gates = {one["id"]: one for one in found.pop("gates", [])}
            self.page = found
            await asyncio.sleep(LOOK_S)

    async def press(self, gate: str, **act: object) -> None:
        """Press a button; one that is refused, or that nobody hears, does nothing."""
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            await asyncio.to_thread(self._ask, "POST", "/act", {"gate": gate, **act})

    def _ask(self, method: str, path: str, body: object) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found
