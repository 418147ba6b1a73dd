"""The account of each (gateway, spool, stream): what is settled, and how.

Kept in memory and written whole in the transaction that appends to the log. Between taking a
batch and its commit the memory is ahead of the disk, so an ack is made only from an account whose
changes are part of a finished commit.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from cloud.model import tables
from cloud.model.ledger import SpoolLedger
from cloud.model.rows import replace_rows
from protocols.limits import ACK_RANGES_MAX
from protocols.messages import Ack
from protocols.ranges import RangeSet
from protocols.records import Gap
from protocols.topics import Stream

CRCS_MAX = 200_000
"""Keys whose content is remembered, over all gateways; the oldest are forgotten first."""
SPOOLS_ACKED_MAX = 16
"""Spools of a gateway whose state is repeated to it when it comes online."""


class AccountKey(NamedTuple):
    """Whose account it is."""

    gateway: str
    spool: str
    stream: Stream


class Account(msgspec.Struct, kw_only=True):
    """Mutable; one per key, owned by the ingester."""

    key: AccountKey
    settled: RangeSet
    lost: RangeSet
    batches: int = 0
    records: int = 0
    duplicates: int = 0
    lost_records: int = 0
    dead_letters: int = 0
    unknown_tail: bool = False
    first_at: int
    last_at: int

    def declare_lost(self, gap: Gap) -> int:
        """Settle a gap's range; return how many batches were not settled before."""
        if gap.to_seq is None:
            self.unknown_tail = True
            return 0
        holes = self.settled.missing(gap.from_seq, gap.to_seq)
        for low, high in holes:
            self.settled.add(low, high)
            self.lost.add(low, high)
        lost = sum(high - low + 1 for low, high in holes)
        whole = gap.to_seq - gap.from_seq + 1
        self.lost_records += round((gap.records or 0) * lost / whole)
        return lost

    def ack(self, now_ms: int, backlog_bytes_s: int) -> Ack:
        """Say what is settled."""
        return Ack(
            spool=self.key.spool,
            stream=self.key.stream,
            through=self.settled.through,
            received=self.settled.beyond_through()[:ACK_RANGES_MAX],
            time=now_ms,
            backlog_bytes_s=backlog_bytes_s,
        )

    def ledger(self) -> SpoolLedger:
        """Return the account as people see it."""
        return SpoolLedger(
            spool=self.key.spool,
            stream=self.key.stream,
            through=self.settled.through,
            received=self.settled.beyond_through(),
            batches=self.batches,
            records=self.records,
            duplicates=self.duplicates,
            declared_lost=self.lost.count(),
            declared_lost_records=self.lost_records,
            dead_letters=self.dead_letters,
            unknown_tail=self.unknown_tail,
            last_at=self.last_at,
        )

    def row(self) -> dict[str, Any]:
        """Return the account as a row of table `watermark`."""
        return {
            "gateway": self.key.gateway,
            "spool": self.key.spool,
            "stream": self.key.stream,
            "settled": msgspec.json.encode(list(self.settled)).decode(),
            "lost": msgspec.json.encode(list(self.lost)).decode(),
            "batches": self.batches,
            "records": self.records,
            "duplicates": self.duplicates,
            "lost_records": self.lost_records,
            "dead_letters": self.dead_letters,
            "unknown_tail": self.unknown_tail,
            "first_at": self.first_at,
            "last_at": self.last_at,
        }


class Accounts:
    """All accounts in memory, and the content check of the batches settled last."""

    def __init__(self) -> None:
        self._accounts: dict[AccountKey, Account] = {}
        self._of_gateway: defaultdict[str, list[Account]] = defaultdict(list)
        self._crcs: OrderedDict[tuple[AccountKey, int], int] = OrderedDict()

    def replace(self, accounts: Iterable[Account], gone: Callable[[str], bool]) -> None:
        """Take in accounts that were read; first forget those of the gateways that are `gone`."""
        for gateway in [gateway for gateway in self._of_gateway if gone(gateway)]:
            for account in self._of_gateway.pop(gateway):
                del self._accounts[account.key]
        for account in accounts:
            self._add(account)

    def open(self, key: AccountKey, now_ms: int) -> Account:
        """Return the account of `key`, a new one if there is none."""
        account = self._accounts.get(key)
        if account is None:
            account = Account(
                key=key, settled=RangeSet(), lost=RangeSet(), first_at=now_ms, last_at=now_ms
            )
            self._add(account)
        return account

    def of_gateway(self, gateway: str) -> list[Account]:
        """Return a gateway's accounts, newest spool first."""
        return sorted(self._of_gateway.get(gateway, ()), key=lambda a: a.first_at, reverse=True)

    def late_of_gateway(self, gateway: str) -> list[Account]:
        """Return the accounts of the gateway's newest spools."""
        spools: dict[str, None] = {}
        for account in self.of_gateway(gateway):
            if account.key.spool in spools or len(spools) < SPOOLS_ACKED_MAX:
                spools[account.key.spool] = None
        return [a for a in self.of_gateway(gateway) if a.key.spool in spools]

    def remember(self, key: AccountKey, seq: int, crc: int) -> None:
        """Remember what a settled batch held."""
        self._crcs[key, seq] = crc
        if len(self._crcs) > CRCS_MAX:
            self._crcs.popitem(last=False)

    def contradicts(self, key: AccountKey, seq: int, crc: int) -> bool:
        """Tell whether a batch with this key was settled with other records."""
        known = self._crcs.get((key, seq))
        return known is not None and known != crc

    def _add(self, account: Account) -> None:
        self._accounts[account.key] = account
        self._of_gateway[account.key.gateway].append(account)


def read_accounts(connection: Connection, wanted: Callable[[str], bool]) -> list[Account]:
    """Read the accounts of the gateways that are wanted."""
    rows = connection.execute(select(tables.watermark)).mappings()
    return [_account(row) for row in rows if wanted(row["gateway"])]


def read_ledger(connection: Connection, gateway: str) -> list[SpoolLedger]:
    """Read a gateway's accounts as people see them, newest spool first."""
    table = tables.watermark
    query = select(table).where(table.c.gateway == gateway).order_by(table.c.first_at.desc())
    return [_account(row).ledger() for row in connection.execute(query).mappings()]


def save_offsets(connection: Connection, offsets: dict[tuple[str, str], int], now_ms: int) -> None:
    """Write the offsets learned of boots inside the caller's transaction."""
    rows = [
        {"gateway": gateway, "boot_id": boot_id, "offset_ms": offset_ms, "learned_at": now_ms}
        for (gateway, boot_id), offset_ms in offsets.items()
    ]
    replace_rows(connection, tables.boot, rows)


def _account(row: Any) -> Account:
    values = dict(row)
    key = AccountKey(values.pop("gateway"), values.pop("spool"), values.pop("stream"))
    return Account(
        key=key,
        settled=_ranges(values.pop("settled")),
        lost=_ranges(values.pop("lost")),
        **values,
    )


def _ranges(text: str) -> RangeSet:
    ranges: Iterable[tuple[int, int]] = msgspec.json.decode(text, type=list[tuple[int, int]])
    return RangeSet(ranges)
