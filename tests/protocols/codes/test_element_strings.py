"""Element strings, against what GS1's own dictionary says where it is at hand."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from biip.checksums import gs1_standard_check_digit
from hypothesis import given
from hypothesis import strategies as st

from protocols.codes.element_strings import (
    FNC1,
    Element,
    bracketed,
    keys_of,
    parse_bracketed,
    parse_elements,
)
from protocols.errors import RefuseInput
from protocols.records import Code

GTIN = "06901234567892"
FIELD = st.text(
    "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
    min_size=1,
    max_size=20,
)


def reason(text: str) -> str:
    with pytest.raises(RefuseInput) as refused:
        parse_elements(text)
    return refused.value.reason


def test_separators_stand_behind_fields_of_variable_length() -> None:
    expected = (Element("01", GTIN), Element("21", "SN1"), Element("10", "L7"))
    for text in (f"01{GTIN}21SN1{FNC1}10L7", f"{FNC1}01{GTIN}{FNC1}21SN1{FNC1}10L7{FNC1}"):
        assert parse_elements(text) == expected
    assert bracketed(expected) == f"(01){GTIN}(21)SN1(10)L7"


def test_a_full_field_without_its_separator_does_not_run_into_the_next() -> None:
    assert reason(f"01{GTIN}10{'L' * 20}21SN1") == "bad_element_string"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0106901234567893", "bad_check_digit"),
        ("00369012340000000018", "bad_check_digit"),
        ("8003006901234000022AB", "bad_check_digit"),
        ("0100000000000000", "bad_check_digit"),
        (f"01{GTIN}17260230", "bad_date"),
        (f"01{GTIN}17261301", "bad_date"),
        (f"01{GTIN}7007260131260230", "bad_date"),
        (f"01{GTIN}21A{FNC1}21B", "contradictory"),
        (f"01{GTIN}0106901234000016", "contradictory"),
        ("", "bad_element_string"),
        (f"{FNC1}{FNC1}01{GTIN}", "bad_element_string"),
        ("0106901234567", "bad_element_string"),
        ("05123", "bad_element_string"),
        ("01٠٦٩٠١٢٣٤٥٦٧٨٩٢", "bad_element_string"),
    ],
)
def test_faults_are_refused_by_name(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_good_dates_are_taken_and_the_same_field_twice_counts_once() -> None:
    text = f"01{GTIN}17280229{FNC1}11260600{FNC1}7007260131260228{FNC1}01{GTIN}"
    assert [one.ai for one in parse_elements(text)] == ["01", "17", "11", "7007"]


def test_keys_tell_what_it_is_and_which_one() -> None:
    elements = parse_elements(f"01{GTIN}17281231" + f"21A/1{FNC1}10L7{FNC1}4210156")
    assert keys_of(elements) == [Code("gtin", GTIN), Code("serial", "A/1"), Code("lot", "L7")]
    assert keys_of(parse_elements("00369012340000000017")) == [Code("sscc", "369012340000000017")]
    assert keys_of(parse_elements("8003006901234000012X1")) == [Code("grai", "006901234000012X1")]
    assert keys_of(parse_elements("80046901234A1")) == [Code("giai", "6901234A1")]
    extended = parse_elements(f"414690123400001{_digit('690123400001')}2547")
    assert [one.scheme for one in keys_of(extended)] == ["gln", "gln_extension"]


def test_what_qualifies_is_no_key_without_what_it_qualifies() -> None:
    assert keys_of(parse_elements(f"21A1{FNC1}10L7")) == []
    assert keys_of(parse_elements(f"02{GTIN}3710{FNC1}10L7")) == []


@pytest.mark.parametrize(
    "text",
    [
        f"(01){GTIN}(21)A(1)",
        f"(01){GTIN}(21)",
        f"(01){GTIN} (21)A1",
        f"x(01){GTIN}",
        "(011)6901234567892",
        "(99)",
        "(05)1",
        "()",
        "(01)",
    ],
)
def test_human_form_is_refused_where_it_can_be_read_in_two_ways(text: str) -> None:
    with pytest.raises(RefuseInput, match="bad_element_string"):
        parse_bracketed(text)


@given(FIELD, FIELD)
def test_what_was_read_is_what_was_written(serial: str, lot: str) -> None:
    elements = parse_elements(f"01{GTIN}21{serial}{FNC1}10{lot}")
    assert elements == (Element("01", GTIN), Element("21", serial), Element("10", lot))
    if not {"(", ")"} & {*serial, *lot}:
        assert parse_bracketed(bracketed(elements)) == elements


@given(st.integers(0, 13), st.integers(1, 9))
def test_a_wrong_digit_never_gives_a_key(place: int, more: int) -> None:
    wrong = (int(GTIN[place]) + more) % 10
    assert reason(f"01{GTIN[:place]}{wrong}{GTIN[place + 1 :]}") == "bad_check_digit"


@given(st.text(f"0123456789AB(){FNC1}", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_elements, parse_bracketed):
        with contextlib.suppress(RefuseInput):
            assert parse(text)


def _digit(digits: str) -> int:
    return gs1_standard_check_digit(digits)


def _dictionary() -> Iterator[tuple[str, list[str]]]:
    """List application identifiers and the components of their fields."""
    folder = os.environ.get("SUYUAN_TEST_DATA")
    if not folder:
        pytest.skip("SUYUAN_TEST_DATA does not name the folder of test data")
    text = (Path(folder) / "gs1" / "gs1-syntax-dictionary.txt").read_text(encoding="utf-8")
    row = re.compile(r"^(\d{2,4})(?:-(\d{2,4}))?\s+(?:[*?]+\s+)?([^#=]*?)(?:\s+\S+=.*)?(?:#.*)?$")
    for line in text.splitlines():
        if found := row.match(line):
            first, last, parts = found[1], found[2] or found[1], found[3].split()
            for number in range(int(first), int(last) + 1):
                kinds = [one for one in parts if re.match(r"\[?[NXYZ]", one)]
                yield str(number).zfill(len(first)), kinds


def test_every_check_digit_of_the_dictionary_is_looked_at() -> None:
    seen = set()
    for ai, parts in _dictionary():
        before = "0" if parts[0] == "N1,zero" else ""
        checked = parts[1] if before else parts[0]
        if "csum," not in f"{checked},":
            continue
        count = int(re.findall(r"\d+", checked)[0])
        digits = "690123400000000000"[: count - 1]
        after = "0102" if "pieceoftotal" in " ".join(parts) else ""
        for add, good in ((0, True), (1, False)):
            field = f"{ai}{before}{digits}{(_digit(digits) + add) % 10}{after}"
            if good:
                assert parse_elements(field)
            else:
                assert reason(field) == "bad_check_digit"
        seen.add(ai)
    assert {"00", "01", "253", "414", "8003", "8006", "8018"} <= seen
