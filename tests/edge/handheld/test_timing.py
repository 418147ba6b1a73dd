"""The time on a handheld: never back, and whose word it is is told."""

from edge.handheld.timing import BUILT_AT_MS, HandTime
from protocols.clock import ManualClock

DAY_MS = 86_400_000


def test_wall_clock_does_not_matter_within_a_boot() -> None:
    clock = ManualClock()
    time = HandTime(clock, "b1", None)
    first = time.now()
    assert (first.at_ms, first.source) == (clock.wall_ms(), "device")
    clock.advance(1_000)
    clock.set_wall(0)
    assert time.now().at_ms == first.at_ms + 1_000
    clock.set_wall(first.at_ms + 400 * DAY_MS)
    assert time.now().at_ms == first.at_ms + 1_000


def test_clock_set_back_over_a_restart_is_doubtful_and_time_stands() -> None:
    clock = ManualClock()
    time = HandTime(clock, "b1", None)
    clock.advance(DAY_MS)
    kept, before = time.encoded(), time.now()
    back = ManualClock(wall_ms=before.at_ms - 30 * DAY_MS, boot_ms=1_000)
    later = HandTime(back, "b2", kept)
    assert later.now() == type(before)(before.at_ms, "doubtful")
    back.advance(5_000)
    assert later.now().at_ms == before.at_ms + 5_000
    back.set_wall(before.at_ms + DAY_MS)
    assert later.now().source == "device", "somebody has set it right"


def test_unset_clock_is_doubtful_until_the_service_tells() -> None:
    clock = ManualClock(wall_ms=0)
    time = HandTime(clock, "b1", None)
    assert time.now() == type(time.now())(BUILT_AT_MS, "doubtful")
    time.heard(BUILT_AT_MS + DAY_MS)
    clock.advance(2_000)
    clock.set_wall(5)
    assert time.now() == type(time.now())(BUILT_AT_MS + DAY_MS + 2_000, "service")


def test_service_puts_a_clock_right_that_was_ahead() -> None:
    clock = ManualClock()
    right = clock.wall_ms()
    clock.set_wall(right + 900 * DAY_MS)
    time = HandTime(clock, "b1", None)
    assert time.now().at_ms > right
    time.heard(right)
    assert time.now().at_ms == right
    clock.set_wall(right)
    again = HandTime(clock, "b2", time.encoded())
    assert (again.now().at_ms, again.now().source) == (right, "device")
