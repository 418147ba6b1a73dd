"""An MQTT broker inside the process, for trials and demos; a real site runs mosquitto."""

import asyncio
import logging
import threading

from amqtt.broker import Broker

from protocols.errors import StopService

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0


class EmbeddedBroker:
    """amqtt on an event loop and thread of its own, so that it cannot hold up the service."""

    def __init__(self, host: str, port: int) -> None:
        self._config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="embedded-broker", daemon=True
        )
        self._broker: Broker | None = None

    def start(self) -> None:
        """Start and wait until it listens.

        Raises:
            StopService: it did not come up, for instance because the port is taken.

        """
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._thread.start()
        future = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        try:
            future.result(START_TIMEOUT_S)
        except Exception as error:
            bind = self._config["listeners"]
            raise StopService(f"embedded broker on {bind}: {error}") from error

    async def _start(self) -> None:
        self._broker = Broker(self._config)
        await self._broker.start()

    def stop(self) -> None:
        """Stop; what was queued in it is gone, and comes again from the gateways."""
        if self._broker is not None:
            future = asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop)
            try:
                future.result(STOP_TIMEOUT_S)
            except TimeoutError:
                future.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT_S)
