"""Gives the service what was done, in batches, again and again until each record has its word.

A batch is taken out of the store only by its answer; one that broke off is sent again, and the
service knows what it has. Whose token carries it does not matter: each record says who did it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from edge.handheld.session import Issued, Member, Session
from edge.handheld.store import Store
from edge.handheld.timing import HandTime
from protocols.errors import RefuseInput, RetryLater
from protocols.handheld import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    PHOTO_BYTES_MAX,
    Answer,
    Contact,
    Settled,
    number_of,
)

ROUNDS_MAX = 1_000
"""Batches of one run; what is left then waits for the next."""
REFUSED_WHOLE = ("bad_request", "too_large")
"""Reasons for which a batch is divided, to find the record that is meant."""
PHOTO_LOST = ("gone", "not_found", "too_large", "bad_hash", "bad_photo")
"""Reasons for which a photo will never be taken."""
PHOTOS = "photos"
"""Below the state folder; the camera's program puts its pictures there."""
Ended = Literal["done", "nobody", "revoked", "away"]
"""All was given; no person has a token; the device was reported lost; tried again later."""


class Report(Struct, frozen=True, kw_only=True):
    """What one run came to."""

    ended: Ended
    sent: int = 0
    faulty: int = 0
    """Among them, those on which the service has something to say."""
    why: str = ""


class Service(Protocol):
    """The service, as `edge.handheld.link.Link` reaches it."""

    async def renew(self, token: str) -> Issued:
        """Fetch the next token."""
        ...

    async def contact(self, token: str) -> Contact:
        """Ask who we are, and what time it is."""
        ...

    async def send_photo(self, token: str, sha256: str, raw: bytes) -> None:
        """Send a photo that a record names."""
        ...

    async def send(self, token: str, store: str, records: list[bytes]) -> Answer:
        """Send records."""
        ...


Fetch = Callable[[str], Awaitable[None]]
"""Fetches with a token what the device should know; RetryLater, RefuseInput."""


class Sync:
    """Between one store and one service; one run at a time."""

    def __init__(
        self,
        store: Store,
        session: Session,
        time: HandTime,
        service: Service,
        fetch: Fetch,
        folder: Path,
    ) -> None:
        """Make it; `folder`: the state folder, with the photos below it."""
        self._store, self._session, self._time = store, session, time
        self._service, self._fetch, self._photos = service, fetch, folder / PHOTOS

    async def run(self) -> Report:
        """Reach the service by some person's token, give it all records, fetch what is new."""
        sent = faulty = 0
        try:
            member = await self._reach()
            if member is None:
                return Report(ended="nobody", why="nobody here has a token in force")
            for _ in range(ROUNDS_MAX):
                words = await self._send_some(member)
                if not words:
                    break
                sent += len(words)
                faulty += sum(one.outcome in ("conflict", "refused") for one in words)
            await self._send_photos(member)
            await self._fetch(member.token)
        except RetryLater as error:
            return Report(ended="away", sent=sent, faulty=faulty, why=str(error))
        except RefuseInput as error:
            ended: Ended = "away"
            if error.reason == "device_revoked":
                self._session.revoke()
                ended = "revoked"
            return Report(ended=ended, sent=sent, faulty=faulty, why=str(error))
        return Report(ended="done", sent=sent, faulty=faulty)

    async def _reach(self) -> Member | None:
        """Return a person whom the service still knows, whoever is signed on first.

        All are asked for: any one's token that was revoked locks the device, and each is renewed.
        """
        on, known = self._session.who(), None
        for member in sorted(self._session.members, key=lambda one: one is not on):
            if member.out:
                continue
            try:
                greeted = await self._greet(member)
            except RefuseInput as error:
                if error.reason not in ("no_token", "forbidden"):
                    raise
                self._session.shut_out(member)
            else:
                known = known or greeted
        return known

    async def _greet(self, member: Member) -> Member:
        contact = await self._service.contact(member.token)
        now = self._session.heard(member, contact)
        if now.at_ms >= member.renew_at:
            told = await self._service.renew(member.token)
            self._session.renewed(member, told.token, told.renew_at)
        return next(one for one in self._session.members if one.id == member.id)

    async def _send_photos(self, member: Member) -> None:
        """Send each photo of the records that the service has; one that cannot be is told of."""
        for sha256, file in self._store.unsent_photos():
            try:
                raw = await asyncio.to_thread(_read_photo, self._photos / file)
                await self._service.send_photo(member.token, sha256, raw)
            except RefuseInput as error:
                if error.reason not in PHOTO_LOST:
                    raise
                self._store.settle_photo(sha256, error.reason)
            else:
                self._store.settle_photo(sha256, "sent")

    async def _send_some(self, member: Member) -> Sequence[Settled]:
        records = self._store.unsettled(BATCH_RECORDS_MAX, BATCH_BYTES_MAX)
        return await self._send(member, records) if records else ()

    async def _send(self, member: Member, records: list[bytes]) -> Sequence[Settled]:
        """Send records; of a batch that is refused whole, one half after the other."""
        try:
            answer = await self._service.send(member.token, self._store.id, records)
        except RefuseInput as error:
            if error.reason not in REFUSED_WHOLE:
                raise
            if len(records) == 1:
                return self._settle([_refused(records[0], error)])
            middle = len(records) // 2
            first = await self._send(member, records[:middle])
            return [*first, *await self._send(member, records[middle:])]
        sent = {number_of(one) for one in records}
        told = [one for one in answer.settled if one.number in sent]
        if not told:
            raise RetryLater("the answer tells of none of the records")
        self._time.heard(answer.time)
        return self._settle(told)

    def _settle(self, words: Sequence[Settled]) -> Sequence[Settled]:
        self._store.settle(words)
        return words


def _refused(record: bytes, error: RefuseInput) -> Settled:
    """Keep the record with the reason for which the service does not read it at all."""
    return Settled(
        number=number_of(record) or 0,
        outcome="refused",
        reason=error.reason,
        found=error.detail[:300],
    )


def _read_photo(path: Path) -> bytes:
    """Read a photo; RefuseInput `gone`."""
    try:
        with path.open("rb") as file:
            return file.read(PHOTO_BYTES_MAX + 1)
    except OSError as error:
        raise RefuseInput("gone", str(error)[:200]) from None
