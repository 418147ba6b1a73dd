"""How many WebSockets there may be, and how patient the service is with each."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from msgspec import Meta

from protocols.errors import RefuseInput, RetryLater

Seconds = Annotated[float, Meta(ge=0.1, le=600)]


class Sockets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of WebSockets, `[http.sockets]` in the settings; docs/epcis.md tells them."""

    open_max: Annotated[int, Meta(ge=0, le=100_000)] = 500
    """Of one process; a further one is answered 503. 0: none at all."""
    of_one_max: Annotated[int, Meta(ge=1, le=100_000)] = 20
    """Of one account; a further one is answered 409."""
    document_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 512 * 1024
    """Sent at a time: a larger document is cut into several, but one event is never cut. The next
    one is written when the one before has left, so a connection holds two of them at most."""
    send_s: Seconds = 20.0
    """A client that does not read for so long is cut off."""
    ping_s: Seconds = 20.0
    """So long after the last answer the client is asked whether it is there, ..."""
    pong_s: Seconds = 20.0
    """... and without an answer for so long it is left (1011)."""
    incoming_bytes: Annotated[int, Meta(ge=16, le=1024 * 1024)] = 1024
    """A longer message ends the connection (1009), and so does any other (1003): there is nothing
    to say."""


class Places:
    """Counts the WebSockets of one process."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._of: Counter[str] = Counter()

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """Take a place for as long as the block runs.

        Raises:
            RetryLater: too many are open.
            RefuseInput: `quota_reached`: too many of this one.

        """
        if self._of.total() >= self._sockets.open_max:
            raise RetryLater("too many WebSockets are open")
        if self._of[who] >= self._sockets.of_one_max:
            raise RefuseInput("quota_reached", f"at most {self._sockets.of_one_max} at once")
        self._of[who] += 1
        try:
            yield
        finally:
            self._of -= Counter((who,))
