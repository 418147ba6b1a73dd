"""The settling machine, case by case."""

from collections.abc import Sequence

from edge.batches import Batch, Committed, Declared, Key, Lost, Span
from edge.uplink.schedule import ALL, DATA, GREETING_MS, Schedule
from protocols.messages import Ack
from protocols.topics import Stream

OWN, OLD, FOREIGN = "a" * 32, "b" * 32, "c" * 32


def batch(seq: int, stream: Stream = "data", spool: str = OWN, size: int = 100) -> Batch:
    return Batch(
        key=Key(spool, stream, seq),
        boot_id="boot-1",
        clock="synced",
        created_ms=0,
        from_at=0,
        to_at=0,
        records=1,
        records_raw=b"x" * size,
    )


def ack(
    through: int = 0,
    received: Sequence[tuple[int, int]] = (),
    *,
    spool: str = OWN,
    stream: Stream = "data",
    time: int = 1000,
    rate: int = 1_000_000,
) -> Ack:
    return Ack(
        spool=spool,
        stream=stream,
        through=through,
        received=list(received),
        time=time,
        backlog_bytes_s=rate,
    )


def schedule(
    held: Sequence[tuple[str, Stream, int, int]] = (),
    last: dict[tuple[str, Stream], int] | None = None,
    declared: Sequence[Declared] = (),
) -> Schedule:
    known: dict[tuple[str, Stream], int] = last if last is not None else {}
    for spool, stream, _, high in held:
        known.setdefault((spool, stream), high)
    one = Schedule(OWN, held=[Span(*span) for span in held], last_seqs=known, declared=declared)
    one.link_up(0)
    return one


def commit(one: Schedule, *batches: Batch) -> None:
    one.committed(Committed(batches))


def send_all(one: Schedule, now_ms: int = 0, size: int = 100, *, puback: bool = True) -> list[Key]:
    keys = []
    while (choice := one.next(now_ms)) is not None:
        keys.append(choice.key)
        number = one.sent(choice.key, size, now_ms)
        if puback:
            one.pubacked(number)
    return keys


def test_order_alarm_first_then_new_then_newest_of_backlog() -> None:
    one = schedule([(OLD, "alarm", 1, 2), (OLD, "data", 1, 3)])
    commit(one, batch(1), batch(2), batch(1, "alarm"))
    assert [(key.spool[0], key.stream, key.seq) for key in send_all(one)] == [
        ("a", "alarm", 1),
        ("b", "alarm", 1),
        ("b", "alarm", 2),
        ("a", "data", 1),
        ("a", "data", 2),
        ("b", "data", 3),
        ("b", "data", 2),
        ("b", "data", 1),
    ]


def test_nothing_is_sent_without_a_link() -> None:
    one = Schedule(OWN, held=[], last_seqs={}, declared=[])
    commit(one, batch(1))
    assert one.next(0) is None
    assert one.wake_ms(0) is None


def test_windows_hold_and_leave_room_for_alarms() -> None:
    one = schedule()
    commit(one, *(batch(n) for n in range(1, 61)))
    assert len(send_all(one, puback=False)) == DATA.unpubacked
    commit(one, *(batch(n, "alarm") for n in range(1, 101)))
    assert len(send_all(one, puback=False)) == ALL.unpubacked - DATA.unpubacked
    one = schedule()
    commit(one, *(batch(n) for n in range(1, 61)))
    assert len(send_all(one)) == DATA.batches
    commit(one, *(batch(n, "alarm") for n in range(1, 101)))
    assert {key.stream for key in send_all(one)} == {"alarm"}
    assert one.flying().batches == ALL.batches


def test_byte_window_holds() -> None:
    one = schedule([(OLD, "alarm", 1, 100), (OLD, "data", 1, 100)])
    send_all(one, size=100_000)
    assert one.flying().bytes <= ALL.bytes
    one = schedule()
    commit(one, *(batch(n, size=100_000) for n in range(1, 41)))
    send_all(one, size=100_300)
    assert one.flying().bytes <= DATA.bytes


def test_backlog_of_data_keeps_its_rate_and_alarm_does_not_wait() -> None:
    one = schedule([(OLD, "data", 1, 1000), (OLD, "alarm", 1, 30)])
    one.acked(ack(0, spool=OLD, rate=1000), 0)
    one.acked(ack(30, spool=OLD, stream="alarm", rate=1000), 0)
    sent, now = 0, 0
    while now < 10_000:
        for key in send_all(one, now, 500):
            one.acked(ack(0, [(key.seq, 1000)], spool=OLD, rate=1000), now)
            sent += 500
        now = one.wake_ms(now) or now + 1000
    assert 9_000 <= sent <= 1_000_000 / 10
    assert sent <= 12_000


def test_rate_zero_stops_the_backlog_only() -> None:
    one = schedule([(OLD, "data", 1, 10)])
    one.acked(ack(0, spool=OLD, rate=0), 0)
    commit(one, batch(1))
    assert [key.spool for key in send_all(one, 60_000)] == [OWN]


def test_only_an_ack_settles() -> None:
    one = schedule()
    commit(one, batch(1), batch(2), batch(3), batch(4))
    send_all(one)
    assert one.take_settled() == []
    one.acked(ack(1, [(3, 3)]), 0)
    assert sorted((span.low, span.high) for span in one.take_settled()) == [(1, 1), (3, 3)]
    assert one.take_settled() == []  # given to a commit once
    one.not_committed([Span(OWN, "data", 1, 1)], [])
    assert [(span.low, span.high) for span in one.take_settled()] == [(1, 1)]


def test_probe_after_ten_seconds_doubling_to_sixty() -> None:
    one = schedule()
    commit(one, batch(1), batch(2))
    send_all(one)
    times = []
    now = 0
    while (wake := one.wake_ms(now)) is not None and wake < 300_000:
        now = wake
        keys = send_all(one, now)
        if now == GREETING_MS:  # a look at what the cloud greeted with, nothing to send
            continue
        assert [key.seq for key in keys] == [1] or [key.seq for key in keys] == [2]
        times.append(now)
    assert times == [10_000, 30_000, 70_000, 130_000, 190_000, 250_000]
    one.acked(ack(2), now)
    assert one.wake_ms(now) is None


def test_what_an_ack_left_out_is_sent_again() -> None:
    one = schedule()
    commit(one, batch(1), batch(2), batch(3))
    send_all(one)
    one.acked(ack(0, [(3, 3)]), 100)
    assert send_all(one, 100) == []
    assert [key.seq for key in send_all(one, 2_000)] == [1, 2]
    one.acked(ack(3), 2_100)
    assert not one.under_way()


def test_link_down_takes_everything_back_newest_first() -> None:
    one = schedule()
    commit(one, batch(1), batch(2), batch(3))
    send_all(one, puback=False)
    one.link_down()
    one.link_up(0)
    assert [key.seq for key in send_all(one)] == [3, 2, 1]


def test_cloud_put_back_declares_what_is_gone_and_takes_back_what_is_not() -> None:
    one = schedule()
    commit(one, *(batch(n) for n in range(1, 7)))
    send_all(one)
    one.acked(ack(4, time=1000), 0)
    deleted = one.take_settled()
    one.committed(Committed(), deleted)  # 1..4 are gone from the card
    one.acked(ack(5, time=1001), 0)  # 5 is settled, and still on the card
    one.acked(ack(2, time=2000), 0)  # the cloud knows 1..2 only
    (lost,) = one.take_lost()
    assert (lost.from_seq, lost.to_seq, lost.reason) == (3, 4, "settled_but_forgotten")
    assert one.waiting() == {(OWN, "data"): 2}
    assert [key.seq for key in send_all(one)] == [5]
    one.acked(ack(2, time=2001), 0)
    assert one.take_lost() == []  # being declared already


def test_gap_settled_then_older_ack_is_no_loss() -> None:
    one = schedule()
    lost = Lost(spool=OWN, stream="data", from_seq=1, to_seq=3, reason="spool_full")
    gap = Key(OWN, "alarm", 1)
    one.committed(Committed((batch(1, "alarm"), batch(4)), (Declared(lost, gap),)))
    send_all(one)
    one.acked(ack(1, stream="alarm", time=5000), 0)
    one.acked(ack(0, [(4, 4)], time=5000), 0)  # made before the gap record was committed
    assert one.take_lost() == []
    one.acked(ack(4, time=5001), 0)
    assert one.take_lost() == []


def test_overtaken_ack_declares_nothing() -> None:
    one = schedule()
    commit(one, *(batch(n) for n in range(1, 5)))
    send_all(one)
    one.acked(ack(4, time=2000), 0)
    one.committed(Committed(), one.take_settled())
    one.acked(ack(2, time=1999), 0)
    assert one.take_lost() == []


def test_older_copy_of_the_card_is_found() -> None:
    one = schedule([(OLD, "data", 4, 5)], {(OLD, "data"): 5})
    one.acked(ack(3, [(7, 9)], spool=OLD), 0)
    lost = [(x.from_seq, x.to_seq, x.reason) for x in one.take_lost()]
    assert lost == [(6, 6, "card_replaced"), (10, None, "card_replaced")]
    one.acked(ack(3, [(7, 9)], spool=OLD, time=3000), 0)
    assert one.take_lost() == []


def test_unknown_spool_is_a_lost_card() -> None:
    one = schedule()
    one.acked(ack(3, [(6, 7)], spool=FOREIGN), 0)
    lost = [(x.from_seq, x.to_seq, x.reason) for x in one.take_lost()]
    assert lost == [(4, 5, "card_replaced"), (8, None, "card_replaced")]
    one.acked(ack(0, spool=FOREIGN, stream="alarm"), 0)
    assert [(x.from_seq, x.to_seq) for x in one.take_lost()] == [(1, None)]


def test_own_spool_beyond_what_was_given_out_is_ignored() -> None:
    one = schedule()
    commit(one, batch(1))
    one.acked(ack(50), 0)
    assert one.take_lost() == []
    commit(one, batch(2))
    assert [key.seq for key in send_all(one)] == [2]


def test_cut_list_of_ranges_says_nothing_beyond_its_end() -> None:
    one = schedule([], {(OLD, "data"): 10_000})
    ranges = [(n, n) for n in range(2, 514, 2)]
    assert len(ranges) == 256
    one.acked(ack(0, ranges, spool=OLD), 0)
    lost = one.take_lost()
    assert max(one.to_seq or 0 for one in lost) == 511


def test_cloud_that_never_believes_a_gap_is_told_ever_more_rarely() -> None:
    one = schedule([], {(OLD, "data"): 3})
    declarations = 0
    for second in range(3600):
        one.acked(ack(0, spool=OLD, time=1000 + 10 * second), second * 1000)
        lost = one.take_lost()
        if lost:
            declarations += 1
            gap = Key(OWN, "alarm", declarations)
            made = Committed((batch(declarations, "alarm"),), tuple(Declared(x, gap) for x in lost))
            one.committed(made)
            send_all(one, second * 1000)
            one.acked(ack(declarations, stream="alarm", time=1001 + 10 * second), second * 1000)
    assert 3 < declarations < 20


def test_nonsense_acks_are_refused() -> None:
    one = schedule([(OLD, "data", 1, 5)])
    for bad in (
        ack(-1, spool=OLD),
        ack(2**60, spool=OLD),
        ack(0, [(5, 2)], spool=OLD),
        ack(0, [(0, 2)], spool=OLD),
        ack(1, spool="no hex"),
    ):
        one.acked(bad, 0)
    assert one.take_settled() == []
    assert one.counters["acks_refused"] == 5


def test_dropped_and_unreadable_batches_are_not_sent() -> None:
    one = schedule([(OLD, "data", 1, 5)])
    lost = Lost(spool=OLD, stream="data", from_seq=1, to_seq=3, reason="spool_full")
    one.committed(Committed((batch(1, "alarm"),), (Declared(lost, Key(OWN, "alarm", 1)),)))
    one.gone(Key(OLD, "data", 5))
    assert [(key.stream, key.seq) for key in send_all(one)] == [("alarm", 1), ("data", 4)]


def test_many_new_batches_fall_back_to_the_backlog() -> None:
    one = schedule()
    commit(one, *(batch(n) for n in range(1, 201)))
    keys = send_all(one)
    assert keys[0].seq == 137  # the 64 newest are new, the others are history
    assert one.waiting() == {(OWN, "data"): 200}
