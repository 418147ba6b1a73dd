"""Codes that readers saw together on one cylinder: where they disagree, it is blocked and told."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select

from cloud.cylinders.changes import Actor, turn
from cloud.cylinders.facts import TAG_UID
from cloud.cylinders.rows import find_row
from cloud.cylinders.steps import block_disagreeing, disagreement, told_by
from cloud.model.cylinder import SCHEME, FurtherCode
from cloud.model.cylinder_tables import cylinder_block
from cloud.model.logged import LoggedBatch
from cloud.model.principal import BY_CHARS_MAX
from cloud.model.tables import asset_gateway, asset_party
from protocols.clock import Clock
from protocols.records import Code, Scan

NAME, MARK = "cylinder scans", b'"scan"'
"""Of the follower."""
DISAGREE = "codes_disagree"
VALUE_MAX = 128
Find = Callable[[str, str, str, int], None]
"""Leaves a finding: asset id, reason, detail, when (ms since 1970)."""


class ScanObserver:
    """What a `LogFollower` does with batches that hold scans."""

    def __init__(self, clock: Clock, *, find: Find) -> None:
        """Build it; `find` is called in the thread that writes."""
        self._clock, self._find = clock, find

    def keep(self, connection: Connection, batches: Sequence[LoggedBatch]) -> None:
        """Look at the scans of batches that tell of more than one cylinder.

        As with codes that a person sends, a gateway blocks the cylinders of those alone whose
        things it serves; the others get the finding. A scan from before a person lifted such a
        block says nothing any more, so a log that is read again blocks nothing again.
        """
        for batch in batches:
            for _, record in batch.taken():
                if isinstance(record, Scan):
                    codes = _codes(record.codes)
                    told = told_by(connection, codes) if len(codes) > 1 else {}
                    if len(told) > 1:
                        self._disagree(connection, batch, told)

    def _disagree(
        self, connection: Connection, batch: LoggedBatch, told: dict[str, list[FurtherCode]]
    ) -> None:
        firms = _served(connection, batch.gateway)
        rows = {one: find_row(connection, one) for one in told}
        fresh = [one for one in told if not _lifted_since(connection, one, batch.received_at)]
        mine = [one for one in fresh if (row := rows[one]) is not None and row["filler"] in firms]
        actor = Actor(f"gateway:{batch.gateway}"[:BY_CHARS_MAX], "")
        with turn(connection, actor, self._clock.wall_ms()) as taken:
            block_disagreeing(taken, told, mine)
        for asset_id in fresh:
            self._find(asset_id, DISAGREE, disagreement(told), batch.received_at)


def _codes(codes: Sequence[Code]) -> list[FurtherCode]:
    found = [
        FurtherCode(one.scheme, one.value.upper() if one.scheme == TAG_UID else one.value)
        for one in codes
        if len(one.value) <= VALUE_MAX
    ]
    named = any(one.scheme in (SCHEME, TAG_UID) for one in found)
    return list(dict.fromkeys(found)) if named else []


def _served(connection: Connection, gateway: str) -> set[str]:
    """Return the organisations whose registered things name the gateway; never the empty one."""
    of, party = asset_gateway.c, asset_party.c
    query = select(party.organisation).where(
        of.gateway_id == gateway, of.asset_id == party.asset_id, party.organisation != ""
    )
    return set(connection.execute(query.distinct()).scalars())


def _lifted_since(connection: Connection, asset_id: str, at_ms: int) -> bool:
    block = cylinder_block.c
    here = (block.asset_id == asset_id, block.cause == DISAGREE, block.lifted_at >= at_ms)
    return connection.execute(select(block.id).where(*here).limit(1)).first() is not None
