"""Which shard groups an ingester should take: a pure decision over the rows that all see."""

from collections import Counter
from collections.abc import Collection, Sequence

from cloud.model.ownership import Holding


def to_claim(
    rows: Sequence[Holding], *, me: str, held: Collection[str], stale: Collection[str]
) -> list[Holding]:
    """Choose what to take now.

    What nobody lives to serve is taken at once, what a person wants here too. Beyond that each
    ingester takes one group at a time from the richest until it has its share; a group that is
    wanted where it is stays there.

    Args:
        rows: all groups.
        me: this ingester's name.
        held: names of the groups that it owns already.
        stale: names of the groups whose owner gave no sign of life.

    """
    alive = {row.owner for row in rows if row.owner and row.name not in stale} | {me}
    claims = [row for row in rows if row.name not in held and _is_mine(row, me, alive, stale)]
    share = len(rows) // len(alive)
    if len(held) + len(claims) < share:
        claims += _from_the_richest(rows, me, stale, share)
    return claims


def _is_mine(row: Holding, me: str, alive: Collection[str], stale: Collection[str]) -> bool:
    if me in (row.wanted, row.owner):  # its own from before it was restarted, if the owner
        return True
    nobodys = row.owner is None or row.name in stale
    return nobodys and (row.wanted is None or row.wanted not in alive)


def _from_the_richest(
    rows: Sequence[Holding], me: str, stale: Collection[str], share: int
) -> list[Holding]:
    counts = Counter(row.owner for row in rows if row.owner and row.name not in stale)
    counts.pop(me, None)
    for owner, count in counts.most_common():
        spare = [row for row in rows if row.owner == owner and row.wanted is None]
        if count > share and spare:
            return spare[-1:]
    return []
