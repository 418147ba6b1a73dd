"""Scales in the hands of a test: on a serial line, or behind Modbus."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from protocols.catalog.controller import load_controllers
from protocols.clock import SystemClock
from simulators.dialect import Dialect
from simulators.modbus_server import LineServers
from simulators.plug import SerialPlug
from simulators.weighing import FRAME_S, FRAMES, ServedScale, Weight


class SerialScaleRig:
    """An indicator that sends what stands on it, again and again; begins pulled out."""

    def __init__(self, link: Path, protocol: str) -> None:
        self.plug = SerialPlug(link)
        self.protocol = protocol
        self._weight = Weight(0.0)
        self._on = threading.Event()
        self._on.set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def show(self, weight: Weight) -> None:
        """Put something on the scale."""
        self._weight = weight

    def power(self, *, on: bool) -> None:
        """Switch the indicator on or off; its line stays."""
        (self._on.set if on else self._on.clear)()

    def __enter__(self) -> Self:
        self.plug.plug()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.plug.unplug()

    def _run(self) -> None:
        while not self._ended.wait(FRAME_S / 5):
            if self._on.is_set() and self.plug.plugged:
                self.plug.send(FRAMES[self.protocol](self._weight))


@contextmanager
def modbus_scale(port: int, controller: str = "id551pn") -> Iterator[ServedScale]:
    """Serve one scale on a TCP port for the length of a block."""
    scale = ServedScale(unit_id=1, dialect=Dialect(load_controllers(None)[0][controller]))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers = LineServers(SystemClock())

    def run(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    try:
        run(servers.serve_tcp([scale], port))
        yield scale
    finally:
        run(servers.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
