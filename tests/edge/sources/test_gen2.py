"""Which tags are there, what of them is still to be read, and what is told of those that go."""

from edge.sources.gen2 import GRACE_S, TAGS_MAX, TRY_EVERY_S, Visits

A, B = b"\xaa" * 12, b"\xbb" * 12


def test_a_tag_is_told_when_its_memory_is_read() -> None:
    visits = Visits(("tid", "user"), away_s=2.0)
    visit = visits.see(A, 0.0, pc=b"\x30\0", rssi_dbm=-50)
    assert not visits.tellable(visit, 0.0)
    visit.learn("tid", b"\xe2")
    visit.learn("user", b"")
    assert visits.tellable(visit, 0.0)
    seen = visit.tell()
    assert (seen.complete, seen.banks) == (True, {"epc": A, "pc": b"\x30\0", "tid": b"\xe2"})
    assert not visit.news
    assert visits.overdue(9.0) == []


def test_a_tag_is_read_anew_after_it_was_away() -> None:
    visits = Visits(("tid",), away_s=2.0)
    first = visits.see(A, 0.0)
    first.learn("tid", b"\xe2")
    first.tell()
    assert visits.see(A, 2.0) is first
    assert visits.see(A, 4.1).missing == ["tid"]


def test_a_tag_that_flickers_before_it_is_told_is_one_visit() -> None:
    visits = Visits(("tid",), away_s=0.1)
    visits.see(A, 0.0)
    visit = visits.see(A, 0.8)
    assert [one.key for one in visits.overdue(GRACE_S + 0.1)] == [A]
    assert visit.told
    assert visits.overdue(GRACE_S + 0.2) == []


def test_memory_is_read_of_the_newest_first_and_not_all_the_time() -> None:
    visits = Visits(("tid",), away_s=2.0)
    old, new = visits.see(A, 0.0), visits.see(B, 0.1)
    assert visits.to_read(0.1) is new
    assert visits.to_read(0.1) is old
    assert visits.to_read(0.1) is None
    assert visits.to_read(0.11 + TRY_EVERY_S) is new
    assert visits.to_read(9.0) is None


def test_tags_beyond_the_limit_are_forgotten() -> None:
    visits = Visits((), away_s=2.0)
    first = visits.see(A, 0.0)
    first.tell()
    for number in range(TAGS_MAX):
        visits.see(number.to_bytes(12, "big"), 0.0)
    assert visits.see(A, 0.1) is not first
