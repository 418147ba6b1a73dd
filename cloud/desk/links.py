"""Links for telephones: random tokens, kept as hashes, ended by a person or by time."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from cloud.model.database import Database, Work
from cloud.model.desk import HOUR_MS, LinkKind, RescueLink
from cloud.model.desk_tables import desk_link
from protocols.clock import Clock
from protocols.errors import RefuseInput

LINKS_MAX = 50
"""Of one incident."""
KEYS_MAX = 40
"""Of pressed buttons that a link remembers."""
TOKEN_BYTES = 18
TOKEN_CHARS_MAX = 64
AGE_MS_MAX = 31 * 24 * HOUR_MS
"""An incident that nobody closes must not keep its links open for ever."""
_link = desk_link.c


class PhoneLinks:
    """`Links` in the state database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(TOKEN_BYTES),
    ) -> None:
        self._database, self._clock, self._new_token = database, clock, new_token

    async def make(
        self,
        incident_id: int,
        kind: LinkKind,
        unit: str | None,
        *,
        by: str,
        also: Sequence[Work] = (),
    ) -> tuple[RescueLink, str]:
        """Make one."""
        token, now_ms = self._new_token(), self._clock.wall_ms()
        row = {
            "sha256": _digest(token),
            "incident": incident_id,
            "kind": kind,
            "unit": unit,
            "created_at": now_ms,
            "created_by": by[:64],
            "revoked_by": "",
            "said": "",
        }

        def work(connection: Connection) -> RescueLink:
            count = select(func.count()).where(_link.incident == incident_id)
            if connection.execute(count).scalar_one() >= LINKS_MAX:
                raise RefuseInput("quota_reached", f"at most {LINKS_MAX} links of one incident")
            made = insert(desk_link).values(row).returning(desk_link)
            return _read(connection.execute(made).mappings().one())

        return await self._database.write(work, *also), token

    async def find(self, incident_id: int) -> list[RescueLink]:
        """Return all of an incident."""
        query = select(desk_link).where(_link.incident == incident_id).order_by(_link.id.desc())
        return await self._database.read(
            lambda c: [_read(row) for row in c.execute(query.limit(LINKS_MAX)).mappings()]
        )

    async def revoke(
        self, incident_id: int, link_id: int, *, by: str, also: Sequence[Work] = ()
    ) -> RescueLink:
        """End one."""
        here = (_link.id == link_id, _link.incident == incident_id)
        values = {"revoked_at": self._clock.wall_ms(), "revoked_by": by[:64]}

        def work(connection: Connection) -> RescueLink:
            connection.execute(
                update(desk_link).where(*here, _link.revoked_at.is_(None)).values(values)
            )
            row = connection.execute(select(desk_link).where(*here)).mappings().first()
            if row is None:
                raise RefuseInput("not_found", f"no link {link_id} of this incident")
            return _read(row)

        return await self._database.write(work, *also)

    async def open(self, token: str, kind: LinkKind) -> RescueLink:
        """Return whose token it is."""
        now_ms = self._clock.wall_ms()
        query = select(desk_link).where(
            _link.sha256 == _digest(token),
            _link.kind == kind,
            _link.revoked_at.is_(None),
            _link.created_at > now_ms - AGE_MS_MAX,
        )
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        if row is None:
            raise RefuseInput("not_found", "no such link")
        link = _read(row)
        if link.opened_at is None:
            first = update(desk_link).where(_link.id == link.id, _link.opened_at.is_(None))
            await self._database.write(lambda c: c.execute(first.values(opened_at=now_ms)))
        return link

    def once(self, link_id: int, key: str) -> Work:
        """Return what notes a pressed button, for the transaction that carries it out."""

        def work(connection: Connection) -> None:
            here = _link.id == link_id
            said = connection.execute(select(_link.said).where(here)).scalar() or ""
            keys = said.split()
            if key in keys:
                raise RefuseInput("already_there", "this button was taken already")
            kept = " ".join([*keys, key][-KEYS_MAX:])
            connection.execute(update(desk_link).where(here).values(said=kept))

        return work


def _digest(token: str) -> str:
    return hashlib.sha256(token[:TOKEN_CHARS_MAX].encode("utf-8", "surrogatepass")).hexdigest()


def _read(row: Any) -> RescueLink:
    return RescueLink(**{name: row[name] for name in RescueLink.__struct_fields__})
