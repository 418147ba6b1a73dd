"""Shares of the backlog rate."""

from cloud.ingest.account import Account, AccountKey
from cloud.ingest.backlog import (
    ALL_BYTES_S,
    ONE_BYTES_S_MAX,
    ONE_BYTES_S_MIN,
    SILENT_MS,
    BacklogShares,
)
from protocols.ranges import RangeSet
from protocols.topics import Stream

NOW = 1_764_000_000_000


def _account(number: int, *ranges: tuple[int, int], stream: Stream = "data") -> Account:
    key = AccountKey(f"gw-{number}", "0" * 32, stream)
    return Account(key=key, settled=RangeSet(ranges), lost=RangeSet(), first_at=NOW, last_at=NOW)


def test_one_that_is_behind_gets_all_that_one_may_have() -> None:
    shares = BacklogShares()
    shares.settled(_account(0, (900, 1000)), NOW)
    assert shares.bytes_s(NOW) == ONE_BYTES_S_MAX


def test_those_that_are_behind_share_and_those_that_are_not_take_nothing() -> None:
    shares = BacklogShares()
    for number in range(1000):
        shares.settled(_account(number, (900, 1000)), NOW)
        shares.settled(_account(5000 + number, (1, 1000)), NOW)
        shares.settled(_account(number, (900, 1000), stream="alarm"), NOW)
    assert shares.bytes_s(NOW) == ALL_BYTES_S // 1000


def test_who_has_caught_up_leaves_his_share_to_the_others() -> None:
    shares = BacklogShares()
    for number in range(100):
        shares.settled(_account(number, (1, 2), (9, 9)), NOW)
    for number in range(50):
        shares.settled(_account(number, (1, 9)), NOW + 500)
    assert shares.bytes_s(NOW + 500) == ALL_BYTES_S // 50


def test_who_came_back_counts_until_he_has_shown_that_he_has_nothing() -> None:
    shares = BacklogShares()
    for number in range(10):
        shares.came_back(_account(number, (1, 9)), NOW)
    assert shares.bytes_s(NOW) == ALL_BYTES_S // 10
    for number in range(4):
        shares.settled(_account(number, (1, 10)), NOW + 100)
    assert shares.bytes_s(NOW + 100) == ALL_BYTES_S // 6


def test_who_is_silent_is_forgotten_and_a_crowd_keeps_the_least() -> None:
    shares = BacklogShares()
    for number in range(10_000):
        shares.came_back(_account(number, (1, 9)), NOW)
    assert shares.bytes_s(NOW) == ONE_BYTES_S_MIN
    assert shares.bytes_s(NOW + SILENT_MS + 1) == ONE_BYTES_S_MAX
