"""Tokens of pages that were given back, in the state database: every process refuses them."""

from sqlalchemy import Connection, delete, select

from cloud.model.database import Database
from cloud.model.rows import insert_rows
from cloud.model.trace_delivery_tables import trace_spent_token as table


class SpentTokens:
    """Remembers them until they would end by themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, digest: bytes, expires_at_ms: int, now_ms: int) -> None:
        """Remember one, and forget those whose time is over."""

        def work(connection: Connection) -> None:
            connection.execute(delete(table).where(table.c.expires_at_ms <= now_ms))
            same = select(table.c.digest).where(table.c.digest == digest)
            if connection.execute(same).first() is None:
                insert_rows(connection, table, [{"digest": digest, "expires_at_ms": expires_at_ms}])

        await self._database.write(work)

    async def holds(self, digest: bytes) -> bool:
        """Tell whether one was given back."""
        query = select(table.c.digest).where(table.c.digest == digest)
        return await self._database.read(lambda c: c.execute(query).first() is not None)
