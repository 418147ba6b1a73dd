"""Bends an audit in every way there is and sees whether each is found, and where.

`python -m tests.campaigns.audit_chain --cases 1000`: seeded; a case takes a whole audit, bends it
once or several times in places apart, verifies it, and compares. Cases that bend nothing are among
them: they must find nothing.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from cloud.audit.faults import Verdict
from cloud.audit.heads import HEADS_FILE, HeadsFile
from cloud.audit.verify import verify
from cloud.audit.witness import read_witnesses
from cloud.model.audit import (
    FIRST_HASH,
    Entry,
    append,
    head_of,
    link_of,
    open_head,
    read_head,
    seal_of,
)
from cloud.model.people_tables import audit, audit_head
from protocols.clock import ManualClock
from tests.support.postgres import BIN, Postgres
from tests.support.state_database import open_state

KEY = bytes(range(32))
ENTRIES = 150
COLUMNS = ("recorded_at", "by", "organisation", "call", "subject", "detail")
APART = 8
"""Entries between two places that are bent, so that each can be told from the other."""


@dataclass(frozen=True)
class Bend:
    """What was done, which kinds of fault may name it, and which entries they must name."""

    kinds: frozenset[str]
    named: frozenset[int]
    """Each of these must be in some fault of the kinds."""
    may: frozenset[int] = frozenset()
    """These may be, too; no other entry."""


@dataclass
class Sums:
    """What a run came to."""

    cases: int = 0
    bent: Counter[str] = field(default_factory=Counter)
    clean: int = 0
    faults: list[str] = field(default_factory=list)
    """Cases in which something was not found, or something was that is not there."""


def entries(count: int, rng: random.Random) -> list[Entry]:
    """Make up an audit of some days."""
    now_ms, made = 1_764_000_000_000, []
    for number in range(count):
        now_ms += rng.randrange(1, 60_000)
        made.append(
            Entry(
                recorded_at=now_ms,
                by=f"account:{rng.randrange(1, 9)}",
                organisation=rng.choice(["", "platform", "firm-a"]),
                call=rng.choice(["assets.write", "alarms.acknowledge", "assets.read"]),
                subject=f"asset:elevator:{rng.randrange(10)}",
                detail={"fields": ["name"], "alarm": number},
            )
        )
    return made


def read_all(connection: Connection) -> list[dict[str, Any]]:
    """Return all entries."""
    query = select(audit).order_by(audit.c.seq)
    return [dict(row) for row in connection.execute(query).mappings()]


def write_over(connection: Connection, rows: Sequence[dict[str, Any]], since: int) -> None:
    """Put rows in place of all from a number on."""
    connection.execute(delete(audit).where(audit.c.seq >= since))
    if rows:
        connection.execute(insert(audit), rows)


def _set(connection: Connection, seq: int, **values: Any) -> None:
    connection.execute(update(audit).where(audit.c.seq == seq).values(**values))


def edit(connection: Connection, rng: random.Random, seq: int) -> Bend:
    """Change one column of one entry, or one half of its hash."""
    row = read_all(connection)[seq - 1]
    name = rng.choice([*COLUMNS, "seal", "link"])
    if name in ("seal", "link"):
        half = rng.randbytes(16).hex()
        hash_ = half + row["hash"][32:] if name == "seal" else row["hash"][:32] + half
        _set(connection, seq, hash=hash_)
        return Bend(frozenset({"edited", "unlinked"}), frozenset({seq}))
    value: Any = row["recorded_at"] - 1 if name == "recorded_at" else row[name][:-1] + "~"
    if name == "detail":
        value = rng.choice(["{}", row["detail"].replace("name", "kind")])
    _set(connection, seq, **{name: value})
    return Bend(frozenset({"edited"}), frozenset({seq}))


def forge(connection: Connection, rng: random.Random, seq: int) -> Bend:
    """Replace an entry, its hash reckoned anew with a key of one's own."""
    rows, other = read_all(connection), rng.randbytes(32)
    fields = rows[seq - 1] | {"by": "account:99"}
    seal = seal_of(other, fields)
    before = head_of(other, seq - 1, rows[seq - 2]["hash"] if seq > 1 else FIRST_HASH)
    _set(connection, seq, by="account:99", hash=seal + link_of(other, before.mac, seal))
    return Bend(frozenset({"edited", "inserted"}), frozenset({seq}))


def remove(connection: Connection, rng: random.Random, seq: int) -> Bend:
    """Delete some entries."""
    gone = range(seq, seq + rng.randrange(1, 4))
    connection.execute(delete(audit).where(audit.c.seq.in_(list(gone))))
    return Bend(frozenset({"missing"}), frozenset(gone))


def swap(connection: Connection, rng: random.Random, seq: int) -> Bend:
    """Let two entries change places."""
    rows, other = read_all(connection), seq + rng.randrange(1, 4)
    one, two = rows[seq - 1] | {"seq": other}, rows[other - 1] | {"seq": seq}
    connection.execute(delete(audit).where(audit.c.seq.in_([seq, other])))
    connection.execute(insert(audit), [one, two])
    return Bend(frozenset({"moved"}), frozenset({seq, other}))


APART_BENDS = (edit, forge, remove, swap)
"""These touch a few entries; several of them go into one case."""


def swap_far(connection: Connection, rng: random.Random) -> Bend:
    """Let two entries far from each other change places."""
    seq, other = rng.randrange(1, 20), rng.randrange(100, ENTRIES + 1)
    rows = read_all(connection)
    one, two = rows[seq - 1] | {"seq": other}, rows[other - 1] | {"seq": seq}
    connection.execute(delete(audit).where(audit.c.seq.in_([seq, other])))
    connection.execute(insert(audit), [one, two])
    return Bend(frozenset({"moved"}), frozenset({seq, other}))


def close_gap(connection: Connection, rng: random.Random) -> Bend:
    """Delete an entry and give all later ones the number before."""
    seq = rng.randrange(1, ENTRIES)
    rows = [row | {"seq": row["seq"] - 1} for row in read_all(connection)[seq:]]
    write_over(connection, rows, seq)
    return Bend(frozenset({"moved", "cut"}), frozenset(range(seq, ENTRIES)), frozenset({ENTRIES}))


def push_in(connection: Connection, rng: random.Random) -> Bend:
    """Put an entry in between and give all later ones the number after."""
    seq = rng.randrange(1, ENTRIES + 1)
    rows = read_all(connection)[seq - 1 :]
    new = rows[0] | {"by": "account:99", "hash": rng.randbytes(32).hex()}
    write_over(connection, [new, *(row | {"seq": row["seq"] + 1} for row in rows)], seq)
    named = frozenset(range(seq, ENTRIES + 2))
    return Bend(frozenset({"inserted", "moved"}), named)


def add_behind(connection: Connection, rng: random.Random) -> Bend:
    """Add an entry at the end; sometimes the service adds one after it, not knowing."""
    row = read_all(connection)[rng.randrange(ENTRIES)]
    new = row | {"seq": ENTRIES + 1, "hash": rng.choice([row["hash"], rng.randbytes(32).hex()])}
    connection.execute(insert(audit), [new])
    if rng.random() < 0.5:
        append(connection, KEY, *entries(1, rng))
    return Bend(frozenset({"inserted", "moved"}), frozenset({ENTRIES + 1}))


def cut(connection: Connection, rng: random.Random) -> Bend:
    """Cut the newest entries off; sometimes the service goes on after that."""
    left = rng.randrange(ENTRIES)
    connection.execute(delete(audit).where(audit.c.seq > left))
    if rng.random() < 0.5:
        append(connection, KEY, *entries(2, rng))
    return Bend(frozenset({"cut", "missing"}), frozenset(range(left + 1, ENTRIES + 1)))


def cut_with_head(connection: Connection, rng: random.Random) -> Bend:
    """Cut entries off, set the head to what is left as well as one can, and let it go on."""
    left = rng.randrange(1, ENTRIES)
    rows = read_all(connection)
    connection.execute(delete(audit).where(audit.c.seq > left))
    mac = rng.choice([read_head(connection).mac, rng.randbytes(32).hex()])  # type: ignore[union-attr]
    connection.execute(update(audit_head).values(seq=left, hash=rows[left - 1]["hash"], mac=mac))
    if rng.random() < 0.5:
        append(connection, KEY, *entries(ENTRIES - left + 5, rng))
        may = frozenset(range(left + 1, ENTRIES + 6))
        return Bend(frozenset({"unlinked", "head", "edited"}), frozenset({left + 1}), may)
    named = frozenset(range(left + 1, ENTRIES + 1))
    return Bend(frozenset({"cut", "head"}), named, frozenset({0}))


def cut_without_head(connection: Connection, rng: random.Random) -> Bend:
    """Cut entries off and take the head away."""
    left = rng.randrange(ENTRIES)
    connection.execute(delete(audit).where(audit.c.seq > left))
    connection.execute(delete(audit_head))
    named = frozenset(range(left + 1, ENTRIES + 1))
    return Bend(frozenset({"cut", "head"}), named, frozenset({0}))


def put_back(connection: Connection, rng: random.Random) -> Bend:
    """Put the whole database back to an earlier state of its own, and let it go on from there."""
    left = rng.randrange(1, ENTRIES)
    earlier = head_of(KEY, left, read_all(connection)[left - 1]["hash"])
    connection.execute(delete(audit).where(audit.c.seq > left))
    connection.execute(update(audit_head).values(seq=left, hash=earlier.hash, mac=earlier.mac))
    goes_on = rng.randrange(0, ENTRIES - left + 10)
    append(connection, KEY, *entries(goes_on, rng))
    last = left + goes_on
    kept = frozenset({max(last + 1, ENTRIES)}) if last < ENTRIES else frozenset({ENTRIES})
    may = frozenset(range(left + 1, max(last, ENTRIES) + 1))
    return Bend(frozenset({"head", "cut"}), kept & may, may)


def other_key(connection: Connection, rng: random.Random) -> Bend:
    """Reckon the whole audit anew with a key of one's own, its head as well."""
    rows, other = read_all(connection), rng.randbytes(32)
    rows[rng.randrange(ENTRIES)]["by"] = "account:99"
    head = head_of(other, 0, FIRST_HASH)
    for row in rows:
        seal = seal_of(other, row)
        row["hash"] = seal + link_of(other, head.mac, seal)
        head = head_of(other, row["seq"], row["hash"])
    write_over(connection, rows, 1)
    connection.execute(update(audit_head).values(seq=head.seq, hash=head.hash, mac=head.mac))
    named = frozenset(range(1, ENTRIES + 1))
    return Bend(frozenset({"edited"}), named, frozenset({0}))


WHOLE_BENDS = (
    *(swap_far, close_gap, push_in, add_behind, cut, cut_with_head, cut_without_head),
    *(put_back, other_key),
)
"""These change what the whole audit looks like; one of them makes a case."""


def bend(connection: Connection, rng: random.Random) -> list[tuple[str, Bend]]:
    """Bend an audit as one case does."""
    if rng.random() < 0.05:
        return []
    if rng.random() < 0.5:
        how: Callable[[Connection, random.Random], Bend] = rng.choice(WHOLE_BENDS)
        return [(how.__name__, how(connection, rng))]
    places = [1 + APART * place for place in range(ENTRIES // APART - 1)]
    done = []
    for seq in sorted(rng.sample(places, rng.randrange(1, 5)), reverse=True):  # found by place
        one = rng.choice(APART_BENDS)
        done.append((one.__name__, one(connection, rng, seq)))
    return done


def judge(verdict: Verdict, bends: Sequence[tuple[str, Bend]]) -> list[str]:
    """Say what was not found, and what was found that is not there."""
    wrong = []
    for name, one in bends:
        hits = [fault for fault in verdict.faults if fault.kind in one.kinds]
        told = {seq for fault in hits for seq in range(fault.first, fault.last + 1)}
        if not one.named <= told:
            wrong.append(f"{name} of {min(one.named - told)} was not found")
    known = {seq for _, one in bends for seq in one.named | one.may}
    return wrong + [
        f"{fault} is not there"
        for fault in verdict.faults
        if not known.issuperset(range(fault.first, fault.last + 1))
    ]


class Stage:
    """A database in which the whole audit is put before each case, and the file of its heads."""

    def __init__(self, url: str, folder: Path, seed: int) -> None:
        self.database = open_state(url)
        self._folder, self._clock = folder / "heads", ManualClock()
        self._folder.mkdir(parents=True)
        heads = HeadsFile(self._folder, KEY, self._clock)
        self.database.write_now(lambda c: open_head(c, KEY))
        made = entries(ENTRIES, random.Random(seed))
        for start in range(0, ENTRIES, 7):
            self.database.write_now(lambda c, s=start: append(c, KEY, *made[s : s + 7]))  # type: ignore[misc]
            heads.follow(self.database)
        self._rows = self.database.read_now(read_all)
        self._head = self.database.read_now(
            lambda c: dict(c.execute(select(audit_head)).mappings().one())
        )

    def case(self, rng: random.Random) -> tuple[list[tuple[str, Bend]], Verdict]:
        """Carry one case out."""

        def work(connection: Connection) -> list[tuple[str, Bend]]:
            write_over(connection, self._rows, 0)
            connection.execute(delete(audit_head))
            connection.execute(insert(audit_head), [self._head])
            return bend(connection, rng)

        bends = self.database.write_now(work)
        witnesses = read_witnesses([self._folder / HEADS_FILE])
        return bends, self.database.read_now(lambda c: verify(c, KEY, witnesses))


@contextmanager
def postgres_url(folder: Path) -> Iterator[str]:
    """Run a server for a while."""
    server = Postgres(folder / "postgres")
    server.start()
    try:
        yield server.new_database()
    finally:
        server.stop()


def run(stage: Stage, cases: int, seed: int, sums: Sums) -> None:
    """Carry cases out; each has a seed of its own."""
    for number in range(cases):
        rng = random.Random(f"{seed} {number}")
        bends, verdict = stage.case(rng)
        sums.cases += 1
        sums.clean += not bends
        sums.bent.update(name for name, _ in bends)
        sums.faults += [f"case {number}: {text}" for text in judge(verdict, bends)]
    stage.database.close()


def main() -> None:
    """Run the campaign: a tenth of the cases on PostgreSQL where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    sums, on_postgres = Sums(), asked.cases // 10 if BIN else 0
    folder = Path(tempfile.mkdtemp(prefix="suyuan-audit-"))
    try:
        lite = Stage(f"sqlite:///{folder / 'state.db'}", folder / "lite", asked.seed)
        run(lite, asked.cases - on_postgres, asked.seed, sums)
        if on_postgres:
            with postgres_url(folder) as url:
                run(Stage(url, folder / "large", asked.seed), on_postgres, asked.seed + 1, sums)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{sums.cases} cases, {on_postgres} of them on PostgreSQL, ")
    sys.stdout.write(f"{sums.clean} with nothing bent; {sum(sums.bent.values())} bends:\n")
    for name, count in sorted(sums.bent.items()):
        sys.stdout.write(f"  {name}: {count}\n")
    sys.stdout.write(f"{len(sums.faults)} not found or found where nothing is\n")
    for text in sums.faults[:50]:
        sys.stdout.write(f"  {text}\n")
    sys.exit(1 if sums.faults else 0)


if __name__ == "__main__":
    main()
