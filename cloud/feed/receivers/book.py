"""Receivers as people keep them, each for its organisation."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from cloud.feed.receivers import rows
from cloud.feed.receivers.base import MakeSender, Outcome
from cloud.feed.receivers.keys import OVERLAP_MS, SECRETS_MAX, Kept, new_secret
from cloud.feed.receivers.stopped import Apply, settle
from cloud.model import tables
from cloud.model.database import Database, Work
from cloud.model.principal import Granted
from cloud.model.receiver import Receiver, ReceiverBody, ReceiverMade, broker_of, check_body
from cloud.model.receiver_tables import receiver, receiver_lane, receiver_open
from cloud.model.visible import sees_organisation
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

RECEIVERS_MAX = 20
"""Of one organisation."""
ALL_MAX = 200
"""Of all: each has a turn of its own, so their number bounds what runs at once."""
TEST_EACH_MS = 10_000
"""Nobody can be flooded by tests of an address that is not theirs."""
PLATFORM = "platform"
_r = receiver.c
_secrets = msgspec.json.Decoder(tuple[Kept, ...]).decode
CheckUrl = Callable[[str], Awaitable[None]]
CheckHost = Callable[[str, int], Awaitable[object]]


class Seals(Protocol):
    """Seals and opens secrets."""

    def close(self, secret: str) -> str:
        """Return a secret sealed."""
        ...

    def open(self, sealed: str) -> str:
        """Return a secret; RetryLater: the key is not here."""
        ...


class ReceiverBook:
    """`Receivers` in the state database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        check_url: CheckUrl,
        check_host: CheckHost,
        seal: Seals,
        mail: bool,
        make_sender: MakeSender,
        apply: Apply,
        on_commit: Callable[[], None],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            check_url: refuses a URL that may not be called.
            check_host: refuses a host that may not be called.
            seal: keeps secrets.
            mail: the service sends mail.
            make_sender: builds what carries a test.
            apply: the alarm desk's, for receivers that were stopped.
            on_commit: called after a commit that may have appended to the feed.

        """
        self._database, self._clock, self._seal, self._mail = database, clock, seal, mail
        self._check_url, self._check_host = check_url, check_host
        self._make_sender, self._apply, self._on_commit = make_sender, apply, on_commit

    async def find(self, granted: Granted) -> list[Receiver]:
        """Return those within the scope, by name."""
        query = select(receiver).where(sees_organisation(granted.scope, _r.organisation))
        query, now_ms = query.order_by(_r.name, _r.id), self._clock.wall_ms()

        def work(connection: Connection) -> list[Receiver]:
            return rows.read_all(connection, connection.execute(query).all(), now_ms)

        return await self._database.read(work)

    async def get(self, granted: Granted, receiver_id: int) -> Receiver:
        """Return one; RefuseInput `not_found`."""
        return await self._database.read(lambda c: self._shown(c, granted, receiver_id))

    async def add(
        self, granted: Granted, body: ReceiverBody, *, also: Sequence[Work] = ()
    ) -> ReceiverMade:
        """Make one; RefuseInput `bad_request`, `bad_address`."""
        await self._check(body)
        now_ms, principal = self._clock.wall_ms(), granted.principal
        own = principal.organisation or PLATFORM
        kept, secret = self._new_secret(body)
        row: dict[str, Any] = {
            "key": secrets.token_hex(6),
            "organisation": own,
            "principal": principal.id,
            "account": principal.account,
            "created_by": granted.by,
            "secrets": msgspec.json.encode(kept).decode(),
            "state": "active",
            "version": 1,
            "created_at": now_ms,
            "tested_at": 0,
            "last_error": "",
            "delivered": 0,
            "gap_items": 0,
            "rate_at": 0,
            "rate_count": 0,
            "password": self._seal.close(body.password) if body.password else "",
        }
        row |= _told(body, now_ms)

        def work(connection: Connection) -> ReceiverMade:
            _check_room(connection, own)
            result = connection.execute(insert(receiver).values(row))
            made = int(result.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
            rows.start_lanes(connection, made, _begin(connection, body.after))
            return ReceiverMade(receiver=self._shown(connection, granted, made), secret=secret)

        return await self._database.write(work, *also)

    async def change(
        self, granted: Granted, receiver_id: int, body: ReceiverBody, *, also: Sequence[Work] = ()
    ) -> Receiver:
        """Change what is told and where to; RefuseInput `not_found`, and as `add`."""
        before = await self.get(granted, receiver_id)
        if body.kind != before.kind:
            raise RefuseInput("bad_request", f"kind: expected {before.kind}, which never changes")
        if body.options.signing != before.options.signing:
            raise RefuseInput("bad_request", "options.signing: expected what it was made with")
        if body.after is not None:
            raise RefuseInput("bad_request", "after: expected none at a change")
        await self._check(body)
        values = _told(body, self._clock.wall_ms())
        if body.password is not None:
            values["password"] = self._seal.close(body.password)
        elif body.address != before.address:  # a password goes to nobody whom it was not given for
            values["password"] = ""
        return await self._changed(granted, receiver_id, values, also)

    async def rotate(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> ReceiverMade:
        """Add a secret; RefuseInput `not_found`, `wrong_state`: it has none."""
        before = await self.get(granted, receiver_id)
        if before.kind != "webhook":
            raise RefuseInput("wrong_state", "only a webhook has a secret")
        secret, public = new_secret(before.options.signing)
        fresh, now_ms = Kept(sealed=self._seal.close(secret), public=public), self._clock.wall_ms()

        def work(connection: Connection) -> ReceiverMade:
            query = select(_r.secrets).where(_r.id == receiver_id)
            told = _secrets(connection.execute(query).scalar_one())
            ending = [
                msgspec.structs.replace(one, until=now_ms + OVERLAP_MS)
                if one.until is None
                else one
                for one in told
            ]
            valid = [one for one in ending if (one.until or 0) > now_ms]
            text = msgspec.json.encode([fresh, *valid][:SECRETS_MAX]).decode()
            self._write(connection, granted, receiver_id, {"secrets": text, "changed_at": now_ms})
            shown = self._shown(connection, granted, receiver_id)
            return ReceiverMade(receiver=shown, secret=secret)

        return await self._database.write(work, *also)

    async def pause(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> Receiver:
        """Send nothing until it is resumed; RefuseInput `not_found`, `wrong_state`."""
        before = await self.get(granted, receiver_id)
        if before.state != "active":
            raise RefuseInput("wrong_state", f"it is {before.state}")
        values = {"state": "paused", "changed_at": self._clock.wall_ms()}
        return await self._changed(granted, receiver_id, values, also)

    async def resume(
        self, granted: Granted, receiver_id: int, *, skip: bool, also: Sequence[Work] = ()
    ) -> Receiver:
        """Go on; RefuseInput `not_found`, `wrong_state`."""
        before = await self.get(granted, receiver_id)
        if before.state == "active" and not skip:
            raise RefuseInput("wrong_state", "it is active")
        now_ms, principal = self._clock.wall_ms(), granted.principal
        values: dict[str, Any] = {"state": "active", "why": None, "changed_at": now_ms}
        own = principal.organisation or PLATFORM
        if before.why == "owner":
            if own != before.organisation:
                detail = "only its own organisation gives it another owner"
                raise RefuseInput("wrong_state", detail)
            values |= {"principal": principal.id, "account": principal.account}

        def work(connection: Connection) -> Receiver:
            self._write(connection, granted, receiver_id, values)
            _start_again(connection, receiver_id, skip=skip, now_ms=now_ms)
            settle(connection, self._apply, now_ms)
            return self._shown(connection, granted, receiver_id)

        shown = await self._database.write(work, *also)
        self._on_commit()
        return shown

    async def test(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> Outcome:
        """Send a test now; RefuseInput `not_found`, `wrong_state`: one was sent just now."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> rows.Standing:
            self._shown(connection, granted, receiver_id)
            free = (_r.id == receiver_id, _r.tested_at <= now_ms - TEST_EACH_MS)
            changed = update(receiver).where(*free).values(tested_at=now_ms)
            if not connection.execute(changed).rowcount:
                raise RefuseInput("wrong_state", "one was sent just now: wait 10 seconds")
            return rows.load_any(connection, receiver_id)

        standing = await self._database.write(work, *also)
        sender = self._make_sender(standing.destination(self._seal, now_ms), dict)
        try:
            return await sender.test()
        except (RefuseInput, RetryLater) as error:
            return Outcome(ok=False, detail=str(error))
        finally:
            await sender.close()

    async def remove(
        self, granted: Granted, receiver_id: int, *, also: Sequence[Work] = ()
    ) -> None:
        """Forget one; RefuseInput `not_found`."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> None:
            self._shown(connection, granted, receiver_id)
            for table, column in (
                (receiver, _r.id),
                (receiver_lane, receiver_lane.c.receiver_id),
                (receiver_open, receiver_open.c.receiver_id),
            ):
                connection.execute(delete(table).where(column == receiver_id))
            settle(connection, self._apply, now_ms)

        await self._database.write(work, *also)
        self._on_commit()

    async def _check(self, body: ReceiverBody) -> None:
        check_body(body)
        if body.kind in ("webhook", "cap", "alertmanager"):
            await self._check_url(body.address)
        elif body.kind == "mqtt" and body.address:
            host, port, _ = broker_of(body.address)
            await self._check_host(host, port)
        elif body.kind == "mail" and not self._mail:
            raise RefuseInput("bad_request", "kind: expected another; no mail is sent from here")

    def _new_secret(self, body: ReceiverBody) -> tuple[tuple[Kept, ...], str]:
        if body.kind != "webhook":
            return (), ""
        secret, public = new_secret(body.options.signing)
        return (Kept(sealed=self._seal.close(secret), public=public),), secret

    async def _changed(
        self, granted: Granted, receiver_id: int, values: dict[str, Any], also: Sequence[Work]
    ) -> Receiver:
        def work(connection: Connection) -> Receiver:
            self._write(connection, granted, receiver_id, values)
            return self._shown(connection, granted, receiver_id)

        return await self._database.write(work, *also)

    def _write(
        self, connection: Connection, granted: Granted, receiver_id: int, values: dict[str, Any]
    ) -> None:
        here = (_r.id == receiver_id, sees_organisation(granted.scope, _r.organisation))
        changed = update(receiver).where(*here).values(version=_r.version + 1, **values)
        if not connection.execute(changed).rowcount:
            raise _unknown(receiver_id)

    def _shown(self, connection: Connection, granted: Granted, receiver_id: int) -> Receiver:
        here = (_r.id == receiver_id, sees_organisation(granted.scope, _r.organisation))
        found = connection.execute(select(receiver).where(*here)).all()
        if not found:
            raise _unknown(receiver_id)
        return rows.read_all(connection, found, self._clock.wall_ms())[0]


def _told(body: ReceiverBody, now_ms: int) -> dict[str, Any]:
    """Return the columns that a person writes."""
    return {
        "name": body.name,
        "kind": body.kind,
        "address": body.address,
        "filter": msgspec.json.encode(body.filter).decode(),
        "options": msgspec.json.encode(body.options).decode(),
        "changed_at": now_ms,
    }


def _check_room(connection: Connection, organisation: str) -> None:
    for where, most in (((_r.organisation == organisation,), RECEIVERS_MAX), ((), ALL_MAX)):
        if connection.execute(select(func.count(_r.id)).where(*where)).scalar_one() >= most:
            raise RefuseInput("bad_request", f"receivers: expected at most {most}")


def _begin(connection: Connection, after: int | None) -> int:
    """Return the offset after which a new receiver begins: never before the oldest kept."""
    head, oldest = _head(connection), select(func.min(tables.feed.c.offset))
    kept_after = (connection.execute(oldest).scalar() or 1) - 1
    return head if after is None else max(min(after, head), kept_after)


def _head(connection: Connection) -> int:
    return connection.execute(select(func.max(tables.feed.c.offset))).scalar() or 0


def _start_again(connection: Connection, receiver_id: int, *, skip: bool, now_ms: int) -> None:
    """Forget failures; with `skip` begin at the head, and say what was left out."""
    lane = receiver_lane.c
    mine = lane.receiver_id == receiver_id
    fresh = {"attempts": 0, "failing_since": None, "retry_at": None}
    connection.execute(update(receiver_lane).where(mine).values(fresh))
    if skip:
        head = _head(connection)
        least = connection.execute(select(func.min(lane.offset)).where(mine)).scalar_one()
        rows.start_lanes(connection, receiver_id, head)
        if head > least:
            gap = {"gap_items": _r.gap_items + (head - least), "gap_at": now_ms}
            connection.execute(update(receiver).where(_r.id == receiver_id).values(gap))


def _unknown(receiver_id: int) -> RefuseInput:
    return RefuseInput("not_found", f"no receiver {receiver_id}")
