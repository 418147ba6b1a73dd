"""Gateway and cloud in one thread under seeded faults: nothing is lost without a word.

The gateway's side is real (spool core, schedule); time, network and cloud are simulated. Acks are
lost, doubled and overtake each other, the link breaks, both ends are killed, the card is replaced
by an older copy or deleted, the cloud is put back to a backup.
"""

import copy
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.batches import Draft, Key
from edge.spool.core import SpoolCore
from edge.spool.memory import MemoryRows, MemorySpool
from edge.spool.salvage import open_spool
from edge.uplink.schedule import ALL, Schedule
from protocols.clock import ManualClock
from protocols.envelope import wrap
from protocols.limits import UNACKED_BYTES_MAX
from protocols.messages import Ack
from protocols.topics import Stream
from tests.support.model_cloud import Account, Line, ModelCloud


@dataclass
class Faults:
    """Chances per step, or per message."""

    ack_lost: float = 0.05
    ack_doubled: float = 0.05
    ack_overtaken: float = 0.05
    batch_lost: float = 0.02
    link_lost: float = 0.01
    edge_killed: float = 0.004
    cloud_crashed: float = 0.01
    cloud_put_back: float = 0.0
    card_put_back: float = 0.0
    card_deleted: float = 0.0


@dataclass
class World:
    """A gateway, a cloud, and what lies between them."""

    seed: int
    faults: Faults
    folder: Path | None = None
    bytes_max: int = 1024 * 1024
    clock: ManualClock = field(default_factory=ManualClock)
    produced: dict[Line, dict[int, bytes]] = field(default_factory=dict)
    hidden: set[Line] = field(default_factory=set)
    """Lines of cards that were replaced: their tail cannot be known."""
    put_back: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.cloud = ModelCloud(self.clock)
        self.cloud.backlog_bytes_s = 20_000
        self.rows = MemoryRows()
        self.backups: list[dict[Line, Account]] = []
        self.card_copies = [copy.deepcopy(self.rows)]
        self.up_wire: list[tuple[Stream, bytes, int]] = []
        self.down_wire: list[Ack] = []
        self.start_edge()

    def start_edge(self) -> None:
        spool_id = f"{self.rng.getrandbits(128):032x}"
        self.spool: SpoolCore
        if self.folder is not None:
            self.spool = open_spool(
                self.folder,
                spool_id=spool_id,
                boot_id="boot",
                clock=self.clock,
                bytes_max=self.bytes_max,
            )
        else:
            self.spool = MemorySpool(
                spool_id=spool_id,
                boot_id="boot",
                clock=self.clock,
                bytes_max=self.bytes_max,
                rows=self.rows,
            )
        self.schedule = Schedule(
            self.spool.id,
            held=self.spool.held(),
            last_seqs=self.spool.last_seqs(),
            declared=self.spool.declared(),
        )
        self.connected = False
        self.drafts: list[Draft] = []

    def step(self, *, load: bool = True) -> None:
        self.clock.advance(self.rng.randint(1, 400))
        self.break_things()
        if not self.connected and self.rng.random() < 0.2:
            self.connected = True
            self.schedule.link_up(self.clock.boot_ms())
            self.down_wire += self.cloud.greet()
        if load:
            self.produce()
        if self.rng.random() < 0.6:
            self.commit()
        self.send()
        self.deliver()

    def produce(self) -> None:
        for _ in range(self.rng.choice((0, 0, 1, 1, 2))):
            stream: Stream = self.rng.choice(("alarm", "data", "data", "data"))
            sizes = (10, 100) if stream == "alarm" else (10, 100, 2000)
            body = self.rng.randbytes(self.rng.choice(sizes)).hex()
            self.drafts.append(
                Draft(
                    stream=stream,
                    clock="synced",
                    boot_id="boot",
                    created_ms=self.clock.boot_ms(),
                    from_at=self.clock.wall_ms(),
                    to_at=self.clock.wall_ms(),
                    records=1,
                    records_raw=b'[{"kind":"status","at":1,"uptime_s":1,"counters":{"%b":1}}]'
                    % body.encode(),
                )
            )

    def commit(self) -> None:
        settled, lost = self.schedule.take_settled(), self.schedule.take_lost()
        for span in settled:  # the point of it all: nothing is deleted that is not settled
            account = self.cloud.accounts.get((span.spool, span.stream))
            known = account.settled if account else None
            assert self.put_back or (known and not known.missing(span.low, span.high))
        made = self.spool.append(self.drafts, settled, lost)
        self.drafts = []
        for batch in made.batches:
            line = (batch.key.spool, batch.key.stream)
            self.produced.setdefault(line, {})[batch.key.seq] = batch.records_raw
        self.schedule.committed(made, settled)

    def send(self) -> None:
        while (choice := self.schedule.next(self.clock.boot_ms())) is not None:
            batch = choice.batch or self.spool.load(choice.key)
            if batch is None:
                self.schedule.gone(choice.key)
                continue
            self.check_order(choice.key)
            payload = wrap(
                spool=batch.key.spool,
                seq=batch.key.seq,
                boot_id=batch.boot_id,
                clock=batch.clock,
                sent_at=self.clock.wall_ms(),
                records_raw=batch.records_raw,
            )
            number = self.schedule.sent(choice.key, len(payload), self.clock.boot_ms())
            self.up_wire.append((batch.key.stream, payload, number))
            flying = self.schedule.flying()
            assert flying.unpubacked <= ALL.unpubacked
            assert flying.batches <= ALL.batches
            assert flying.bytes <= UNACKED_BYTES_MAX
            if self.rng.random() < 0.3:
                return

    def check_order(self, key: Key) -> None:
        """Data goes out only when no alarm waits."""
        if key.stream == "data":
            lines = self.schedule._lines.values()
            waiting = [line for line in lines if line.stream == "alarm" and len(line.waiting)]
            assert not waiting

    def deliver(self) -> None:
        roll = self.rng.random
        while self.up_wire and roll() < 0.8:
            stream, payload, number = self.up_wire.pop(0)
            if self.connected:
                self.schedule.pubacked(number)
            if roll() >= self.faults.batch_lost:
                self.cloud.take(stream, payload)
        if roll() < 0.6:
            self.down_wire += self.cloud.commit()
        if len(self.down_wire) > 1 and roll() < self.faults.ack_overtaken:
            self.down_wire.append(self.down_wire.pop(0))
        while self.down_wire and roll() < 0.8:
            ack = self.down_wire.pop(0)
            if not self.connected or roll() < self.faults.ack_lost:
                continue
            if roll() < self.faults.ack_doubled:
                self.down_wire.append(ack)
            self.schedule.acked(ack, self.clock.boot_ms())

    def break_things(self) -> None:
        roll, faults = self.rng.random, self.faults
        if roll() < 0.02 and self.cloud.accounts:
            self.backups.append(self.cloud.backup())
            self.card_copies.append(copy.deepcopy(self.rows))
        if self.connected and roll() < faults.link_lost:
            self.lose_link()
        if roll() < faults.cloud_crashed:
            self.cloud.crash()
        if self.backups and roll() < faults.cloud_put_back:
            self.put_back = True
            self.cloud.put_back(copy.deepcopy(self.rng.choice(self.backups[-3:])))
            self.lose_link()
        if roll() < faults.edge_killed:
            self.restart()
        if roll() < faults.card_put_back:
            self.replace_card(copy.deepcopy(self.rng.choice(self.card_copies[-3:])))
        if roll() < faults.card_deleted:
            self.replace_card(MemoryRows())

    def lose_link(self) -> None:
        if self.connected:
            self.schedule.link_down()
        self.connected = False
        self.down_wire.clear()
        kept = self.rng.randint(0, len(self.up_wire))
        self.up_wire = self.up_wire[:kept]

    def restart(self) -> None:
        self.lose_link()
        self.spool.close()
        self.start_edge()

    def replace_card(self, rows: MemoryRows) -> None:
        """Whatever the card has given out since the copy cannot be known any more."""
        self.lose_link()
        self.rows = rows
        for line in self.produced:
            self.hidden.add(line)
        self.start_edge()

    def finish(self) -> None:
        """Let all faults end and everything settle."""
        self.faults = Faults(0, 0, 0, 0, 0, 0, 0)
        self.connected = True
        self.schedule.link_down()
        self.schedule.link_up(self.clock.boot_ms())
        self.down_wire += self.cloud.greet()
        self.produce()
        for _ in range(20_000):
            self.step(load=False)
            if self.settled():
                break
        assert self.settled()
        self.down_wire += self.cloud.greet()
        for _ in range(200):
            self.step(load=False)
        assert self.settled()

    def settled(self) -> bool:
        quiet = not self.drafts and not self.up_wire and not self.down_wire
        return quiet and not self.spool.held() and not self.spool.declared()

    def check(self) -> None:
        """Produced = stored + declared lost, each batch as it was written."""
        assert self.cloud.conflicts == 0
        for line, batches in self.produced.items():
            account = self.cloud.accounts.get(line)
            assert account is not None or line in self.hidden, line
            if account is None:
                continue
            last = max(batches)
            for seq, raw in account.stored.items():
                assert batches[seq] == raw
            if line not in self.hidden:
                assert account.settled.missing(1, last) == []
                assert account.settled.top == last
            assert account.settled.missing(1, account.settled.top) == []
            assert account.unknown_tail <= (line in self.hidden)
            both = set(account.stored) & {n for a, b in account.lost for n in range(a, b + 1)}
            assert not both


def run(seed: int, faults: Faults, *, steps: int = 1500, folder: Path | None = None) -> World:
    world = World(seed, faults, folder)
    for _ in range(steps):
        world.step()
    world.finish()
    world.check()
    return world


def lost(world: World) -> int:
    return sum(account.lost.count() for account in world.cloud.accounts.values())


@pytest.mark.parametrize("seed", range(8))
def test_lost_acks_links_and_kills_lose_nothing(seed: int) -> None:
    world = run(seed, Faults())
    assert lost(world) == 0
    assert not any(account.unknown_tail for account in world.cloud.accounts.values())


@pytest.mark.parametrize("seed", range(3))
def test_same_on_a_real_disk(seed: int, tmp_path: Path) -> None:
    assert lost(run(seed, Faults(), steps=400, folder=tmp_path)) == 0


@pytest.mark.parametrize("seed", range(6))
def test_cloud_put_back_what_it_forgot_is_declared(seed: int) -> None:
    world = run(seed, Faults(cloud_put_back=0.005))
    assert lost(world) > 0


@pytest.mark.parametrize("seed", range(6))
def test_card_replaced_by_an_older_copy_is_declared(seed: int) -> None:
    run(seed, Faults(card_put_back=0.004))


@pytest.mark.parametrize("seed", range(6))
def test_card_deleted_leaves_an_unknown_tail(seed: int) -> None:
    world = run(seed, Faults(card_deleted=0.003))
    assert any(account.unknown_tail for account in world.cloud.accounts.values())


@pytest.mark.parametrize("seed", range(4))
def test_everything_at_once(seed: int) -> None:
    run(seed, Faults(0.2, 0.1, 0.1, 0.1, 0.03, 0.01, 0.03, 0.003, 0.002, 0.001))


@pytest.mark.parametrize("seed", range(3))
def test_long_outage_drops_oldest_data_and_declares_it(seed: int) -> None:
    world = World(seed, Faults(link_lost=0.0), bytes_max=500_000)
    for _ in range(50):
        world.step()
    world.lose_link()
    for _ in range(1200):
        world.clock.advance(100)
        world.produce()
        world.commit()
    world.finish()
    world.check()
    assert lost(world) > 50
    assert not any(
        account.lost.count() for line, account in world.cloud.accounts.items() if line[1] == "alarm"
    )


def test_cloud_that_takes_no_data_still_gets_alarms() -> None:
    world = World(5, Faults(0, 0, 0, 0, 0, 0, 0))
    world.cloud.data_taken = False
    for _ in range(400):
        world.step()
    assert not [line for line, _, _ in world.cloud.stored() if line[1] == "data"]
    alarms = sum(line[1] == "alarm" for line, _, _ in world.cloud.stored())
    given_out = sum(len(seqs) for line, seqs in world.produced.items() if line[1] == "alarm")
    assert alarms > given_out / 2 > 30
    world.cloud.data_taken = True
    world.finish()
    world.check()
    assert lost(world) == 0
