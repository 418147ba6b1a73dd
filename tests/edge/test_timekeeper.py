from edge.timekeeper import BUILT_AT_MS, Timekeeper
from protocols.clock import ManualClock

NOW = 1_764_000_000_000
HOUR = 3_600_000


def test_system_clock_after_build_time_is_trusted() -> None:
    clock = ManualClock(NOW, 5_000)
    keeper = Timekeeper(clock)
    assert keeper.stamp() == ("synced", NOW - 5_000)
    assert keeper.now_ms() == NOW


def test_clock_in_1970_is_free_until_the_cloud_tells_the_time() -> None:
    clock = ManualClock(60_000, 60_000)
    keeper = Timekeeper(clock)
    assert keeper.stamp() == ("free", 0)
    assert keeper.now_ms() == 60_000
    keeper.heard(NOW)
    assert keeper.stamp() == ("synced", NOW - 60_000)
    clock.advance(HOUR)
    assert keeper.now_ms() == NOW + HOUR


def test_clock_before_the_last_known_time_is_not_trusted() -> None:
    keeper = Timekeeper(ManualClock(NOW, 5_000), known_ms=NOW + HOUR)
    assert keeper.stamp().clock == "free"
    assert keeper.floor_ms == NOW + HOUR


def test_system_clock_set_later_by_ntp_takes_over() -> None:
    clock = ManualClock(60_000, 60_000)
    keeper = Timekeeper(clock)
    clock.set_wall(NOW)
    assert keeper.stamp() == ("synced", NOW - 60_000)


def test_step_forward_and_back_is_followed_while_it_can_be_right() -> None:
    clock = ManualClock(NOW, 5_000)
    keeper = Timekeeper(clock)
    clock.set_wall(NOW + HOUR)
    assert keeper.now_ms() == NOW + HOUR
    clock.set_wall(NOW - HOUR)
    assert keeper.now_ms() == NOW - HOUR


def test_step_to_1970_keeps_the_time_by_the_boot_clock() -> None:
    clock = ManualClock(NOW, 5_000)
    keeper = Timekeeper(clock)
    assert keeper.stamp().clock == "synced"
    clock.set_wall(0)
    clock.advance(1_000)
    assert keeper.stamp().clock == "synced"
    assert keeper.now_ms() == NOW + 1_000


def test_quickest_word_of_the_cloud_counts() -> None:
    clock = ManualClock(0, 5_000)
    keeper = Timekeeper(clock)
    keeper.heard(NOW)
    clock.advance(2_000)
    keeper.heard(NOW + 1_500)  # half a second late
    assert keeper.now_ms() == NOW + 2_000
    keeper.heard(NOW + 2_400)  # quicker than the first
    assert keeper.now_ms() == NOW + 2_400
    clock.advance(700_000)
    keeper.heard(NOW + 702_000)  # the clocks drifted: ten minutes later the newest counts
    assert keeper.now_ms() == NOW + 702_000


def test_step_of_the_cloud_is_followed() -> None:
    clock = ManualClock(0, 5_000)
    keeper = Timekeeper(clock)
    keeper.heard(NOW + HOUR)
    clock.advance(1_000)
    keeper.heard(NOW + 1_000)
    assert keeper.now_ms() == NOW + HOUR + 1_000  # it may have been long under way
    keeper.heard(NOW + 1_001)  # out of the same queue
    assert keeper.now_ms() == NOW + HOUR + 1_000
    clock.advance(2_000)
    keeper.heard(NOW + 3_000)
    assert keeper.now_ms() == NOW + 3_000


def test_word_long_under_way_moves_no_clock() -> None:
    clock = ManualClock(0, 5_000)
    keeper = Timekeeper(clock)
    keeper.heard(NOW)
    for late_ms in (90_000, 60_000, 30_000, 10_000):  # a stalled link gives out what it held
        clock.advance(300)
        keeper.heard(NOW + clock.boot_ms() - 5_000 - late_ms)
        assert keeper.now_ms() == NOW + clock.boot_ms() - 5_000


def test_first_word_long_under_way_makes_a_right_clock_not_fast() -> None:
    clock = ManualClock(NOW, 5_000)
    keeper = Timekeeper(clock)
    keeper.heard(NOW - 300_000)
    assert keeper.now_ms() == NOW
    clock.advance(2_000)
    keeper.heard(NOW + 2_000)
    assert keeper.now_ms() == NOW + 2_000


def test_nonsense_time_of_the_cloud_is_ignored() -> None:
    keeper = Timekeeper(ManualClock(0, 5_000))
    keeper.heard(0)
    keeper.heard(BUILT_AT_MS - 1)
    assert keeper.stamp().clock == "free"


def test_clock_that_the_cloud_contradicts_is_not_trusted() -> None:
    slow = Timekeeper(ManualClock(NOW, 5_000))  # a day behind, as after a long power cut
    slow.heard(NOW + 24 * HOUR)
    assert slow.now_ms() == NOW + 24 * HOUR
    for ahead_ms in (HOUR, 1_000 * HOUR):
        clock = ManualClock(NOW + ahead_ms, 5_000)
        fast = Timekeeper(clock)
        fast.heard(NOW)
        clock.advance(2_000)
        fast.heard(NOW + 2_000)
        assert fast.now_ms() == NOW + 2_000


def test_last_known_time_that_was_wrong_does_not_bind_for_ever() -> None:
    clock = ManualClock(NOW, 5_000)
    keeper = Timekeeper(clock, known_ms=NOW + 10_000 * HOUR)
    assert keeper.stamp().clock == "free"
    keeper.heard(NOW - 200)
    assert keeper.system_trusted()
    assert keeper.now_ms() == NOW


def test_words_that_come_ever_quicker_confirm_one_another() -> None:
    clock = ManualClock(NOW + HOUR, 5_000)
    keeper = Timekeeper(clock)
    for number in range(6):
        keeper.heard(NOW + number * 250 - 100 + number)
        clock.advance(250)
    assert abs(keeper.now_ms() - (NOW + 6 * 250)) <= 100


def test_certificates_are_judged_by_the_least_the_time_can_be_until_the_cloud_agrees() -> None:
    slow = Timekeeper(ManualClock(BUILT_AT_MS + HOUR, 5_000), known_ms=BUILT_AT_MS)
    assert slow.certificate_floor_ms() == BUILT_AT_MS + HOUR
    assert Timekeeper(ManualClock(0, 5_000)).certificate_floor_ms() == BUILT_AT_MS
    right = Timekeeper(ManualClock(NOW, 5_000))
    right.heard(NOW - 100)
    assert right.certificate_floor_ms() is None


def test_clock_decades_ahead_is_broken() -> None:
    keeper = Timekeeper(ManualClock(BUILT_AT_MS + 40 * 365 * 24 * HOUR, 5_000))
    assert keeper.stamp().clock == "free"
    assert keeper.certificate_floor_ms() == BUILT_AT_MS
