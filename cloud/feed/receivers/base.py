"""What the parts of the receivers need of each other, and what the HTTP side needs of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from cloud.feed.items import Item
from cloud.model.database import Work
from cloud.model.principal import Granted
from cloud.model.receiver import Receiver, ReceiverBody, ReceiverMade

LaneName = Literal["urgent", "rest"]
LANES: tuple[LaneName, ...] = ("urgent", "rest")


class Outcome(Struct, frozen=True, kw_only=True):
    """How one delivery ended."""

    ok: bool
    detail: str = ""
    gone: bool = False
    """The receiver wants nothing any more."""
    of_item: bool = False
    """It is this item that is refused, for what it says; others may be taken."""
    retry_after_s: float | None = None


TAKEN = Outcome(ok=True)


class OpenThing(Struct, frozen=True, kw_only=True):
    """An alarm or a rescue that was told as going on, and the last item of it that was taken."""

    about: str
    item: Item


class Sender(Protocol):
    """Carries items to one receiver; what goes wrong is an outcome, RetryLater or RefuseInput."""

    @property
    def keep_s(self) -> float | None:
        """So often what is open is told again; None: never."""
        ...

    @property
    def batch(self) -> bool:
        """Whether it may take several items of the rest at once."""
        ...

    async def send(self, items: Sequence[Item]) -> Outcome:
        """Deliver: one item, or with `batch` several."""
        ...

    async def keep(self) -> Outcome:
        """Tell again what is open."""
        ...

    async def test(self) -> Outcome:
        """Send something that nobody can take for real."""
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


class Destination(Struct, frozen=True, kw_only=True):
    """A receiver as senders need it: with its secrets opened."""

    receiver: Receiver
    secrets: tuple[str, ...] = ()
    """`whsec_…` or `whsk_…`, newest first."""
    password: str = ""


Opens = Callable[[], Mapping[str, OpenThing]]
"""What is open for a receiver now, by what it is about."""
MakeSender = Callable[[Destination, Opens], Sender]


class Receivers(Protocol):
    """The receivers as people keep them. What the scope does not admit is `not_found`."""

    async def find(self, granted: Granted) -> Sequence[Receiver]:
        """Return those of the organisations within the scope, by name."""
        ...

    async def get(self, granted: Granted, receiver_id: int) -> Receiver:
        """Return one."""
        ...

    async def add(
        self, granted: Granted, body: ReceiverBody, *, also: Sequence[Work] = ()
    ) -> ReceiverMade:
        """Make one; RefuseInput `bad_request`, `bad_address`."""
        ...

    async def change(
        self, granted: Granted, receiver_id: int, body: ReceiverBody, *, also: Sequence[Work] = ()
    ) -> Receiver:
        """Change all but kind and where it stands; RefuseInput also `wrong_state`."""
        ...

    async def rotate(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> ReceiverMade:
        """Add a new secret; the one before signs as well until the next rotation."""
        ...

    async def pause(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> Receiver:
        """Send nothing until it is resumed."""
        ...

    async def resume(
        self, granted: Granted, receiver_id: int, *, skip: bool, also: Sequence[Work] = ()
    ) -> Receiver:
        """Go on where it stood; `skip`: with what comes from now on, the rest is a gap."""
        ...

    async def test(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> Outcome:
        """Send a test at once; RefuseInput `wrong_state`: one was sent just now."""
        ...

    async def remove(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> None:
        """Forget one."""
        ...
