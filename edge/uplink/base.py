"""What the uplink needs of its link to the broker."""

from typing import Protocol


class Link(Protocol):
    """One connection that comes back when it was lost."""

    def publish(self, leaf: str, payload: bytes) -> int | None:
        """Publish at QoS 1 below the gateway's own topic; `leaf` such as `up/alarm`.

        Returns:
            The message id that its PUBACK will name, or None when the link is away.

        """
        ...
