"""Takes what gateways send, commits it to the log, and only then acknowledges.

An ingester owns shard groups, and takes only what their gateways send: everything here runs on the
event loop, commits run one at a time on the log's writer thread, and each makes sure of the groups'
epochs. A commit carries all that is pending: batches, accounts, dead
letters. Stream `alarm` is committed at once, `data` up to GROUP_S later.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from cloud.ingest.account import Account, AccountKey, Accounts, read_accounts, save_offsets
from cloud.ingest.backlog import BacklogShares
from cloud.ingest.batch import take, whole_dead_letter
from cloud.ingest.pending import BatchKey, Pending
from cloud.ingest.validate import Admit, may_learn
from cloud.model import tables
from cloud.model.database import Database
from cloud.model.dead_letter import DeadLetter
from cloud.model.ledger import SpoolLedger
from cloud.model.logged import LoggedBatch, LogGroup
from cloud.model.ownership import LetGo, check
from cloud.model.rows import replace_rows
from cloud.model.shards import ShardGroup, ShardMap
from protocols.clock import Clock
from protocols.envelope import Envelope, decode, peek_key
from protocols.errors import RefuseInput, RetryLater
from protocols.limits import RANGES_PER_SPOOL_MAX
from protocols.messages import Ack
from protocols.readings import Value
from protocols.records import Readings as ReadingsRecord
from protocols.records import Status, encode_records
from protocols.topics import STREAMS, Stream, parse

GROUP_S = 0.2
PENDING_BYTES_MAX = 64 * 1024 * 1024
"""Beyond it `data` is not taken, and so stays at the gateways, until a commit made room."""
RETRY_S = 1.0
"""After a commit that failed nothing is lost: gateways send again what got no ack."""
OWN_KEPT_MAX = 10_000
"""Readings of the service's own that wait for a disk that takes them; the oldest go first."""


class LogAppender(Protocol):
    """The ingester's side of the log."""

    def append(
        self,
        connection: Connection,
        groups: Sequence[tuple[str, Sequence[LoggedBatch], Sequence[BatchKey]]],
        committed_at: int,
    ) -> list[LogGroup]:
        """Write groups inside the transaction."""
        ...

    def committed(self, groups: Sequence[LogGroup]) -> None:
        """Show them to readers."""
        ...

    def late_keys(self, partition: str) -> list[BatchKey]:
        """Return the keys committed last."""
        ...

    def refresh(self, partitions: Collection[str]) -> None:
        """Learn the newest positions from the database."""
        ...


SERVICE = "cloud"
"""Stands for a gateway in what the service says of itself."""
SendAck = Callable[[str, Ack], None]
"""(gateway, ack): publish it, at QoS 0."""


class Ingester:
    """Owner of the watermarks of its shard groups."""

    def __init__(
        self,
        *,
        database: Database,
        log: LogAppender,
        keep_dead: Callable[[Connection, Sequence[DeadLetter]], None],
        clock: Clock,
        admit: Admit,
        boot_of: Callable[[str], str | None],
        on_status: Callable[[str, Status], None],
        on_committed: Callable[[], None],
        send_ack: SendAck,
        shards: ShardMap,
        on_let_go: Callable[[Collection[str]], None],
    ) -> None:
        """Make an ingester that owns nothing yet; see `own`.

        Args:
            database: of the log.
            log: appends.
            keep_dead: writes dead letters in the same transaction.
            clock: the cloud's clock.
            admit: says whether an asset's readings are taken from a gateway.
            boot_of: the boot that a gateway runs, as far as known.
            on_status: gets a gateway's word on its health.
            on_committed: called after each commit.
            send_ack: publishes an ack.
            shards: how gateways are grouped.
            on_let_go: gets the names of groups that another process took over.

        """
        self._database, self._log, self._clock = database, log, clock
        self._keep_dead = keep_dead
        self._admit, self._boot_of, self._on_status = admit, boot_of, on_status
        self._on_committed, self._send_ack = on_committed, send_ack
        self._shards, self._on_let_go = shards, on_let_go
        self._owned: dict[str, int] = {}
        self._accounts, self._backlog = Accounts(), BacklogShares()
        self._offsets: dict[str, dict[str, int]] = {}
        self._pending = Pending()
        self._committing: frozenset[AccountKey] = frozenset()
        self._wake, self._urgent = asyncio.Event(), asyncio.Event()
        self._one_commit = asyncio.Lock()
        self.data_taken = True
        """False: `data` is left at the gateways (disk full, consumers too far behind)."""
        self.commit_failing: str | None = None
        self.counters: dict[str, int] = {}
        self._group_ends_s = 0.0
        """When `data` that waits is committed, by the loop's clock; `alarm` goes at once."""
        self._went_ahead = False
        """An alarm was committed before `data` that was due: next they go together."""
        self._must_reload = False

    async def own(self, group: str, epoch: int) -> None:
        """Take over a shard group: from now on its gateways' batches are settled here."""
        await self._load([group])
        self._owned[group] = epoch

    def let_go(self, groups: Collection[str]) -> None:
        """Forget shard groups and what waits of them: who owns them now gets it again."""
        for group in groups:
            self._owned.pop(group, None)
        self._pending.drop(groups, self._shards.of_gateway)
        self._accounts.replace((), self._in(groups))
        for gateway in [one for one in self._offsets if self._shards.of_gateway(one) in groups]:
            del self._offsets[gateway]

    def owned(self) -> Mapping[str, int]:
        """Return the groups that are owned, with their epochs."""
        return self._owned

    def _in(self, groups: Collection[str]) -> Callable[[str], bool]:
        return lambda gateway: self._shards.of_gateway(gateway) in groups

    async def _load(self, groups: Collection[str]) -> None:
        partitions = [self._shards.groups[g].partition(s) for g in groups for s in STREAMS]
        wanted = self._in(groups)

        def read(connection: Connection) -> tuple[list[Account], list[Any]]:
            boots = connection.execute(select(tables.boot)).all()
            return read_accounts(connection, wanted), [row for row in boots if wanted(row.gateway)]

        accounts, boots = await self._database.read(read)
        await asyncio.to_thread(self._log.refresh, partitions)
        late = [await asyncio.to_thread(self._log.late_keys, one) for one in partitions]
        self._accounts.replace(accounts, wanted)
        for gateway in [one for one in self._offsets if wanted(one)]:
            del self._offsets[gateway]
        for row in boots:
            self._offsets.setdefault(row.gateway, {})[row.boot_id] = row.offset_ms
        for gateway, spool, stream, seq, crc in chain.from_iterable(late):
            key = AccountKey(gateway, spool, stream)  # type: ignore[arg-type]  # as written
            self._accounts.remember(key, seq, crc)

    def accept(self, topic: str, payload: bytes) -> None:
        """Take one message of an `up` topic; never raises, whatever it holds."""
        now_ms = self._clock.wall_ms()
        try:
            parsed = parse(topic)
        except RefuseInput as error:
            self._refuse_whole(topic, payload, None, None, error, now_ms)
            return
        if self._must_reload or self._shards.of_shard(parsed.shard) not in self._owned:
            self._count("not_taken")  # whoever settles for this gateway gets it again
            return
        stream: Stream = "alarm" if parsed.leaf == "up/alarm" else "data"
        if stream == "data" and not self._room_for_data():
            self._count("data_not_taken")
            return
        try:
            envelope = decode(payload)
        except RefuseInput as error:
            self._refuse_whole(topic, payload, parsed.gateway_id, stream, error, now_ms)
        else:
            self._accept_envelope(topic, payload, parsed.gateway_id, stream, envelope, now_ms)

    def inject(self, asset: str, values: dict[str, list[bool]], *, gateway: str) -> None:
        """Put readings of the service's own into stream `alarm` (a gateway went offline, …).

        Several values of a point follow each other by a millisecond. They go where the gateway's
        own go, those of the service itself into any group; where none is owned they are dropped.
        """
        group = self._group_for(gateway)
        if group is None:
            return
        now_ms = self._clock.wall_ms()
        count = max(len(column) for column in values.values())
        record = ReadingsRecord(
            asset=asset,
            at=list(range(now_ms, now_ms + count)),
            values={name: list[Value](column) for name, column in values.items()},
        )
        batch = LoggedBatch(
            gateway=gateway,
            spool="",
            stream="alarm",
            seq=0,
            boot_id="",
            clock="synced",
            received_at=now_ms,
            records_raw=encode_records([record]),
        )
        self._pending.batches.setdefault(group.partition("alarm"), []).append(batch)
        self._pending.urgent = True
        self._wake_committer()

    def _group_for(self, gateway: str) -> ShardGroup | None:
        name = self._shards.of_gateway(gateway)
        if gateway == SERVICE and name not in self._owned:
            name = min(self._owned, default="")
        return self._shards.groups[name] if name in self._owned else None

    def greet(self, gateway: str) -> None:
        """Repeat to a gateway what is settled of its newest spools; it finds what was lost."""
        for one in self._accounts.late_of_gateway(gateway):
            if one.key not in self._pending.touched and one.key not in self._committing:
                now_ms = self._clock.wall_ms()
                self._backlog.came_back(one, now_ms)
                self._send_ack(gateway, one.ack(now_ms, self._backlog.bytes_s(now_ms)))

    def ledger(self, gateway: str) -> list[SpoolLedger]:
        """Return the account of a gateway, newest spool first."""
        return [one.ledger() for one in self._accounts.of_gateway(gateway)]

    async def run(self) -> None:
        """Commit what is pending, until cancelled; then once more."""
        try:
            while True:
                await self._wake.wait()
                wait_s = self._group_ends_s - asyncio.get_running_loop().time()
                if not self._pending.urgent and wait_s > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._urgent.wait(), wait_s)
                await asyncio.shield(self._commit())
                if self.commit_failing:
                    await asyncio.sleep(RETRY_S)
        finally:
            self._group_ends_s, self._went_ahead = 0.0, True
            await asyncio.shield(self._commit())

    async def _commit(self) -> None:
        async with self._one_commit:  # one that was under way when `run` was cancelled ends first
            if self._must_reload:
                await self._reload()
            if not self._must_reload:
                await self._commit_pending()

    async def _commit_pending(self) -> None:
        self._wake.clear()
        self._urgent.clear()
        pending, self._pending = self._pending, Pending()
        late = asyncio.get_running_loop().time() >= self._group_ends_s
        if not late or (pending.urgent and not self._went_ahead):
            pending, self._pending = pending.without_data()
            if self._pending:
                self._wake.set()
        self._went_ahead = late and not self._went_ahead
        if not pending:
            return
        now_ms = self._clock.wall_ms()
        rows = [one.row() for one in pending.touched.values()]
        for one in pending.touched.values():
            self._backlog.settled(one, now_ms)
        rate = self._backlog.bytes_s(now_ms)
        acks = [(key.gateway, one.ack(now_ms, rate)) for key, one in pending.touched.items()]
        groups, owned = pending.groups(), dict(self._owned)

        def write(connection: Connection) -> list[LogGroup]:
            check(connection, owned)
            made = self._log.append(connection, groups, now_ms)
            replace_rows(connection, tables.watermark, rows)
            self._keep_dead(connection, pending.dead_letters)
            save_offsets(connection, pending.offsets, now_ms)
            return made

        self._committing = frozenset(pending.touched)
        try:
            made = await self._database.write(write)
        except LetGo as error:
            self._part_with(error.names, pending)
            return
        except (RetryLater, DBAPIError) as error:
            self._give_back(pending, error)
            await self._reload()
            return
        finally:
            self._committing = frozenset()
        self.commit_failing = None
        self._log.committed(made)
        for gateway, ack in acks:
            self._send_ack(gateway, ack)
        self._on_committed()

    def _part_with(self, groups: Collection[str], pending: Pending) -> None:
        """Another process owns these groups: the rest of what was pending is committed again."""
        later, self._pending = self._pending, pending
        pending.put_before(later)
        self.let_go(groups)
        self._on_let_go(groups)
        self._wake_committer()

    def _give_back(self, failed: Pending, error: RetryLater | DBAPIError) -> None:
        """Forget what could not be committed; no ack was given, so gateways send it again."""
        self.commit_failing = _why(error)
        self._must_reload = True
        self._count("commits_failed")
        later, self._pending = self._pending, Pending()
        for partition in {*failed.batches, *later.batches}:
            both = failed.batches.get(partition, []) + later.batches.get(partition, [])
            own = [batch for batch in both if not batch.spool]  # nobody would send these again
            if own:
                self._pending.batches[partition] = own[-OWN_KEPT_MAX:]
        self._wake_committer()

    async def _reload(self) -> None:
        """Read again what a commit that failed may have changed, or not."""
        try:
            await self._load(list(self._owned))
        except (RetryLater, DBAPIError) as error:
            self.commit_failing = _why(error)
            self._wake_committer()
        else:
            self._must_reload = False

    def _accept_envelope(
        self,
        topic: str,
        payload: bytes,
        gateway: str,
        stream: Stream,
        envelope: Envelope,
        now_ms: int,
    ) -> None:
        account = self._accounts.open(AccountKey(gateway, envelope.spool, stream), now_ms)
        if envelope.seq in account.settled:
            self._repeated(topic, payload, account, envelope, now_ms)
            return
        if not self._fits(account, envelope.seq):
            self._count("ranges_full")
            return
        taken = take(
            envelope,
            gateway=gateway,
            stream=stream,
            topic=topic,
            received_at=now_ms,
            current_boot_id=self._boot_of(gateway),
            offsets=self._offsets.get(gateway, {}),
            admit=self._admit,
        )
        if taken.batch.placing == "by_offset" and may_learn(taken.batch.offset_ms, now_ms):
            self._learn(gateway, envelope.boot_id, taken.batch.offset_ms)
        self._settle(account, envelope.seq, now_ms)
        account.batches += 1
        account.records += taken.records
        account.dead_letters += len(taken.dead_letters)
        self._accounts.remember(account.key, envelope.seq, envelope.crc)
        for gap in taken.gaps:
            lossy = self._accounts.open(AccountKey(gateway, gap.spool, gap.stream), now_ms)
            self._count("batches_declared_lost", lossy.declare_lost(gap))
            self._pending.touched[lossy.key], self._pending.declares = lossy, True
        if taken.status is not None:
            self._on_status(gateway, taken.status)
        self._pending.dead_letters.extend(taken.dead_letters)
        group = self._shards.groups[self._shards.of_gateway(gateway)]
        self._pending.add(group.partition(stream), taken.batch, envelope.crc)
        self._count("batches")
        self._count("records", taken.records)
        for letter in taken.dead_letters:
            self._count(f"refused:{letter.reason}")
        self._wake_committer()

    def _repeated(
        self, topic: str, payload: bytes, account: Account, envelope: Envelope, now_ms: int
    ) -> None:
        """Drop a batch that is settled; keep it whole when it holds other records than before."""
        account.duplicates += 1
        account.last_at = now_ms
        self._count("duplicates")
        self._pending.touched[account.key] = account
        if self._accounts.contradicts(account.key, envelope.seq, envelope.crc):
            self._contradicted(topic, payload, account, envelope, now_ms)
        self._wake_committer()

    def _contradicted(
        self, topic: str, payload: bytes, account: Account, envelope: Envelope, now_ms: int
    ) -> None:
        error = RefuseInput("key_conflict", "the same key was settled with other records")
        key = (envelope.spool, envelope.seq)
        self._keep_whole(
            topic, payload, account.key.gateway, account.key.stream, key, error, now_ms
        )
        account.dead_letters += 1
        gateway = account.key.gateway
        self.inject(f"gateway:{gateway}", {"key_conflict": [True, False]}, gateway=gateway)

    def _refuse_whole(
        self,
        topic: str,
        payload: bytes,
        gateway: str | None,
        stream: Stream | None,
        error: RefuseInput,
        now_ms: int,
    ) -> None:
        """Keep a payload of which nothing is usable; settle it if it tells its key."""
        key = peek_key(payload) if gateway and stream else None
        if gateway and stream and key:
            account = self._accounts.open(AccountKey(gateway, key[0], stream), now_ms)
            account.dead_letters += 1
            self._pending.touched[account.key] = account
            if key[1] in account.settled:
                account.duplicates += 1
            else:
                self._settle(account, key[1], now_ms)
        self._keep_whole(topic, payload, gateway, stream, key, error, now_ms)
        self._wake_committer()

    def _keep_whole(
        self,
        topic: str,
        payload: bytes,
        gateway: str | None,
        stream: Stream | None,
        key: tuple[str, int] | None,
        error: RefuseInput,
        now_ms: int,
    ) -> None:
        self._count(f"refused:{error.reason}")
        self._pending.dead_letters.append(
            whole_dead_letter(
                payload,
                topic=topic,
                gateway=gateway,
                stream=stream,
                key=key,
                received_at=now_ms,
                reason=error.reason,
                detail=error.detail,
            )
        )

    def _settle(self, account: Account, seq: int, now_ms: int) -> None:
        account.settled.add(seq)
        account.last_at = now_ms
        self._pending.touched[account.key] = account

    def _fits(self, account: Account, seq: int) -> bool:
        settled = account.settled
        joins = seq - 1 in settled or seq + 1 in settled
        return joins or len(settled) < RANGES_PER_SPOOL_MAX

    def _learn(self, gateway: str, boot_id: str, offset_ms: int) -> None:
        known = self._offsets.setdefault(gateway, {})
        if known.get(boot_id) != offset_ms:
            known[boot_id] = offset_ms
            self._pending.offsets[gateway, boot_id] = offset_ms

    def _room_for_data(self) -> bool:
        return self.data_taken and self._pending.bytes < PENDING_BYTES_MAX

    def _wake_committer(self) -> None:
        if not self._wake.is_set():
            self._group_ends_s = asyncio.get_running_loop().time() + GROUP_S
            self._wake.set()
        if self._pending.urgent:
            self._urgent.set()

    def _count(self, name: str, by: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + by


def _why(error: RetryLater | DBAPIError) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error)
