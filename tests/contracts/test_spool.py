"""What every spool must do, in memory and on a real disk."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge.batches import Committed, Declared, Draft, Key, Lost, Span
from edge.spool.base import Spool
from edge.spool.memory import MemoryRows, MemorySpool
from edge.spool.salvage import open_spool
from edge.spool.sqlite import FILE, known_time_ms
from protocols.clock import ManualClock
from protocols.errors import StopService
from protocols.records import Gap, decode_record
from protocols.topics import Stream

MIB = 1024 * 1024
Open = Callable[..., Spool]


@pytest.fixture(params=["memory", "sqlite"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Start a spool; a second call starts the next one over the same store."""
    rows, clock = MemoryRows(), ManualClock()

    def _start(bytes_max: int = MIB, spool_id: str | None = None) -> Spool:
        new_id = spool_id or os.urandom(16).hex()
        if request.param == "memory":
            return MemorySpool(
                spool_id=new_id, boot_id="boot-1", clock=clock, bytes_max=bytes_max, rows=rows
            )
        return open_spool(
            tmp_path, spool_id=new_id, boot_id="boot-1", clock=clock, bytes_max=bytes_max
        )

    return _start


def draft(stream: Stream = "data", at: int = 1_764_000_000_000, size: int = 0) -> Draft:
    body = b'[{"kind":"x","x":"%b"}]' % os.urandom(size // 2).hex().encode()
    return Draft(
        stream=stream,
        clock="synced",
        boot_id="boot-1",
        created_ms=5,
        from_at=at,
        to_at=at + 9,
        records=3,
        records_raw=body,
    )


def gaps(committed: Committed, spool: Spool) -> list[Gap]:
    found = []
    for key in dict.fromkeys(one.gap for one in committed.declared):
        batch = spool.load(key)
        assert batch is not None
        for raw in msgspec.json.decode(batch.records_raw, type=list[msgspec.Raw]):
            record = decode_record(raw)
            assert isinstance(record, Gap)
            found.append(record)
    return found


def spans(spool: Spool) -> list[tuple[str, Stream, int, int]]:
    return [(one.spool, one.stream, one.low, one.high) for one in spool.held()]


def test_append_gives_keys_without_holes(start: Open) -> None:
    spool = start()
    first = spool.append([draft(), draft("alarm"), draft()])
    second = spool.append([draft()])
    keys = [batch.key for batch in first.batches + second.batches]
    assert keys == [
        Key(spool.id, "data", 1),
        Key(spool.id, "alarm", 1),
        Key(spool.id, "data", 2),
        Key(spool.id, "data", 3),
    ]
    assert spool.last_seqs() == {(spool.id, "data"): 3, (spool.id, "alarm"): 1}
    spool.close()


def test_load_returns_what_was_appended(start: Open) -> None:
    spool = start()
    (batch,) = spool.append([draft(size=5000)]).batches
    assert spool.load(batch.key) == batch
    assert spool.load(Key(spool.id, "data", 2)) is None
    assert spool.load(Key("0" * 32, "data", 1)) is None
    spool.close()


def test_settled_are_gone_with_the_next_commit(start: Open) -> None:
    spool = start()
    spool.append([draft() for _ in range(5)])
    spool.append([], [Span(spool.id, "data", 2, 4), Span("0" * 32, "data", 1, 9)])
    assert spans(spool) == [(spool.id, "data", 1, 1), (spool.id, "data", 5, 5)]
    held = spool.bytes_held()
    spool.append([], [Span(spool.id, "data", 1, 100)])
    assert spans(spool) == []
    assert spool.bytes_held() == 0 < held
    spool.close()


def test_next_start_keeps_batches_keys_and_last_seqs(start: Open) -> None:
    first = start()
    batches = first.append([draft(), draft("alarm"), draft()]).batches
    first.append([], [Span(first.id, "data", 2, 2)])
    first.close()
    second = start()
    assert second.id != first.id
    assert spans(second) == [(first.id, "alarm", 1, 1), (first.id, "data", 1, 1)]
    assert second.last_seqs() == {(first.id, "alarm"): 1, (first.id, "data"): 2}
    assert second.load(batches[0].key) == batches[0]
    assert second.append([draft()]).batches[0].key == Key(second.id, "data", 1)
    assert [one[0] for one in spans(second)] == [first.id, first.id, second.id]
    second.close()


def test_known_time_survives_and_may_be_corrected(start: Open) -> None:
    spool = start()
    assert spool.known_time_ms() == 0
    spool.append([draft(at=1_900_000_000_000)])
    free = msgspec.structs.replace(draft(at=77), clock="free")
    spool.append([free])
    assert spool.known_time_ms() == 1_900_000_000_009
    spool.close()
    later = start()
    later.append([draft(at=1_764_000_000_000)])
    assert later.known_time_ms() == 1_764_000_000_009
    later.close()


def test_known_time_is_read_of_a_card_that_lost_power_and_nothing_is_changed(
    tmp_path: Path,
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    assert known_time_ms(card) == 0
    folder = tmp_path / "first"
    folder.mkdir()

    def start(folder: Path) -> Spool:
        new_id = os.urandom(16).hex()
        return open_spool(
            folder, spool_id=new_id, boot_id="boot-1", clock=ManualClock(), bytes_max=MIB
        )

    first = start(folder)
    first.append([draft(at=1_900_000_000_000)])
    first.close()
    second = start(folder)
    second.append([draft(at=1_764_000_000_000)])
    second.append([msgspec.structs.replace(draft(at=77), clock="free")])
    for name in (FILE, f"{FILE}-wal"):  # as a power cut leaves them
        shutil.copy(folder / name, card / name)
    second.close()
    assert known_time_ms(folder) == known_time_ms(card) == 1_764_000_000_009
    again = start(card)
    assert again.known_time_ms() == 1_764_000_000_009
    assert gaps(again.append([draft()]), again) == [], "no tail is doubted"
    again.close()
    (card / FILE).write_bytes(b"no database" * 1_000)
    with pytest.raises(StopService):
        known_time_ms(card)


def test_at_the_bound_oldest_data_go_and_are_declared(start: Open) -> None:
    spool = start()
    alarm = spool.append([draft("alarm", size=2000)]).batches[0]
    declared: list[Declared] = []
    for number in range(100):
        at = 1_764_000_000_000 + 10 * number
        declared += spool.append([draft(at=at, size=60_000)]).declared
        assert spool.bytes_held() <= MIB
    lost = [one.lost for one in declared]
    assert len(lost) < 50  # several batches a record
    assert [one.reason for one in lost] == ["spool_full"] * len(lost)
    assert lost[0].from_seq == 1
    assert [a.to_seq + 1 for a in lost[:-1] if a.to_seq] == [b.from_seq for b in lost[1:]]
    last = lost[-1].to_seq or 0
    assert [one for one in spans(spool) if one[1] == "data"] == [(spool.id, "data", last + 1, 100)]
    assert lost[0].from_at == 1_764_000_000_000
    assert sum(one.records or 0 for one in lost) == 3 * last
    assert spool.load(alarm.key) == alarm
    assert spool.declared() == declared
    spool.close()


def test_alarm_goes_only_when_no_data_is_left(start: Open) -> None:
    spool = start()
    spool.append([draft(size=60_000) for _ in range(5)])
    declared: list[Declared] = []
    for _ in range(40):
        declared += spool.append([draft("alarm", size=60_000)]).declared
    streams = [one.lost.stream for one in declared]
    assert streams == sorted(streams, reverse=True)
    assert set(streams) == {"data", "alarm"}
    assert not [one for one in spans(spool) if one[1] == "data"]
    gap_keys = {one.gap for one in declared}
    assert all(spool.load(key) for key in gap_keys)  # gap records are never dropped
    spool.close()


def test_gap_records_tell_the_losses_until_settled(start: Open) -> None:
    spool = start()
    lost = Lost(spool="ab" * 16, stream="data", from_seq=4, to_seq=None, reason="card_replaced")
    committed = spool.append([], [], [lost])
    (gap,) = gaps(committed, spool)
    assert (gap.spool, gap.stream, gap.from_seq, gap.to_seq) == ("ab" * 16, "data", 4, None)
    assert spool.last_seqs()["ab" * 16, "data"] == 3
    spool.close()
    again = start()
    assert [one.lost for one in again.declared()] == [lost]
    key = committed.declared[0].gap
    again.append([draft()], [Span(key.spool, key.stream, key.seq, key.seq)])
    assert again.declared() == []
    again.close()
    last = start()
    assert last.declared() == []
    assert last.last_seqs()["ab" * 16, "data"] == 3
    last.close()


def test_records_that_were_never_written_are_declared(start: Open) -> None:
    spool = start()
    hollow = msgspec.structs.replace(draft(), records_raw=b"", records=7)
    committed = spool.append([draft(), hollow, draft()])
    assert [batch.key.seq for batch in committed.batches if batch.key.stream == "data"] == [1, 3]
    (one,) = committed.declared
    assert (one.lost.from_seq, one.lost.to_seq, one.lost.records) == (2, 2, 7)
    assert one.lost.reason == "not_written"
    spool.close()


def test_many_losses_take_several_gap_batches(start: Open) -> None:
    spool = start()
    lost = [
        Lost(spool="cd" * 16, stream="data", from_seq=n, to_seq=n, reason="damaged")
        for n in range(1, 2001, 2)
    ]
    committed = spool.append([], [], lost)
    assert len(committed.batches) == 3
    assert [gap.from_seq for gap in gaps(committed, spool)] == [one.from_seq for one in lost]
    spool.close()


def test_history_forgets_only_spools_that_nothing_is_left_of(start: Open) -> None:
    keeper = start()
    keeper.append([draft()])
    keeper.close()
    for _ in range(300):
        spool = start()
        key = spool.append([draft()]).batches[0].key
        spool.append([], [Span(key.spool, key.stream, 1, 1)])
        spool.close()
    last = start()
    known = {spool_id for spool_id, _ in last.last_seqs()}
    assert 250 <= len(known) <= 257
    assert keeper.id in known
    assert spool.id in known
    last.close()


def test_append_of_nothing_changes_nothing(start: Open) -> None:
    spool = start()
    assert spool.append([]) == Committed()
    spool.close()
