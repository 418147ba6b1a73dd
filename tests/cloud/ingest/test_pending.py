"""What waits for a commit, and what of it goes at once."""

from cloud.ingest.account import Account, AccountKey
from cloud.ingest.pending import GROUP_BYTES_MAX, Pending
from cloud.model.dead_letter import DeadLetter
from protocols.ranges import RangeSet
from protocols.topics import STREAMS, Stream
from tests.support.log_groups import NOON_MS, batch, readings


def _full() -> Pending:
    pending = Pending()
    for stream in STREAMS:
        logged = batch(readings("elevator:1", [NOON_MS], {"speed": [1.0]}), stream=stream)
        pending.add(f"all/{stream}", logged, crc=1)
        pending.touched[_key(stream)] = Account(
            key=_key(stream), settled=RangeSet(), lost=RangeSet(), first_at=1, last_at=1
        )
        pending.dead_letters.append(_letter(stream))
    pending.offsets["gw-1", "boot"] = 5
    return pending


def _key(stream: Stream) -> AccountKey:
    return AccountKey("gw-1", "0" * 32, stream)


def _letter(stream: Stream) -> DeadLetter:
    return DeadLetter(
        received_at=1, consumer="ingest", topic="", reason="", detail="", body=b"", stream=stream
    )


def test_an_alarm_leaves_data_behind_for_the_next_commit() -> None:
    size = _full().bytes
    alarm, rest = _full().without_data()
    assert list(alarm.batches) == list(alarm.keys) == ["all/alarm"]
    assert list(rest.batches) == list(rest.keys) == ["all/data"]
    assert list(alarm.touched) == [_key("alarm")]
    assert list(rest.touched) == [_key("data")]
    assert [one.stream for one in alarm.dead_letters] == ["alarm"]
    assert [one.stream for one in rest.dead_letters] == ["data"]
    assert alarm.offsets
    assert not rest.offsets
    assert alarm.bytes + rest.bytes == size
    assert not rest.urgent


def test_a_gap_record_takes_everything_with_it() -> None:
    pending = _full()
    pending.declares = True
    alarm, rest = pending.without_data()
    assert alarm is pending
    assert not rest


def test_groups_are_small_and_in_order() -> None:
    pending, text = Pending(), "x" * (GROUP_BYTES_MAX // 3)
    for seq in range(1, 8):
        logged = batch(readings("elevator:1", [NOON_MS], {"note": [text]}), seq=seq)
        pending.add("all/data", logged, crc=seq)
    groups = pending.groups()
    assert [[one.seq for one in batches] for _, batches, _ in groups] == [[1, 2, 3], [4, 5, 6], [7]]
    assert [seq for _, _, keys in groups for *_, seq, _ in keys] == list(range(1, 8))
