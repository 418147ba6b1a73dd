"""Who is told of the lists: written by whoever wants it told, for their organisation."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, insert, select

from cloud.cylinders.watch.notices import write_notice
from cloud.cylinders.watch.sightings import local_day
from cloud.model.cylinder_notice import Notice, NoticeTo, NoticeToBody
from cloud.model.database import Database, Work
from cloud.model.principal import Granted
from cloud.model.visible import sees_organisation
from cloud.model.watch_tables import cylinder_case, cylinder_notice, cylinder_notice_to
from protocols.clock import Clock
from protocols.errors import RefuseInput

ADDRESSES_MAX = 10
"""Of one organisation."""
TEST_EACH_MS = 60_000
"""Nobody can be flooded by tests of an address that is not theirs."""
_to, _notice = cylinder_notice_to.c, cylinder_notice.c


class Closes(Protocol):
    """Seals secrets."""

    def close(self, secret: str) -> str:
        """Return it sealed."""
        ...


class AddressBook:
    """`Addresses` in the state database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        check: Callable[[str], Awaitable[None]],
        seal: Closes,
        mail: bool,
        zone: ZoneInfo,
        base_url: str,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            check: refuses a URL that may not be called.
            seal: seals the secrets of webhooks.
            mail: the service sends mail.
            zone: in which days are counted.
            base_url: for links; empty: none are told.

        """
        self._database, self._clock, self._check = database, clock, check
        self._seal, self._mail, self._zone = seal, mail, zone
        self._link = f"{base_url}/cylinder-cases" if base_url else ""

    async def find(self, granted: Granted) -> list[NoticeTo]:
        """Return the addresses of the organisations within the scope."""
        query = select(cylinder_notice_to).where(sees_organisation(granted.scope, _to.organisation))
        query = query.order_by(_to.id).limit(1_000)
        return await self._database.read(
            lambda c: [_read(c, row) for row in c.execute(query).mappings().all()]
        )

    async def add(
        self, granted: Granted, body: NoticeToBody, *, also: Sequence[Work] = ()
    ) -> NoticeTo:
        """Tell an address from now on; RefuseInput `bad_request`, `bad_address`."""
        if body.channel == "webhook":
            await self._check(body.address)
        elif not self._mail:
            raise RefuseInput("bad_request", "channel: expected webhook; no mail is sent from here")
        now_ms, principal = self._clock.wall_ms(), granted.principal
        own = principal.organisation or "platform"
        row = {
            "organisation": own,
            "principal": principal.id,
            "account": principal.account,
            "channel": body.channel,
            "address": body.address,
            "language": body.language,
            "secret": self._seal.close(body.secret) if body.secret else "",
            "created_at": now_ms,
            "told_day": "",
            "told_at": 0,
        }

        def work(connection: Connection) -> NoticeTo:
            count = select(func.count()).where(_to.organisation == own)
            if connection.execute(count).scalar_one() >= ADDRESSES_MAX:
                expected = f"at most {ADDRESSES_MAX} addresses of one organisation"
                raise RefuseInput("bad_request", f"addresses: expected {expected}")
            newest = connection.execute(select(func.max(cylinder_case.c.id))).scalar() or 0
            made = insert(cylinder_notice_to).values({**row, "told_case": newest})
            row_of = connection.execute(made.returning(cylinder_notice_to)).mappings().one()
            return _read(connection, row_of)

        return await self._database.write(work, *also)

    async def test(self, granted: Granted, address_id: int, *, also: Sequence[Work] = ()) -> None:
        """Send a notice that tells nothing new; RefuseInput `not_found`, `wrong_state`."""
        here = (_to.id == address_id, sees_organisation(granted.scope, _to.organisation))
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> None:
            of_it = connection.execute(select(_to.organisation).where(*here)).scalar()
            if of_it is None:
                raise RefuseInput("not_found", f"no address {address_id}")
            query = select(_notice.made_at, _notice.open).where(_notice.address_id == address_id)
            last = connection.execute(query.order_by(_notice.id.desc()).limit(1)).first()
            if last is not None and (last.open or now_ms - last.made_at < TEST_EACH_MS):
                raise RefuseInput("wrong_state", "a notice is on its way, or was made just now")
            day = local_day(now_ms, self._zone).isoformat()
            told: dict[str, Any] = {"id": 0, "organisation": of_it, "made_at": now_ms, "day": day}
            notice = Notice(**told, new={}, open={}, link=self._link, test=True)
            write_notice(connection, address_id, notice)

        await self._database.write(work, *also)

    async def remove(self, granted: Granted, address_id: int, *, also: Sequence[Work] = ()) -> None:
        """Tell an address no more, and forget what was told; RefuseInput `not_found`."""
        here = (_to.id == address_id, sees_organisation(granted.scope, _to.organisation))

        def work(connection: Connection) -> None:
            if not connection.execute(delete(cylinder_notice_to).where(*here)).rowcount:
                raise RefuseInput("not_found", f"no address {address_id}")
            connection.execute(delete(cylinder_notice).where(_notice.address_id == address_id))

        await self._database.write(work, *also)


def _read(connection: Connection, row: Any) -> NoticeTo:
    query = select(_notice.state, _notice.error).where(_notice.address_id == row["id"])
    last = connection.execute(query.order_by(_notice.id.desc()).limit(1)).first()
    names = ("id", "organisation", "channel", "address", "language", "created_at", "told_at")
    told = {"state": last.state, "error": last.error} if last else {}
    return NoticeTo(**{name: row[name] for name in names}, signed=row["secret"] != "", **told)
