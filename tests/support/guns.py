"""A filling gun in the hands of a test, behind real Modbus TCP."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from protocols.catalog.controller import load_controllers
from protocols.clock import SystemClock
from simulators.dialect import Dialect
from simulators.filling_gun import FillingGun
from simulators.modbus_server import LineServers
from simulators.processes import free_port

GUNS = load_controllers(None, "gates")[0]


class GunServer:
    """Serves a gun; its line can be cut and mended."""

    def __init__(self, gun: FillingGun, port: int) -> None:
        self.gun, self.port = gun, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._servers = LineServers(SystemClock())

    def mend(self) -> None:
        """Serve."""
        self._run(self._servers.serve_tcp([self.gun], self.port))

    def cut(self) -> None:
        """Close every connection, and take none."""
        self._run(self._servers.stop())

    def start(self) -> None:
        self._thread.start()
        self.mend()

    def stop(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def modbus_gun(name: str = "coil-gun", unit_id: int = 7) -> Iterator[GunServer]:
    """Serve a gun for the length of a block."""
    server = GunServer(FillingGun(unit_id=unit_id, dialect=Dialect(GUNS[name])), free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()
