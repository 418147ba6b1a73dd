"""Two scans of one thing that name different things are found; those of two things are not."""

from edge.decode.pairing import Pair, Pairing, disagree
from edge.sources.base import Scanned
from protocols.records import Code

PAIR = Pair("gate", "fill", 5_000)


def scan(reader: str, at_s: float, *codes: tuple[str, str]) -> Scanned:
    found = tuple(Code(*code) for code in codes)
    return Scanned(reader=reader, step=None, at_boot_ms=round(at_s * 1000), codes=found)


def findings(*scans: Scanned, pairs: tuple[Pair, ...] = (PAIR,)) -> list[tuple[str, ...]]:
    pairing = Pairing(pairs)
    return [pairing.judge(one).findings for one in scans]


def test_label_and_chip_that_agree_say_nothing() -> None:
    assert findings(
        scan("gate", 1, ("cylinder", "A")), scan("fill", 2, ("tag_uid", "1"), ("cylinder", "A"))
    ) == [(), ()]


def test_the_later_of_two_that_disagree_carries_the_finding() -> None:
    label, chip = scan("gate", 1, ("cylinder", "A")), scan("fill", 2, ("cylinder", "B"))
    assert findings(label, chip) == [(), ("codes_disagree",)]
    assert findings(chip, scan("gate", 3, ("cylinder", "A"))) == [(), ("codes_disagree",)]


def test_codes_of_different_schemes_cannot_disagree() -> None:
    assert findings(scan("gate", 1, ("raw", "A")), scan("fill", 2, ("tag_uid", "B"))) == [(), ()]
    assert findings(scan("gate", 1, ("grai", "A")), scan("fill", 2, ("giai", "B"))) == [(), ()]


def test_a_serial_of_the_same_kind_of_thing_tells_two_apart() -> None:
    label = scan("gate", 1, ("gtin", "06901234567892"), ("serial", "1"), ("lot", "X"))
    chip = scan("fill", 2, ("gtin", "06901234567892"), ("serial", "2"), ("lot", "Y"))
    assert findings(label, chip) == [(), ("codes_disagree",)]


def test_a_scan_that_is_too_old_belongs_to_another_thing() -> None:
    assert findings(scan("gate", 1, ("grai", "A")), scan("fill", 6.1, ("grai", "B"))) == [(), ()]


def test_the_next_thing_is_not_compared_with_the_last_one() -> None:
    assert findings(
        scan("gate", 1, ("grai", "A")),
        scan("fill", 2, ("grai", "A")),
        scan("gate", 3, ("grai", "B")),
        scan("fill", 4, ("grai", "B")),
    ) == [(), (), (), ()]


def test_devices_without_a_pair_are_left_alone() -> None:
    assert findings(scan("x", 1, ("grai", "A")), scan("y", 2, ("grai", "B"))) == [(), ()]


def test_two_scanners_at_one_reader() -> None:
    pairs = (PAIR, Pair("gate-2", "fill", 5_000))
    assert findings(
        scan("gate-2", 1, ("grai", "A")), scan("fill", 2, ("grai", "B")), pairs=pairs
    ) == [(), ("codes_disagree",)]


def test_one_scan_that_names_two_things_disagrees_with_itself() -> None:
    assert disagree([Code("grai", "A"), Code("grai", "B")])
    assert not disagree([Code("grai", "A"), Code("grai", "A"), Code("raw", "x"), Code("raw", "y")])
