"""Verifies the audit entry by entry, in bounded memory, and names each fault with its place."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select

from cloud.audit.faults import Faults, Verdict
from cloud.audit.witness import Witness, Witnesses
from cloud.model.audit import FIRST_HASH, HALF, head_of, link_of, read_head, seal_of
from cloud.model.people_tables import audit

Row = dict[str, Any]

UNCLEAR_MAX = 300
"""Entries with a wrong seal that are kept until the end, to find where they come from."""
SHIFT_MAX = 64
"""So far before and after an entry its true number is looked for at once."""
SEARCHES_MAX = 1_000
"""Such looks: a whole chain of another key must not take for ever."""
ROWS = 2_000
PROGRESS_EACH = 50_000


def verify(
    connection: Connection,
    key: bytes,
    witnesses: Sequence[Witness] = (),
    *,
    progress: Callable[[int], None] = lambda _count: None,
) -> Verdict:
    """Read the whole audit, and what kept heads say of it.

    Args:
        connection: to the state database; one consistent look at it is taken.
        key: of the audit.
        witnesses: heads that were kept outside, read before.
        progress: told the number of entries read so far, every PROGRESS_EACH.

    """
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ")
    faults = Faults()
    heads = Witnesses(key, read_head(connection), witnesses, faults)
    walk = _Walk(key, faults, heads)
    for row in _rows(connection):
        walk.take(row)
        if walk.count % PROGRESS_EACH == 0:
            progress(walk.count)
    walk.end()
    found, more = faults.all()
    return Verdict(walk.count, found, more)


def _rows(connection: Connection) -> Iterator[Row]:
    """Stream the entries; bytes that are no text must not keep the others from being read."""
    raw: Any = connection.connection.dbapi_connection
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        raw.text_factory = lambda text: text.decode(errors="backslashreplace")
    try:
        query = select(audit).order_by(audit.c.seq)
        result = connection.execution_options(yield_per=ROWS).execute(query)
        for row in result.mappings():
            yield dict(row)
    finally:
        if is_sqlite:
            raw.text_factory = str


class _Walk:
    """Goes along the chain; knows where it is, and what is still unclear."""

    def __init__(self, key: bytes, faults: Faults, heads: Witnesses) -> None:
        self._key, self._faults, self._heads = key, faults, heads
        self.count = self._seq = self._sealed = 0
        self._stored: str | None = head_of(key, 0, FIRST_HASH).mac
        """MAC of the head that the entry before made, by its hash as it stands there."""
        self._redone: tuple[str, ...] = ()
        """The same by the hash that it should have, where that is another one."""
        self._good: tuple[int, str] | None = (0, self._stored)
        """Number and MAC of the last good entry, if nothing is missing since."""
        self._unlinked = 0
        """Number of the entry before if it follows another one than it should."""
        self._shift = self._searches = 0
        self._unclear: list[Row] = []
        self._gaps: list[int] = []

    def take(self, row: Row) -> None:
        """Judge the next entry."""
        self.count += 1
        seq = row["seq"]
        if not isinstance(seq, int) or seq < 1:
            self._faults.add("inserted", 0, 0, "no such entry", f"an entry numbered {seq!r}")
            return
        if seq > self._seq + 1:
            self._miss(self._seq + 1, seq - 1)
        hash_ = row["hash"] if isinstance(row["hash"], str) else ""
        own = seal_of(self._key, row)
        if own == hash_[:HALF]:
            good = self._fit(seq, hash_, own)
        else:
            self._settle(redone=False)
            good = self._misfit(row, own)
        self._step(seq, hash_, own, good=good)

    def end(self) -> None:
        """Judge what is left when no entry is."""
        self._settle(redone=False)
        self._heads.end(self._seq, self._sealed)
        last = self._heads.newest
        tail = range(self._seq + 1, min(last, self._seq + UNCLEAR_MAX) + 1)
        places = [*(row["seq"] for row in self._unclear), *self._gaps, *tail]
        for row in self._unclear:
            true = next((place for place in places if self._was(row, place)), None)
            if true is not None:
                self._tell_moved(row["seq"], true)
            elif 0 < last < row["seq"]:
                self._tell_inserted(row["seq"])
            else:
                self._tell_edited(row)

    def _fit(self, seq: int, hash_: str, own: str) -> bool:
        """Judge what an entry follows whose seal is good; returns whether it may be followed."""
        self._heads.meet(seq, hash_)
        self._sealed, self._shift = seq, 0
        link, was_good = hash_[HALF:], self._good is not None and self._good[0] == seq - 1
        redone = self._links(link, own, *self._redone)
        self._settle(redone=redone)
        if self._stored is None or redone or self._links(link, own, self._stored):
            return True
        if was_good:
            self._unlinked = seq
            return False
        if self._good is not None and self._links(link, own, self._good[1]):
            self._tell_inserted_since(self._good[0] + 1)
        return True

    def _links(self, link: str, own: str, *macs: str) -> bool:
        return any(link == link_of(self._key, mac, own) for mac in macs)

    def _step(self, seq: int, hash_: str, own: str, *, good: bool) -> None:
        """Remember what the next entry may follow."""
        before = (*self._redone, *((self._stored,) if self._stored else ()))
        hashes = [] if good else [own + link_of(self._key, mac, own) for mac in before][:4]
        self._redone = tuple(head_of(self._key, seq, one).mac for one in hashes)
        self._seq, self._stored = seq, head_of(self._key, seq, hash_).mac
        if good:
            self._good = seq, self._stored

    def _miss(self, first: int, last: int) -> None:
        """Tell of missing entries, but of none beyond what heads know: there nothing is missing."""
        self._settle(redone=False)
        self._stored, self._redone, self._good = None, (), None
        last = min(last, self._heads.newest) if self._heads.newest else last
        if last < first:
            return
        self._faults.add("missing", first, last, "what was written", "nothing")
        room = UNCLEAR_MAX - len(self._gaps)
        self._gaps += range(first, min(last, first + room - 1) + 1)

    def _settle(self, *, redone: bool) -> None:
        """Say of an entry that follows another one: only its link was edited if the next fits it.

        `redone`: the next one follows the hash that it should have.
        """
        if not self._unlinked:
            return
        if redone:
            text = ("the link of an entry that follows the one before it", "another link")
            self._faults.add("edited", self._unlinked, self._unlinked, *text)
        else:
            text = (f"an entry that follows entry {self._unlinked - 1}", "one that follows another")
            self._faults.add("unlinked", self._unlinked, self._unlinked, *text)
        self._unlinked = 0

    def _misfit(self, row: Row, own: str) -> bool:
        """Find where an entry comes from whose seal does not fit; else keep it for the end."""
        seq, row["own"] = row["seq"], own
        shift = self._find_shift(row)
        if shift is None:
            self._unclear.append(row)
            if len(self._unclear) > UNCLEAR_MAX:
                self._tell_edited(self._unclear.pop(0))
            return False
        if shift < self._shift:  # so many were pushed in before it
            self._tell_inserted_since(seq - (self._shift - shift))
        self._shift = shift
        self._tell_moved(seq, seq + shift)
        return False

    def _tell_inserted_since(self, first: int) -> None:
        for row in [one for one in self._unclear if one["seq"] >= first]:
            self._unclear.remove(row)
            self._tell_inserted(row["seq"])

    def _find_shift(self, row: Row) -> int | None:
        seq = row["seq"]
        if self._shift and self._was(row, seq + self._shift):
            return self._shift
        if self._searches >= SEARCHES_MAX:
            return None
        self._searches += 1
        near = (sign * by for by in range(1, SHIFT_MAX + 1) for sign in (1, -1))
        return next((by for by in near if self._was(row, seq + by)), None)

    def _was(self, row: Row, seq: int) -> bool:
        """Tell whether the entry was written with this number."""
        seal = row["hash"][:HALF] if isinstance(row["hash"], str) else ""
        return seq > 0 and seal_of(self._key, {**row, "seq": seq}) == seal

    def _tell_moved(self, seq: int, true: int) -> None:
        found = f"what was written as entry {true}"
        self._faults.add("moved", seq, seq, f"entry {seq}", found, like=true - seq)

    def _tell_inserted(self, seq: int) -> None:
        self._faults.add("inserted", seq, seq, "no such entry", "one without our seal")

    def _tell_edited(self, row: Row) -> None:
        found = f"{row['hash'][:HALF]}" if isinstance(row["hash"], str) else repr(row["hash"])[:40]
        self._faults.add("edited", row["seq"], row["seq"], f"seal {row['own']}", found)
