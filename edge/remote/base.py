"""What remote work needs of the daemon that it runs in."""

from typing import Any, Protocol

from edge.setup import Setup


class Daemon(Protocol):
    """The running gateway."""

    @property
    def setup(self) -> Setup:
        """What is in effect."""
        ...

    async def apply(self, setup: Setup) -> None:
        """Make another setup take effect; only what differs is stopped and started.

        Raises:
            RefuseInput: `site_faults`: a source cannot be made; nothing was changed.

        """
        ...

    async def prove(self, within_s: float) -> str | None:
        """Return None once the gateway is healthy: connected, heard by the cloud, nothing broken.

        Else why not, after so long: `no_link`, `no_ack` or `source_broke`.
        """
        ...

    def reply(self, command_id: str, *, ok: bool, result: dict[str, Any]) -> None:
        """Say something to the cloud, in stream `alarm`."""
        ...

    def cloud_ms(self) -> int:
        """Return the time, ms since 1970, or when nobody knows it the least that it can be."""
        ...
