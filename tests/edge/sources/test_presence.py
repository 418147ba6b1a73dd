"""Each visit of a tag is told once, whatever the reader does meanwhile."""

from edge.sources.presence import TAGS_MAX, Presence


def test_a_tag_that_stays_is_told_once() -> None:
    presence = Presence(away_ms=2_000)
    assert presence.arrives(b"A", 0)
    assert not any(presence.arrives(b"A", at) for at in range(100, 60_000, 1_900))


def test_a_tag_that_was_away_is_told_again() -> None:
    presence = Presence(away_ms=2_000)
    presence.arrives(b"A", 0)
    assert not presence.arrives(b"A", 2_000)
    assert presence.arrives(b"A", 4_001)


def test_a_tag_that_stays_by_its_readers_word_is_there_until_it_leaves_for_long_enough() -> None:
    presence = Presence(away_ms=2_000)
    presence.arrives(b"A", 0, stays=True)
    assert not presence.arrives(b"A", 60_000, stays=True)
    presence.leaves(b"A", 60_000)
    assert not presence.arrives(b"A", 61_000, stays=True)  # it flickers at the field's edge
    presence.leaves(b"A", 62_000)
    assert presence.arrives(b"A", 64_001, stays=True)


def test_a_tag_that_stays_through_an_outage_is_told_once() -> None:
    presence = Presence(away_ms=2_000)
    presence.arrives(b"A", 0, stays=True)
    presence.resumes(broke_at_ms=60_000, at_ms=90_000)
    assert not presence.arrives(b"A", 91_000, stays=True)
    presence.resumes(broke_at_ms=100_000, at_ms=110_000)
    assert presence.arrives(b"A", 114_000, stays=True)  # it left meanwhile and came back


def test_what_was_there_before_an_outage_is_not_told_again_after_it() -> None:
    presence = Presence(away_ms=2_000)
    presence.arrives(b"left long ago", 0)
    presence.arrives(b"A", 10_000)
    presence.resumes(broke_at_ms=10_500, at_ms=100_000)
    assert not presence.arrives(b"A", 100_400)
    assert presence.arrives(b"left long ago", 100_400)


def test_memory_is_bounded() -> None:
    presence = Presence(away_ms=10**9)
    for number in range(TAGS_MAX + 1):
        presence.arrives(number.to_bytes(4), number)
    assert presence.arrives((0).to_bytes(4), TAGS_MAX)
    assert not presence.arrives(TAGS_MAX.to_bytes(4), TAGS_MAX)


def test_tags_that_have_been_away_take_no_memory() -> None:
    presence = Presence(away_ms=2_000)
    for number in range(5_000):
        presence.arrives(number.to_bytes(4), number * 100)
    assert len(presence._until_ms) < 30


def test_who_has_been_away_departs_once() -> None:
    presence = Presence(away_ms=1_000)
    presence.arrives(b"a", 0)
    presence.arrives(b"b", 500)
    presence.arrives(b"c", 500, stays=True)
    assert presence.departed(1_000) == []
    assert presence.departed(1_001) == [b"a"]
    assert presence.departed(5_000) == [b"b"]
    presence.leaves(b"c", 5_000)
    assert presence.departed(6_001) == [b"c"]
    assert presence.departed(9_000) == []
