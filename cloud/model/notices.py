"""Word between processes that something was committed, by way of PostgreSQL's LISTEN and NOTIFY.

A notice only saves waiting: everything it speaks of is in the database, and whoever missed it finds
it there at the next look. Within one process, and so on SQLite, the parts wake each other directly.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, make_url, select

logger = logging.getLogger("suyuan.cloud")

RETRY_S = 1.0
LOG, FEED = "suyuan_log", "suyuan_feed"
"""What there is to tell: groups in the log (`partition position` …), items in the feed."""
TEXT_BYTES_MAX = 7_900
"""PostgreSQL takes no more in one notice."""


def announce(connection: Connection, channel: str, text: str = "") -> None:
    """Tell other processes, once the caller's transaction is committed; a long text is left out."""
    if connection.dialect.name == "postgresql":
        short = text if len(text) <= TEXT_BYTES_MAX else ""
        connection.execute(select(func.pg_notify(channel, short)))


async def listen(url: str, hear: Mapping[str, Callable[[str], None]]) -> None:
    """Call `hear[channel](text)` for each notice, until cancelled; reconnects when lost."""
    import psycopg  # noqa: PLC0415 - only PostgreSQL's users have it

    where = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
                for channel in hear:
                    await connection.execute(f"LISTEN {channel}")
                    hear[channel]("")  # what came before this connection
                async for notice in connection.notifies():
                    hear[notice.channel](notice.payload)
        await asyncio.sleep(RETRY_S)
