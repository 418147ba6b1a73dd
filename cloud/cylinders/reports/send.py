"""Sends messages to the regulator until each is answered, with the same bytes and key at each try.

One that is taken has its receipt kept; one that is refused stands as refused until a person looks.
Whoever does not answer is asked again ever more rarely, and given up after about a day.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, or_, select, update

from cloud.cylinders.reports.make import make_reports
from cloud.cylinders.reports.mapping import MessageKind
from cloud.model.database import Database
from cloud.model.report_tables import cylinder_report
from cloud.outbound.base import Outbound
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

POLL_S = 1.0
SENT_A_TURN = 50
FAILURES_MAX = 36
"""With the pauses between them about a day."""
PAUSE_S, PAUSE_MAX_S = 2.0, 3600.0
ANSWER_CHARS_MAX = 500
TRY_AGAIN = (408, 425, 429)
KNOWN_ALREADY = 409
"""Their word for a key that they have: it was taken, and the answer was lost."""
Count = Callable[[str], None]
logger = logging.getLogger("suyuan.cloud")


class Reports:
    """Makes and sends; `run` until cancelled, by one process at a time."""

    def __init__(
        self,
        database: Database,
        kinds: Sequence[MessageKind],
        *,
        outbound: Outbound,
        url: str,
        token: Callable[[], str],
        clock: Clock,
        count: Count,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            kinds: of messages.
            outbound: calls out.
            url: to which the kind of a message is added.
            token: proves who sends; empty: none is sent.
            clock: for retries.
            count: is told what becomes of each.

        """
        self._database, self._kinds, self._outbound = database, kinds, outbound
        self._url, self._token, self._clock, self._count = url.rstrip("/"), token, clock, count

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                more = await self.look()
            except RetryLater as error:  # ours: the database is away
                logger.warning("reports wait: %s", error)
                more = False
            if not more:
                await asyncio.sleep(POLL_S)

    async def look(self) -> bool:
        """Make what is new, and send what is due; tell whether there may be more."""
        now_ms = self._clock.wall_ms()
        more = await self._database.write(
            lambda c: make_reports(c, self._kinds, now_ms, self._count)
        )
        due = await self._database.read(lambda c: _due(c, now_ms))
        for row in due:
            values = await self._send(row)
            self._count(values["state"])
            await self._database.write(partial(_write, id_=row["id"], values=values))
            if values["state"] == "waiting":  # who does not answer one waits for none
                return more
        return more or len(due) == SENT_A_TURN

    async def _send(self, row: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": row["key"]}
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = await self._outbound.fetch(
                f"{self._url}/{row['kind']}", method="POST", headers=headers, content=row["body"]
            )
        except (RetryLater, RefuseInput) as error:
            return self._again(row, str(error))
        told = f"{answer.status} {answer.body.decode(errors='replace')}"
        if 200 <= answer.status < 300 or answer.status == KNOWN_ALREADY:
            return self._ended(row, "sent", told)
        if 400 <= answer.status < 500 and answer.status not in TRY_AGAIN:
            return self._ended(row, "refused", told)
        return self._again(row, told)

    def _ended(self, row: Mapping[str, Any], state: str, told: str) -> dict[str, Any]:
        now_ms = self._clock.wall_ms()
        ended = {"state": state, "ended_at": now_ms, "retry_at": None}
        return {**ended, "tries": row["tries"] + 1, "answer": told[:ANSWER_CHARS_MAX]}

    def _again(self, row: Mapping[str, Any], told: str) -> dict[str, Any]:
        tries = row["tries"] + 1
        if tries >= FAILURES_MAX:
            return self._ended(row, "given_up", told)
        pause_s = min(PAUSE_S * 2 ** min(tries - 1, 20), PAUSE_MAX_S)
        retry_at = self._clock.wall_ms() + int(pause_s * 1000)
        return {
            "state": "waiting",
            "retry_at": retry_at,
            "tries": tries,
            "answer": told[:ANSWER_CHARS_MAX],
        }


def _due(connection: Connection, now_ms: int) -> Sequence[Mapping[str, Any]]:
    report = cylinder_report.c
    query = select(cylinder_report).where(
        report.state == "waiting", or_(report.retry_at.is_(None), report.retry_at <= now_ms)
    )
    rows = connection.execute(query.order_by(report.id).limit(SENT_A_TURN))
    return [dict(row) for row in rows.mappings()]


def _write(connection: Connection, id_: int, values: dict[str, Any]) -> None:
    here = cylinder_report.c.id == id_
    connection.execute(update(cylinder_report).where(here).values(values))
