"""What others may ask of the organisations, as small Protocols."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from cloud.model.database import Work
from cloud.model.organisation import Application, Contact, Details, Organisation, Quota, Step
from cloud.model.principal import Principal, Scope
from cloud.organisations.kinds import Department, Kind


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which organisations are asked for; None and empty: any."""

    states: Sequence[str] = ()
    kind: str | None = None
    text: str | None = None
    """In its name; or the whole credit code or id."""
    after: tuple[int, str] | None = None
    """(applied_at, id) of the last one before the page."""
    limit: int = 100


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an organisation has come, and what it uses of its quotas."""

    used: Mapping[Quota, int]
    contact: bool
    """Somebody can be called."""

    def done(self) -> dict[str, bool]:
        """Return its first steps, in their order, and whether each is done."""
        return {
            "contact": self.contact,
            "thing": self.used["assets_max"] > 0,
            "colleague": self.used["accounts_max"] > 1,
            "key": self.used["keys_max"] + self.used["devices_max"] > 0,
        }


class Organisations(Protocol):
    """The organisations. What is outside a scope is not told from what does not exist."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Kinds by id."""
        ...

    @property
    def departments(self) -> Mapping[str, Department]:
        """The city's departments by id."""
        ...

    def peek(self, organisation_id: str) -> Organisation | None:
        """Return an organisation at once, whoever asks."""
        ...

    def quotas(self, one: Organisation) -> Mapping[Quota, int]:
        """Return its bounds; a quota that is missing has none."""
        ...

    async def get(self, organisation_id: str, *, scope: Scope) -> Organisation:
        """Return one; RefuseInput `not_found`."""
        ...

    async def find(self, scope: Scope, wanted: Wanted) -> list[Organisation]:
        """Return some, those that came first at the front."""
        ...

    async def put(
        self, organisation_id: str, details: Details, *, by: Principal, also: Sequence[Work] = ()
    ) -> tuple[Organisation, bool]:
        """Make or change one, and tell whether it is new.

        RefuseInput `bad_request`, `credit_code_taken`, `wrong_state`.
        """
        ...

    async def set_contact(
        self, organisation_id: str, contact: Contact, *, scope: Scope, also: Sequence[Work] = ()
    ) -> Organisation:
        """Write whom to call; RefuseInput `bad_request`, `not_found`, `wrong_state`."""
        ...

    async def take(
        self,
        organisation_id: str,
        step: Step,
        *,
        scope: Scope,
        by: Principal,
        reason: str = "",
        also: Sequence[Work] = (),
    ) -> Organisation:
        """Let it take a step; RefuseInput `bad_request`, `not_found`, `wrong_state`."""
        ...

    async def leave(
        self,
        organisation_id: str,
        credit_code: str,
        *,
        scope: Scope,
        by: Principal,
        also: Sequence[Work] = (),
    ) -> Organisation:
        """Let it go, confirmed by its credit code; RefuseInput as `take`, and `not_confirmed`."""
        ...

    def room(self, organisation_id: str, quota: Quota) -> Work:
        """Return what refuses a transaction that goes beyond a quota: RefuseInput `quota_reached`.

        It counts what the transaction has written, so it belongs behind that.
        """
        ...

    async def first_manager(self, organisation_id: str) -> str | None:
        """Return the username of the manager who waits with it, for the office to pass on."""
        ...

    async def progress(self, one: Organisation) -> Progress:
        """Return how far it has come."""
        ...


class SignUps(Protocol):
    """Where firms ask to be let in."""

    def districts(self) -> Collection[str]:
        """Return the districts that confirm firms; none: nobody can ask yet."""
        ...

    async def apply(
        self, asked: Application, *, address: str, noted: Callable[[str, bool], Work]
    ) -> None:
        """Take an application; nothing tells whether its credit code or username is known here.

        Args:
            asked: as it came.
            address: of who asks.
            noted: builds the entry in the audit, of the organisation's id and whether this one
                repeats an application or a member.

        Raises:
            RefuseInput: `bad_request`, `too_many_attempts`, `too_many_applications`; of the last
                two `detail` is the seconds to wait.

        """
        ...


class Exports(Protocol):
    """All that is kept of an organisation, to take along."""

    async def open(self, one: Organisation) -> AsyncIterator[bytes]:
        """Begin a ZIP file, and return it part by part; RefuseInput `too_many_exports`."""
        ...
