"""Notices of what came upon the lists: one at a time to each address, counts and a link.

An address is told at once of what is urgent, and once a day of all that a day brought, never
oftener than the terms say, and never twice of the same: up to which case it was told is written
with the notice. While one is being sent no further is made; what comes meanwhile is in the next. So
nothing grows, however long a server is away, and hundreds of thousands of cylinders are one notice.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from cloud.cylinders.watch.desk import seen
from cloud.cylinders.watch.runner import LISTED
from cloud.cylinders.watch.sightings import local_day
from cloud.cylinders.watch.terms import read_standing
from cloud.model.cylinder_notice import Notice
from cloud.model.database import Database
from cloud.model.principal import Scope
from cloud.model.watch_tables import cylinder_case, cylinder_notice, cylinder_notice_to
from cloud.outbound.base import Mail, Outbound
from protocols.clock import Clock
from protocols.cylinders.watch import MINUTE_MS, Watch
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger("suyuan.cloud")
POLL_S = 10.0
AT_ONCE = 8
URGENT_MAX = 20
ERROR_CHARS_MAX = 200
SIGNATURE_HEADER, ID_HEADER = "Suyuan-Signature", "Suyuan-Notice"
_case, _to, _notice = cylinder_case.c, cylinder_notice_to.c, cylinder_notice.c
_read = msgspec.json.Decoder(Notice).decode


class Opens(Protocol):
    """Opens secrets."""

    def open(self, sealed: str) -> str:
        """Return a secret; RetryLater: not sealed by the key that is here."""
        ...


class Notices:
    """Makes and sends notices until cancelled; one process at a time may."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        zone: ZoneInfo,
        watch: Watch,
        rights: Callable[[str, int | None], Scope],
        outbound: Outbound,
        mail: Mail | None,
        seal: Opens,
        base_url: str,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            zone: in which days are counted.
            watch: the terms.
            rights: how far a principal's reading reaches now.
            outbound: calls webhooks.
            mail: None: the service sends none.
            seal: opens the secrets of webhooks.
            base_url: for links; empty: none are told.

        """
        self._database, self._clock, self._zone, self._watch = database, clock, zone, watch
        self._rights, self._outbound, self._mail, self._seal = rights, outbound, mail, seal
        self._base_url = base_url
        self._urgent = [one.id for one in watch.cases if one.urgent]
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Make and send what is due, until cancelled."""
        while True:
            try:
                await self.look()
            except RetryLater as error:
                logger.warning("notices on cylinders wait: %s", error)
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Make what is due, and send what waits."""
        now_ms = self._clock.wall_ms()
        for address in await self._database.read(_addresses):
            told, notice = await self._database.read(
                partial(self._plan, one=address, now_ms=now_ms)
            )
            if told:
                work = partial(_write, address_id=address.id, told=told, notice=notice)
                await self._database.write(work)
        waiting = await self._database.read(lambda c: _waiting(c, now_ms))
        async with asyncio.TaskGroup() as group:
            for row in waiting:
                group.create_task(self._serve(row))

    def _plan(
        self, connection: Connection, one: Any, now_ms: int
    ) -> tuple[dict[str, Any], Notice | None]:
        """Return what becomes of an address, and its notice, if there is something to tell now."""
        if now_ms - one.told_at < self._watch.notices.apart_min * MINUTE_MS:
            return {}, None
        day = local_day(now_ms, self._zone).isoformat()
        daily = read_standing(connection, LISTED).day == day and one.told_day != day
        scope = self._rights(one.principal, one.account)
        newest = connection.execute(select(func.max(_case.id))).scalar() or 0
        fresh = (_case.id > one.told_case, _case.id <= newest, seen(scope))
        hurry = select(_case.subject).where(*fresh, _case.kind.in_(self._urgent)).order_by(_case.id)
        urgent = tuple(connection.execute(hurry.limit(URGENT_MAX)).scalars())
        if not (daily or urgent):
            return {}, None
        told: dict[str, Any] = {"told_case": newest, **({"told_day": day} if daily else {})}
        new = _counts(connection, *fresh)
        if not new:
            return told, None
        notice = Notice(
            id=0,
            organisation=one.organisation,
            made_at=now_ms,
            day=day,
            new=new,
            open=_counts(connection, _case.open == "y", seen(scope)),
            urgent=urgent,
            link=f"{self._base_url}/cylinder-cases" if self._base_url else "",
        )
        return {**told, "told_at": now_ms}, notice

    async def _serve(self, row: Any) -> None:
        notice = msgspec.structs.replace(_read(row.body), id=row.id)
        async with self._turns:
            try:
                await self._send(row, notice)
            except (RefuseInput, RetryLater) as error:
                await self._failed(row, str(error))
                return
        now_ms = self._clock.wall_ms()
        sent = {"state": "sent", "error": "", "ended_at": now_ms, "open": None}
        await self._database.write(lambda c: _set(c, row.id, **sent))

    async def _send(self, row: Any, notice: Notice) -> None:
        if row.channel == "mail":
            if self._mail is None:
                raise RetryLater("this service sends no mail")
            subject, text = notice_text(notice, self._watch, row.language)
            message_id = f"<notice-{notice.id}.{notice.made_at}@suyuan>"
            await self._mail.send(row.address, subject, text, message_id=message_id)
            return
        body = msgspec.json.encode(notice)
        headers = {"Content-Type": "application/json", ID_HEADER: str(notice.id)}
        if row.secret:
            headers[SIGNATURE_HEADER] = signature(self._seal.open(row.secret), body)
        answer = await self._outbound.fetch(
            row.address, method="POST", headers=headers, content=body
        )
        if not 200 <= answer.status < 300:
            raise RetryLater(f"answered with status {answer.status}")

    async def _failed(self, row: Any, why: str) -> None:
        terms, attempts, now_ms = self._watch.notices, row.attempts + 1, self._clock.wall_ms()
        pause_s = min(terms.pause_s * 2 ** min(attempts - 1, 20), terms.pause_max_s)
        changed: dict[str, Any] = {"attempts": attempts, "error": why[:ERROR_CHARS_MAX]}
        if attempts >= terms.attempts:
            changed |= {"state": "given_up", "ended_at": now_ms, "open": None}
        else:
            changed["retry_at"] = now_ms + pause_s * 1_000
        await self._database.write(lambda c: _set(c, row.id, **changed))


def signature(secret: str, body: bytes) -> str:
    """Return HMAC-SHA-256 of a body, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def notice_text(notice: Notice, watch: Watch, language: str) -> tuple[str, str]:
    """Return subject and text of a mail."""
    zh = language == "zh"
    if notice.test:
        told = (
            "本邮件用于测试接收地址，无新增事项。"
            if zh
            else "This tries the address; nothing is new."
        )
        subject = "气瓶工作清单：测试通知" if zh else "Cylinders: a test of this address"
        return subject, "\n".join([told, *(["", notice.link] if notice.link else [])])
    titles = {one.id: one.title_zh if zh else one.title for one in watch.cases}
    lines = ["新增：" if zh else "New:", *_lines(notice.new, titles, zh=zh), ""]
    lines += ["目前待办：" if zh else "Open now:", *_lines(notice.open, titles, zh=zh)]
    if notice.urgent:
        lines += ["", "须立即处理：" if zh else "At once:", *(f"  {one}" for one in notice.urgent)]
    lines += ["", notice.link] if notice.link else []
    total = sum(notice.new.values())
    subject = f"气瓶工作清单 {notice.day}：新增 {total} 项" if zh else ""
    return subject or f"Cylinders, {notice.day}: {total} new on the work lists", "\n".join(lines)


def _lines(counts: Any, titles: Any, *, zh: bool) -> list[str]:
    found = []
    for word, count in counts.items():
        kind, _, stage = word.rpartition("_") if word not in titles else (word, "", "")
        within = f"（{stage} 天内）" if zh else f" within {stage} days"
        found.append(f"  {titles[kind]}{within if stage else ''}{'：' if zh else ': '}{count}")
    return found


def _counts(connection: Connection, *which: Any) -> dict[str, int]:
    query = select(_case.kind, _case.stage_days, func.count().label("total")).where(*which)
    query = query.group_by(_case.kind, _case.stage_days).order_by(_case.kind, _case.stage_days)
    return {
        row.kind if row.stage_days is None else f"{row.kind}_{row.stage_days}": row.total
        for row in connection.execute(query)
    }


def _addresses(connection: Connection) -> Sequence[Any]:
    """Return the addresses to which nothing is on its way."""
    busy = select(_notice.address_id).where(_notice.open == "y")
    return connection.execute(select(cylinder_notice_to).where(_to.id.not_in(busy))).all()


def _waiting(connection: Connection, now_ms: int) -> Sequence[Any]:
    joined = cylinder_notice.join(cylinder_notice_to, _to.id == _notice.address_id)
    query = select(
        _notice.id,
        _notice.body,
        _notice.attempts,
        _to.channel,
        _to.address,
        _to.language,
        _to.secret,
    )
    query = query.select_from(joined).where(_notice.open == "y", _notice.retry_at <= now_ms)
    return connection.execute(query.order_by(_notice.retry_at).limit(100)).all()


def _write(
    connection: Connection, address_id: int, told: dict[str, Any], notice: Notice | None
) -> None:
    """Write up to where an address was told, with the notice."""
    changed = update(cylinder_notice_to).where(_to.id == address_id).values(told)
    if connection.execute(changed).rowcount and notice is not None:
        write_notice(connection, address_id, notice)


def write_notice(connection: Connection, address_id: int, notice: Notice) -> None:
    """Let a notice be sent; of each address only one may be on its way."""
    row: dict[str, Any] = {"made_at": notice.made_at, "retry_at": notice.made_at, "attempts": 0}
    row |= {"state": "waiting", "error": "", "open": "y", "address_id": address_id}
    row["body"] = msgspec.json.encode(notice).decode()
    connection.execute(insert(cylinder_notice).values(row))


def _set(connection: Connection, notice_id: int, **values: Any) -> None:
    connection.execute(update(cylinder_notice).where(_notice.id == notice_id).values(values))
