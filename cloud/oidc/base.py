"""What the pages need of signing on elsewhere, and what it needs of the accounts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cloud.model.account import Account
from cloud.model.database import Work
from cloud.model.organisation import Organisation, Quota
from cloud.model.session import Session


class Way(msgspec.Struct, frozen=True):
    """A sign-on that the login page offers."""

    id: str
    title: str
    title_zh: str


class Begun(msgspec.Struct, frozen=True):
    """Where to send the browser, and what it must bring back in its cookie."""

    url: str
    cookie: str


class Arrived(msgspec.Struct, frozen=True):
    """Somebody came back, proven; an open session, and where they wanted to go."""

    session: Session
    target: str


class Linked(msgspec.Struct, frozen=True):
    """A sign-on by which an account comes in."""

    way: str
    since: int
    """ms since 1970."""


class Sessions(Protocol):
    """Opens sessions of accounts."""

    async def open_session(self, account_id: int, *, second_factor: bool) -> Session | None:
        """Open one; None for an account that may not come in."""
        ...


class Accounts(Protocol):
    """The accounts."""

    def get(self, account_id: int) -> Account | None:
        """Return one."""
        ...

    def named(self, username: str) -> Account | None:
        """Return the account of a user name."""
        ...

    async def add(self, new: Account, *also: Work, note: Callable[[int], Work]) -> Account:
        """Write a new one, and `note` of its id; RefuseInput `username_taken`."""
        ...

    async def change(self, account_id: int, *also: Work, **fields: Any) -> Account:
        """Change fields of one."""
        ...


class Organisations(Protocol):
    """The organisations."""

    def peek(self, organisation_id: str) -> Organisation | None:
        """Return one at once."""
        ...

    def room(self, organisation_id: str, quota: Quota) -> Work:
        """Return what refuses a transaction that goes beyond a quota."""
        ...


class SignOn(Protocol):
    """The sign-ons of a site."""

    def ways(self) -> Sequence[Way]:
        """Return what the login page offers."""
        ...

    async def begin(self, way: str, *, target: str, link: int | None = None) -> Begun:
        """Begin; `link`: the account, signed in already, that the one who comes back belongs to.

        Raises:
            RefuseInput: `not_found`.
            RetryLater: the sign-on cannot be reached, or is not what it should be.

        """
        ...

    async def finish(
        self, way: str, *, cookie: str, query: Mapping[str, str], account: int | None
    ) -> Arrived:
        """Take somebody in who came back; `account`: who is signed in already.

        Raises:
            RefuseInput: `bad_state`: this browser did not begin that, or too long ago, or it was
                used; `denied`: the sign-on said no; `bad_token`: what it sent proves nothing;
                `not_linked`: nobody here; `linked_elsewhere`: the identity is another account's;
                `forbidden`: an account that is not active.
            RetryLater: the sign-on cannot be reached.

        """
        ...

    async def links(self, account: int) -> Sequence[Linked]:
        """Return by which of them an account comes in."""
        ...

    async def unlink(self, way: str, account: int, *, also: Work) -> None:
        """Let an account no longer come in by a sign-on; `also` notes it.

        Raises:
            RefuseInput: `not_found`; `last_way`: it has no password, and nothing else is left.

        """
        ...
