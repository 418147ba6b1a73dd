"""The chain of a lift's record: whatever bends it is found, and where."""

import random
from datetime import date

import pytest
from msgspec.structs import replace

from protocols.lifts.chain import (
    FIRST,
    Entry,
    Head,
    confirmed,
    events_of,
    read_entry,
    seal_entry,
    standing,
    verify_chain,
)
from protocols.lifts.records import Kinds, load_kinds
from tests.support.lift_chains import (
    KEYS,
    LIFT,
    STRANGER,
    WAYS,
    bend,
    head_of,
    make_chain,
    signing,
    verify,
)

SEED, BENDS, LENGTH = 416, 1_000, 12


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    return load_kinds()


def test_chain_that_nobody_bent_is_good() -> None:
    for length in (0, 1, 2, 40):
        rows = make_chain(length)
        verdict = verify_chain(LIFT, rows, head_of(rows), KEYS, verify)
        assert verdict.good, verdict.faults
        assert (verdict.entries, verdict.head.seq) == (length, length)


def test_thousand_bent_chains_are_found_and_told_where() -> None:
    rng, rows, seen = random.Random(SEED), make_chain(LENGTH), set[str]()
    head = head_of(rows)
    for number in range(BENDS):
        bent, places, way = bend(rng, rows)
        verdict = verify_chain(LIFT, bent, head, KEYS, verify)
        told = {one.seq for one in verdict.faults}
        assert not verdict.good, (number, way)
        assert places <= told, (number, way, places, verdict.faults)
        assert all(one.expected != one.found for one in verdict.faults)
        seen.add(way)
    assert seen == set(WAYS)


def test_kinds_of_bending_have_their_names() -> None:
    rows = make_chain(6)
    head, rng = head_of(rows), random.Random(1)
    expected = {
        "edit of the text": "edited",
        "edit beside the text": "edited",
        "removal": "missing",
        "the end cut off": "missing",
        "swap": "moved",
        "insertion": "inserted",
        "an entry of another lift": "inserted",
        "an entry twice": "moved",
    }
    for way, what in expected.items():
        bent, places = WAYS[way](rng, list(rows), 2)
        verdict = verify_chain(LIFT, bent, head, KEYS, verify)
        assert {(at, what) for at in places} <= {(one.seq, one.what) for one in verdict.faults}


def test_key_that_is_none_of_ours_is_told_as_such() -> None:
    rows = make_chain(3, key=STRANGER)
    verdict = verify_chain(LIFT, rows, head_of(rows), KEYS, verify)
    assert [one.what for one in verdict.faults] == ["unknown_key"] * 3


def test_head_that_tells_less_or_more_than_there_is() -> None:
    rows = make_chain(3)
    less = verify_chain(LIFT, rows, head_of(rows[:2]), KEYS, verify)
    assert [(one.seq, one.what) for one in less.faults] == [(3, "inserted")]
    more = verify_chain(LIFT, rows, Head(10**15, FIRST), KEYS, verify)
    assert (more.faults[0].seq, more.faults[0].what) == (4, "missing")
    other = verify_chain(LIFT, rows, Head(3, "a" * 64), KEYS, verify)
    assert [(one.seq, one.what) for one in other.faults] == [(3, "unlinked")]


def test_two_histories_from_one_backup_are_told(kinds: Kinds) -> None:
    """A restored database went on: what was written before it is genuine, too, and does not fit."""
    first, second = make_chain(5), make_chain(5)
    entry = read_entry(second[3].body)
    assert entry is not None
    forked = seal_entry(replace(entry, note="other"), signing())
    rows = [*first[:3], forked, first[4]]
    verdict = verify_chain(LIFT, rows, head_of(rows), KEYS, verify)
    assert [(one.seq, one.what) for one in verdict.faults] == [(5, "unlinked")]


def entry(seq: int, kind: str, about: int = 0, **fields: str) -> Entry:
    return Entry(
        lift=LIFT,
        seq=seq,
        prev=FIRST,
        recorded_at=seq,
        by="account:7",
        organisation="firm-m",
        kind=kind,
        on=date(2026, 1, seq),
        about=about,
        fields=dict(fields),
    )


def test_correction_and_withdrawal_leave_the_old_entry_and_count_instead(kinds: Kinds) -> None:
    entries = [
        entry(1, "maintenance", level="half_month"),
        entry(2, "maintenance", about=1, level="quarterly"),
        entry(3, "maintenance", level="yearly"),
        entry(4, "withdrawal", about=3, reason="x"),
        entry(5, "confirmation", about=2),
        entry(6, "periodic_inspection", result="failed"),
        entry(7, "supervision_inspection", of="major_repair", result="passed"),
        entry(8, "supervision_inspection", of="installation", result="passed"),
        entry(9, "self_test", result="failed"),
    ]
    assert sorted(standing(entries)) == [2, 5, 6, 7, 8, 9]
    assert confirmed(entries, kinds) == {2}
    told = [(one.on.day, one.what, one.level) for one in events_of(entries, kinds)]
    assert told == [
        (2, "maintained", "quarterly"),
        (6, "failed", ""),
        (7, "major_repair", ""),
        (8, "base", ""),
    ]
