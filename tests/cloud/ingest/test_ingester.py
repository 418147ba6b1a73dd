"""What the ingester takes, settles, drops and keeps."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from cloud.ingest.ingester import GROUP_S
from cloud.model import ownership
from protocols.limits import ENVELOPE_BYTES_MAX
from protocols.records import Gap, Record, Status
from protocols.topics import of
from tests.cloud.ingest.conftest import GATEWAY, Rig
from tests.support.gateway import OTHER_SPOOL, SPOOL, envelope, raw_json, readings

LIFT = "elevator:1"


def _one(rig: Rig, speed: float = 1.0) -> list[Record]:
    return [readings(LIFT, rig.clock.wall_ms(), speed=speed)]


async def test_accept_stores_and_acknowledges_after_commit(rig: Rig) -> None:
    rig.ingester.accept(of(GATEWAY, "up/data"), envelope(1, _one(rig)))
    assert rig.acks == []
    await rig.settle()
    assert [one.columns() for one in rig.stored()] == [{"speed": [1.0]}]
    assert (rig.last_ack().through, rig.last_ack().received) == (1, [])


async def test_accept_out_of_order_reports_ranges(rig: Rig) -> None:
    for seq in (3, 5, 4, 1, 9):
        await rig.send(envelope(seq, _one(rig)))
    assert (rig.last_ack().through, rig.last_ack().received) == (1, [(3, 5), (9, 9)])
    await rig.send(envelope(2, _one(rig)))
    assert (rig.last_ack().through, rig.last_ack().received) == (5, [(9, 9)])


async def test_accept_duplicate_dropped_and_acknowledged_again(rig: Rig) -> None:
    batch = envelope(1, _one(rig))
    for _ in range(3):
        await rig.send(batch)
    rig.open()
    await rig.own()
    await rig.send(batch)
    assert len(rig.stored()) == 1
    assert rig.ledger()[SPOOL, "data"].duplicates == 3
    assert rig.last_ack().through == 1


async def test_accept_duplicate_within_one_commit_stored_once(rig: Rig) -> None:
    batch = envelope(1, _one(rig))
    rig.ingester.accept(of(GATEWAY, "up/data"), batch)
    rig.ingester.accept(of(GATEWAY, "up/data"), batch)
    await rig.settle()
    assert len(rig.stored()) == 1


async def test_accept_same_key_other_records_kept_whole_and_told(rig: Rig) -> None:
    await rig.send(envelope(1, _one(rig, 1.0)))
    rig.open()
    await rig.own()
    await rig.send(envelope(1, _one(rig, 2.0)))
    assert rig.dead() == [("key_conflict", None)]
    assert [one.columns() for one in rig.stored()] == [{"speed": [1.0]}]
    own = [(one.asset, one.columns()) for one in rig.stored("alarm")]
    assert own == [(f"gateway:{GATEWAY}", {"key_conflict": [True, False]})]
    assert rig.acks[-1][1].through == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"kind":"readings","asset":"elevator:1","at":[1,2],"values":{"a":[1]}}', "bad_record"),
        (b'{"kind":"readings","asset":"elevator:1","at":[1],"values":{"a":[NaN]}}', "bad_record"),
        (b'{"kind":"readings","asset":"elevator:1","at":[1],"values":{"":[1]}}', "bad_record"),
        (b'{"kind":"readings","asset":"","at":[1],"values":{"a":[1]}}', "bad_asset_id"),
        (
            b'{"kind":"readings","asset":"elevator:1","at":[1],"values":{"a":['
            + b"7" * 100_000
            + b"]}}",
            "bad_record",
        ),
        (
            b'{"kind":"readings","asset":"elevator:1","at":[1],"values":{"a":[1]}}',
            "time_out_of_range",
        ),
        (b'{"kind":"dream","asset":"elevator:1"}', "unknown_kind"),
        (b"[" * 3_000 + b"]" * 3_000, "bad_record"),
        (b"17", "bad_record"),
    ],
)
async def test_accept_bad_record_refused_alone(rig: Rig, bad: bytes, reason: str) -> None:
    good = raw_json(_one(rig))[1:-1]
    await rig.send(envelope(1, b"[" + good + b"," + bad + b"]"))
    assert rig.dead() == [(reason, 1)]
    assert len(rig.stored()) == 1
    account = rig.ledger()[SPOOL, "data"]
    assert (account.batches, account.records, account.dead_letters) == (1, 1, 1)
    assert rig.last_ack().through == 1


async def test_accept_duplicate_keys_last_one_counts(rig: Rig) -> None:
    now = rig.clock.wall_ms()
    raw = b'[{"kind":"readings","asset":"elevator:1","at":[%d],"values":{"a":[1],"a":[2]}}]' % now
    await rig.send(envelope(1, raw))
    assert [one.columns() for one in rig.stored()] == [{"a": [2]}]


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"\xff\xfe", b"{" * 10_000, b"x" * (ENVELOPE_BYTES_MAX + 1), b'{"a":1}'],
)
async def test_accept_no_envelope_kept_whole(rig: Rig, payload: bytes) -> None:
    await rig.send(payload)
    assert len(rig.dead()) == 1
    assert rig.acks == []
    await rig.send(envelope(1, _one(rig)))
    assert len(rig.stored()) == 1


async def test_accept_broken_payload_that_tells_its_key_is_settled(rig: Rig) -> None:
    await rig.send(envelope(7, _one(rig))[:120])
    assert rig.dead() == [("not_json", None)]
    assert rig.last_ack().received == [(7, 7)]


async def test_accept_wrong_shard_refused(rig: Rig) -> None:
    rig.ingester.accept("suyuan/v1/00/gw-1/up/data", envelope(1, _one(rig)))
    await rig.settle()
    assert rig.dead() == [("wrong_shard", None)]
    assert rig.stored() == []


async def test_accept_foreign_reading_set_aside_for_good(rig: Rig) -> None:
    rig.refuse["elevator:2"] = "foreign_gateway"
    now = rig.clock.wall_ms()
    await rig.send(envelope(1, [readings("elevator:2", now, speed=9.0), *_one(rig)]))
    rig.refuse.clear()
    rig.open()
    await rig.own()
    assert [one.asset for one in rig.stored()] == [LIFT]
    assert rig.dead() == [("foreign_gateway", 0)]


async def test_accept_gap_settles_range_less_what_was_stored(rig: Rig) -> None:
    await rig.send(envelope(4, _one(rig), spool=OTHER_SPOOL))
    gap = Gap(
        spool=OTHER_SPOOL, stream="data", from_seq=2, to_seq=6, reason="disk_full", records=10
    )
    tail = Gap(spool=OTHER_SPOOL, stream="data", from_seq=7, to_seq=None, reason="card_replaced")
    await rig.send(envelope(1, [gap, tail]), stream="alarm")
    account = rig.ledger()[OTHER_SPOOL, "data"]
    assert (account.declared_lost, account.declared_lost_records) == (4, 8)
    assert (account.batches, account.unknown_tail) == (1, True)
    assert account.received == [(2, 6)]
    await rig.send(envelope(3, _one(rig), spool=OTHER_SPOOL))
    assert rig.ledger()[OTHER_SPOOL, "data"].batches == 1
    assert {ack.spool for _, ack in rig.acks} == {SPOOL, OTHER_SPOOL}


async def test_accept_free_clock_places_by_sending_time(rig: Rig) -> None:
    batch = envelope(1, [readings(LIFT, 4_000, speed=1.0)], clock="free", sent_at=10_000)
    rig.boot_id = "boot-1"
    await rig.send(batch)
    assert rig.stored()[0].at == [rig.clock.wall_ms() - 6_000]


async def test_accept_free_clock_of_older_boot(rig: Rig) -> None:
    rig.boot_id = "boot-1"
    await rig.send(envelope(1, [readings(LIFT, 1, speed=1.0)], clock="free", sent_at=1_000))
    booted_at = rig.clock.wall_ms() - 1_000
    rig.clock.advance(60_000)
    rig.boot_id = "boot-2"
    old = [readings(LIFT, 2_000, speed=2.0)]
    await rig.send(envelope(2, old, clock="free", sent_at=7))
    unknown = [readings(LIFT, 3_000, speed=3.0)]
    await rig.send(envelope(3, unknown, clock="free", sent_at=7, boot_id="boot-0"))
    late, lost = rig.stored()[1:]
    assert (late.at, late.time_unknown) == ([booted_at + 2_000], False)
    assert (lost.at, lost.time_unknown) == ([rig.clock.wall_ms()], True)


@pytest.mark.parametrize("wild", [9_000_000_000_000_000, -9_000_000_000_000_000, 10**12])
async def test_accept_free_clock_survives_a_wild_sending_time(rig: Rig, wild: int) -> None:
    rig.boot_id = "boot-1"
    good = [readings(LIFT, 1_000, speed=1.0)]
    await rig.send(envelope(1, good, clock="free", sent_at=2_000))
    await rig.send(envelope(2, [], clock="free", sent_at=wild))
    await rig.send(envelope(3, good, clock="free", sent_at=3_000))
    assert [one.at for one in rig.stored()][-1] == [rig.clock.wall_ms() - 2_000]
    assert rig.dead() == []


async def test_accept_free_clock_quicker_message_corrects_a_slow_one(rig: Rig) -> None:
    rig.boot_id = "boot-1"
    await rig.send(envelope(1, [readings(LIFT, 900, speed=1.0)], clock="free", sent_at=1_000))
    booted_at = rig.clock.wall_ms() - 1_000
    rig.clock.advance(5_000)  # three seconds of it on the way
    await rig.send(envelope(2, [readings(LIFT, 2_900, speed=1.0)], clock="free", sent_at=3_000))
    assert rig.stored()[-1].at == [booted_at + 2_900]


async def test_accept_status_handed_on(rig: Rig) -> None:
    status = Status(at=rig.clock.wall_ms(), uptime_s=5, counters={"polls_skipped": 2})
    await rig.send(envelope(1, [status]))
    assert [one.counters for one in rig.statuses] == [{"polls_skipped": 2}]


async def test_accept_data_refused_while_no_room_alarm_taken(rig: Rig) -> None:
    rig.ingester.data_taken = False
    await rig.send(envelope(1, _one(rig)))
    assert rig.acks == []
    await rig.send(envelope(1, _one(rig)), stream="alarm")
    assert rig.last_ack().stream == "alarm"
    rig.ingester.data_taken = True
    await rig.send(envelope(1, _one(rig)))
    assert rig.last_ack().stream == "data"


async def test_commit_failed_nothing_acknowledged_own_readings_kept(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = OperationalError("insert", {}, Exception("database or disk is full"))
    with monkeypatch.context() as patch:
        patch.setattr(rig.log, "append", _raise(broken))
        rig.ingester.inject("service:cloud", {"data_taken": [False]}, gateway="cloud")
        await rig.send(envelope(1, _one(rig)), stream="alarm")
    assert rig.acks == []
    assert rig.ingester.commit_failing == "database or disk is full"
    assert rig.ledger() == {}
    await rig.settle()
    assert [one.asset for one in rig.stored("alarm")] == ["service:cloud"]
    await rig.send(envelope(1, _one(rig)), stream="alarm")
    assert rig.last_ack().through == 1
    assert rig.ingester.commit_failing is None


def _raise(error: Exception) -> object:
    def fail(*_args: object) -> None:
        raise error

    return fail


async def test_greet_repeats_the_newest_spools(rig: Rig) -> None:
    for number in range(20):
        await rig.send(envelope(1, _one(rig), spool=f"{number:032x}"))
        rig.clock.advance(1_000)
    rig.acks.clear()
    rig.ingester.greet(GATEWAY)
    assert [ack.spool for _, ack in rig.acks] == [f"{number:032x}" for number in range(19, 3, -1)]


async def test_run_commits_alarm_at_once(rig: Rig) -> None:
    task = asyncio.create_task(rig.ingester.run())
    started = asyncio.get_running_loop().time()
    rig.ingester.accept(of(GATEWAY, "up/data"), envelope(1, _one(rig)))
    await asyncio.sleep(0.005)
    rig.ingester.accept(of(GATEWAY, "up/alarm"), envelope(1, _one(rig)))
    while not rig.acks:
        await asyncio.sleep(0.001)
    assert asyncio.get_running_loop().time() - started < 0.09
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
async def shared(database_url: str) -> AsyncIterator[Rig]:
    """An ingester that owns four groups."""
    one = Rig(database_url, groups=4)
    await one.own()
    yield one
    one.close()


def _in_other_group(rig: Rig) -> str:
    mine = rig.shards.of_gateway(GATEWAY)
    return next(f"gw-{n}" for n in range(2, 99) if rig.shards.of_gateway(f"gw-{n}") != mine)


def _taken_by_another(rig: Rig, gateway: str) -> None:
    group = rig.shards.of_gateway(gateway)

    def take(connection: Connection) -> None:
        row = next(one for one in ownership.read_all(connection) if one.name == group)
        assert ownership.claim(connection, row, "another")

    rig.database.write_now(take)


async def test_group_taken_over_is_let_go_the_rest_is_committed(shared: Rig) -> None:
    rig, other = shared, _in_other_group(shared)
    _taken_by_another(rig, GATEWAY)
    for gateway in (GATEWAY, other):
        rig.ingester.accept(of(gateway, "up/data"), envelope(1, _one(rig)))
    await rig.settle()
    await rig.settle()
    assert [gateway for gateway, _ in rig.acks] == [other]
    assert rig.let_go == [{rig.shards.of_gateway(GATEWAY)}]
    assert rig.ledger() == {}
    stored = [one.partition for one in rig.logged()]
    assert stored == [f"{rig.shards.of_gateway(other)}/data"]


async def test_gateway_of_a_group_not_owned_is_left_alone(shared: Rig) -> None:
    rig = shared
    _taken_by_another(rig, GATEWAY)
    rig.ingester.let_go([rig.shards.of_gateway(GATEWAY)])
    await rig.send(envelope(1, _one(rig)))
    rig.ingester.inject(f"gateway:{GATEWAY}", {"online": [True]}, gateway=GATEWAY)
    await rig.settle()
    assert rig.acks == []
    assert rig.logged() == []
    assert rig.ingester.counters == {"not_taken": 1}


async def test_group_taken_over_goes_on_where_the_other_stopped(shared: Rig) -> None:
    rig = shared
    for seq in (1, 2, 4):
        await rig.send(envelope(seq, _one(rig)))
    rig.open()  # another process with the same database
    await rig.own()
    await rig.send(envelope(2, _one(rig)))
    await rig.send(envelope(3, _one(rig)))
    assert rig.last_ack().through == 4
    assert rig.ledger()[SPOOL, "data"].duplicates == 1
    positions = [one.position for one in rig.logged()]
    assert positions == [1, 2, 3, 4]


async def test_alarms_go_before_data_and_hold_them_back_no_longer_than_a_group(rig: Rig) -> None:
    task = asyncio.create_task(rig.ingester.run())
    rig.ingester.accept(of(GATEWAY, "up/data"), envelope(1, _one(rig)))
    for seq in range(1, 30):
        rig.ingester.accept(of(GATEWAY, "up/alarm"), envelope(seq, _one(rig)))
        await asyncio.sleep(0.02)
    acked = [ack.stream for _, ack in rig.acks]
    assert acked[0] == "alarm"
    assert "data" in acked[:-5]
    task.cancel()
    await asyncio.wait([task])


async def test_an_alarm_goes_before_data_that_is_due_but_only_once(rig: Rig) -> None:
    data, alarm = of(GATEWAY, "up/data"), of(GATEWAY, "up/alarm")
    task = asyncio.create_task(rig.ingester.run())
    rig.ingester.accept(data, envelope(1, _one(rig)))
    await asyncio.sleep(0)  # `run` waits for the end of the group
    await asyncio.to_thread(lambda: None)
    deadline = asyncio.get_running_loop().time() + GROUP_S
    while asyncio.get_running_loop().time() < deadline:  # a loop that was busy so long
        pass
    rig.ingester.accept(alarm, envelope(1, _one(rig)))
    while len(rig.acks) < 1:
        await asyncio.sleep(0.001)
    rig.ingester.accept(alarm, envelope(2, _one(rig)))
    while len(rig.acks) < 3:
        await asyncio.sleep(0.001)
    assert rig.acks[0][1].stream == "alarm"
    assert {ack.stream for _, ack in rig.acks[1:3]} == {"alarm", "data"}
    task.cancel()
    await asyncio.wait([task])
