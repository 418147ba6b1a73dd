"""The organisations: who they are, what state they are in, and what they may use.

All of them are in memory, because who is let in depends on the state of theirs at every request.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from msgspec.structs import asdict, replace
from sqlalchemy import Connection, select

from cloud.model.database import Database, Work, take_turn
from cloud.model.organisation import (
    OPEN_STATES,
    PLATFORM,
    Contact,
    Details,
    Organisation,
    Quota,
    Step,
)
from cloud.model.people_tables import organisation
from cloud.model.principal import EVERYTHING, Principal, Scope
from cloud.organisations import members
from cloud.organisations.base import Progress, Wanted
from cloud.organisations.details import (
    REASON_CHARS_MAX,
    check_contact,
    check_details,
    credit_code,
    plain,
)
from cloud.organisations.kinds import load_departments, load_kinds
from cloud.organisations.quotas import quotas_of, room, used
from cloud.organisations.rows import find_row, find_rows, from_row, open_with_code, write_row
from cloud.organisations.states import state_after
from protocols.clock import Clock
from protocols.errors import RefuseInput

SKEW_MS = 60_000
"""So far the clocks of several processes may be apart."""
TURN = "organisations"
"""One transaction at a time looks whether a credit code is free."""
WITH_REASON: tuple[Step, ...] = ("refuse", "suspend")


class OrganisationBook:
    """All organisations. Not thread-safe: it lives on the event loop."""

    def __init__(
        self, database: Database, clock: Clock, *, tolerances: Collection[str] = ("standard",)
    ) -> None:
        self._database, self._clock, self._tolerances = database, clock, tolerances
        self._known: dict[str, Organisation] = {}
        self._read_at = 0
        self.kinds, self.departments = load_kinds(), load_departments()
        self.on_members: list[Callable[[], Awaitable[None]]] = []
        """Called after a change that let accounts in or out."""

    async def load(self) -> None:
        """Read what was written earlier, and make `platform` at the first start; call once."""
        self._read_at = self._clock.wall_ms()
        await self._database.write(self._make_platform)
        await self._database.read(self._load)

    async def refresh(self) -> None:
        """Read what other processes wrote since the last call."""
        since_ms, self._read_at = self._read_at - SKEW_MS, self._clock.wall_ms()
        await self._database.read(lambda connection: self._load(connection, since_ms))

    def peek(self, organisation_id: str) -> Organisation | None:
        """Return an organisation at once, whoever asks."""
        return self._known.get(organisation_id)

    def districts(self) -> frozenset[str]:
        """Return the districts in which an active district organisation looks after firms."""
        offices = [one for one in self._known.values() if one.kind == "district"]
        return frozenset(d for one in offices if one.state == "active" for d in one.districts)

    def quotas(self, one: Organisation) -> Mapping[Quota, int]:
        """Return its bounds; a quota that is missing has none."""
        return quotas_of(one)

    def room(self, organisation_id: str, quota: Quota) -> Work:
        """Return what refuses a transaction that goes beyond a quota."""
        one = self._known.get(organisation_id)
        most = quotas_of(one).get(quota) if one else 0
        return room(organisation_id, quota, most, self._clock.wall_ms())

    async def progress(self, one: Organisation) -> Progress:
        """Return how far it has come."""
        now_ms = self._clock.wall_ms()
        counts = await self._database.read(lambda c: used(c, one.id, now_ms))
        return Progress(used=counts, contact=bool(one.contact.name and one.contact.phone))

    async def first_manager(self, organisation_id: str) -> str | None:
        """Return the username of the manager who waits with it, for the office to pass on."""
        return await self._database.read(lambda c: members.first_username(c, organisation_id))

    async def get(self, organisation_id: str, *, scope: Scope) -> Organisation:
        """Return one that the scope admits."""
        return await self._database.read(lambda c: _existing(c, organisation_id, scope))

    async def find(self, scope: Scope, wanted: Wanted) -> list[Organisation]:
        """Return some that the scope admits, those that came first at the front."""
        return await self._database.read(lambda c: find_rows(c, scope, wanted))

    async def put(
        self, organisation_id: str, details: Details, *, by: Principal, also: Sequence[Work] = ()
    ) -> tuple[Organisation, bool]:
        """Make or change one, and tell whether it is new; state and kind of an old one stay."""
        details, now_ms = check_details(details, self._tolerances), self._clock.wall_ms()

        def work(connection: Connection) -> tuple[Organisation, bool]:
            take_turn(connection, TURN)
            earlier = find_row(connection, organisation_id, EVERYTHING, lock=True)
            one = _changed(earlier, details, now_ms) or Organisation(
                id=organisation_id,
                state="active",
                applied_at=now_ms,
                decided_at=now_ms,
                decided_by=by.id,
                updated_at=now_ms,
                **asdict(details),
            )
            _check_code_free(connection, one)
            write_row(connection, one)
            return one, earlier is None

        one, new = await self._database.write(work, *also)
        self._known[one.id] = one
        return one, new

    async def set_contact(
        self, organisation_id: str, contact: Contact, *, scope: Scope, also: Sequence[Work] = ()
    ) -> Organisation:
        """Write whom to call."""
        contact, now_ms = check_contact(contact), self._clock.wall_ms()

        def work(connection: Connection) -> Organisation:
            before = _existing(connection, organisation_id, scope, lock=True)
            if before.state not in OPEN_STATES:
                raise RefuseInput("wrong_state", f"contact: {organisation_id} is {before.state}")
            after = replace(before, contact=contact, updated_at=now_ms)
            write_row(connection, after)
            return after

        return await self._write(work, also)

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
        """Let it be confirmed, refused, suspended or resumed; the platform stays as it is."""
        needed = step in WITH_REASON
        reason = plain(reason, "reason", most=REASON_CHARS_MAX, least=int(needed))
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> Organisation:
            before = _existing(connection, organisation_id, scope, lock=True)
            _check_may_decide(before, by)
            decided = {"decided_at": now_ms, "decided_by": by.id, "reason": reason}
            state = state_after(before.state, step)
            after = replace(before, state=state, updated_at=now_ms, **decided)
            write_row(connection, after)
            match step:
                case "confirm":
                    members.let_in(connection, after.id, now_ms)
                case "refuse":
                    members.forget_first(connection, after.id)
                case "suspend":
                    members.end_sessions(connection, after.id, now_ms)
            return after

        after = await self._write(work, also)
        await self._members_changed()
        return after

    async def leave(
        self,
        organisation_id: str,
        code: str,
        *,
        scope: Scope,
        by: Principal,
        also: Sequence[Work] = (),
    ) -> Organisation:
        """Let it go: nobody comes in any more, whom to call is forgotten; its id stays."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> Organisation:
            before = _existing(connection, organisation_id, scope, lock=True)
            state = state_after(before.state, "leave")
            if before.credit_code is None or credit_code(code) != before.credit_code:
                raise RefuseInput("not_confirmed", "credit_code: expected that of the organisation")
            gone = {"state": state, "left_at": now_ms, "updated_at": now_ms, "contact": Contact()}
            after = replace(before, **gone)
            write_row(connection, after)
            members.close_all(connection, after.id, by.id, now_ms)
            return after

        after = await self._write(work, also)
        await self._members_changed()
        return after

    async def _write(
        self, work: Callable[[Connection], Organisation], also: Sequence[Work]
    ) -> Organisation:
        one = await self._database.write(work, *also)
        self._known[one.id] = one
        return one

    async def _members_changed(self) -> None:
        for heard in self.on_members:
            await heard()

    def remember(self, one: Organisation) -> None:
        """Take in what this process wrote by other ways."""
        self._known[one.id] = one

    def _load(self, connection: Connection, since_ms: int = 0) -> None:
        query = select(organisation).where(organisation.c.updated_at >= since_ms)
        for row in connection.execute(query):
            self._known[row.id] = from_row(row)

    def _make_platform(self, connection: Connection) -> None:
        take_turn(connection, TURN)  # all processes of a service start together
        if find_row(connection, PLATFORM, EVERYTHING) is None:
            now_ms = self._clock.wall_ms()
            name = self.kinds[PLATFORM].title_zh
            made = Organisation(
                id=PLATFORM,
                kind=PLATFORM,
                name=name,
                state="active",
                applied_at=now_ms,
                updated_at=now_ms,
            )
            write_row(connection, made)


def _existing(
    connection: Connection, organisation_id: str, scope: Scope, *, lock: bool = False
) -> Organisation:
    one = find_row(connection, organisation_id, scope, lock=lock)
    if one is None:
        raise RefuseInput("not_found", f"no organisation {organisation_id[:32]!r}")
    return one


def _changed(earlier: Organisation | None, details: Details, now_ms: int) -> Organisation | None:
    if earlier is None:
        return None
    if earlier.state not in OPEN_STATES:
        raise RefuseInput("wrong_state", f"{earlier.id} is {earlier.state}")
    if earlier.kind != details.kind:
        raise RefuseInput("bad_request", f"kind: stays {earlier.kind}: its accounts depend on it")
    return replace(earlier, **asdict(details), updated_at=now_ms)


def _check_code_free(connection: Connection, one: Organisation) -> None:
    other = open_with_code(connection, one.credit_code) if one.credit_code else None
    if other is not None and other.id != one.id:
        raise RefuseInput("credit_code_taken", f"credit_code: it is that of {other.id}")


def _check_may_decide(one: Organisation, by: Principal) -> None:
    """Keep offices from deciding about offices, and everybody from shutting the platform."""
    if one.id == PLATFORM:
        raise RefuseInput("forbidden", "the platform stays")
    if load_kinds()[one.kind].authority and by.organisation != PLATFORM:
        raise RefuseInput("not_found", f"no organisation {one.id!r}")
