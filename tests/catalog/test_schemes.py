"""Every shipped scheme file, and what of its codes another scheme could take for its own."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.catalog.divisions import load_divisions
from protocols.catalog.files import data_files
from protocols.catalog.schemes import WIDEST, Matcher, Scheme, load_schemes
from protocols.codes.recognise import Candidate, link_of, named, recognise
from protocols.codes.registry import SchemeRegistry
from protocols.errors import RefuseInput

SCHEMES, FAULTS = load_schemes(None)
EACH = [pytest.param(one, id=one.id) for one in SCHEMES.values()]
MATCHER = Matcher(SCHEMES.values())
REGISTRY = SchemeRegistry(SCHEMES, load_divisions())
AT_GATEWAYS = {
    "credit_code",
    "detonator",
    "drug_trace",
    "elevator",
    "gtin",
    "meat_vegetable_subject",
    "meat_vegetable_trace",
    "pesticide_unit",
    "veterinary_drug",
}
"""What a gateway alone tells: one more must not make codes ambiguous there that were told."""
KNOWN_CLASHES = {frozenset({"detonator", "meat_vegetable_subject"})}
"""Of samples: both may be meant, and the gateway says so."""
ASKED_CLASHES = {
    frozenset({"drug_trace", "electronic_supervision"}),
    frozenset({"special_equipment", "meat_vegetable_trace"}),
    frozenset({"gtin", "national_drug_code"}),
    frozenset({"detonator", "meat_vegetable_subject"}),
}
"""Of samples, where whoever asks is shown all."""
GS1_KEYS = {"00", "01", "253", "255", "401", "402", "414", "417", "8003", "8004", "8006", "8010"}
GS1_KEYS |= {"8013", "8017", "8018"}


def test_every_shipped_file_loads() -> None:
    assert not FAULTS, "\n".join(map(str, FAULTS))
    assert {path.stem for path, _ in data_files("schemes")} == set(SCHEMES)
    assert {"gtin", "elevator", "detonator"} <= set(SCHEMES)


def test_gateways_tell_no_more_schemes_than_listed() -> None:
    told = {one.id for one in SCHEMES.values() if any(f.told == "gateway" for f in one.forms)}
    assert told == AT_GATEWAYS


def test_every_gs1_key_has_a_scheme() -> None:
    assert {one.gs1[0] for one in SCHEMES.values() if one.gs1} == GS1_KEYS


@pytest.mark.parametrize("scheme", EACH)
def test_sample_gives_its_code_among_all_schemes(scheme: Scheme) -> None:
    own = Matcher([scheme], WIDEST)
    for sample in scheme.samples:
        expected = [] if sample.code is None else [(scheme.id, sample.code)]
        assert own.match(sample.text, sample.symbology) == expected
        for matcher, known in ((MATCHER, KNOWN_CLASHES), (REGISTRY.plain, ASKED_CLASHES)):
            found = matcher.match(sample.text, sample.symbology)
            mine = [one for one in found if one[0] == scheme.id]
            assert mine in ([], expected)
            if mine and len(found) > 1:
                assert frozenset(name for name, _ in found) in known


@pytest.mark.parametrize("scheme", EACH)
def test_pattern_takes_no_other_writing_and_no_line_end(scheme: Scheme) -> None:
    for form in scheme.forms:
        pattern = re.compile(form.pattern, re.ASCII)
        for sample in scheme.samples:
            other = sample.text.translate({ord(d): 0x660 + int(d) for d in "0123456789"})
            assert not pattern.fullmatch(f"{sample.text}\n")
            assert other == sample.text or not pattern.fullmatch(other)


@pytest.mark.parametrize("scheme", EACH)
def test_sample_is_recognised_on_every_carrier(scheme: Scheme) -> None:
    codes = {sample.text for sample in scheme.samples if sample.code is not None}
    for sample in scheme.samples:
        if sample.code is None:
            if sample.text in codes:
                continue  # without its symbology, or in another one, it is none
            with pytest.raises(RefuseInput, match="bad_code"):
                named(scheme.id, sample.text, REGISTRY)
            continue
        told = [f"https://trace.example/id/{scheme.id}/{sample.code}", *sample.scanned]
        for text in told if re.fullmatch(r"[A-Za-z0-9._-]+", sample.code) else sample.scanned:
            found = recognise(text, REGISTRY)
            assert (scheme.id, sample.code) in [(one.scheme, one.code) for one in found], text
        one = named(scheme.id, sample.code, REGISTRY)
        assert set(one.fields) <= {field.name for field in scheme.fields}
        assert not one.doubts, "a sample holds a division that exists"


@pytest.mark.parametrize("scheme", [one for one in EACH if SCHEMES[str(one.id)].gs1])
def test_gs1_key_has_a_digital_link_that_leads_back(scheme: Scheme) -> None:
    code = next(one.code for one in scheme.samples if one.code is not None)
    link = link_of(scheme, code)
    assert link is not None
    assert [(one.scheme, one.code, one.link) for one in recognise(link, REGISTRY)] == [
        (scheme.id, code, link)
    ]


def told(text: str, symbology: str = "") -> list[tuple[str, str]]:
    return [(one.scheme, one.sure) for one in recognise(text, REGISTRY, symbology)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("81999990000000000017", ["drug_trace possible", "electronic_supervision possible"]),
        ("22020200100010000017", ["meat_vegetable_trace likely"]),
        ("31102202022026010017", ["elevator likely"]),
        ("00369012340000000017", ["sscc likely"]),
        ("(00)369012340000000017", ["sscc told"]),
        ("]C100369012340000000017", ["sscc told"]),
        # Henan has no prefecture 70; Hebei has one 10
        ("41702202022026010017", ["special_equipment likely", "meat_vegetable_trace possible"]),
        ("13102202022026010017", ["meat_vegetable_trace possible", "special_equipment possible"]),
        ("4490610300050", ["detonator likely", "meat_vegetable_subject possible"]),
        ("4401103010005", ["detonator possible", "meat_vegetable_subject possible"]),
        ("6901234567892", ["gtin likely"]),
        ("]E06901234567892", ["gtin told"]),
        ("https://t.example/q?c=81999990000000000017", ["drug_trace possible",
         "electronic_supervision possible"]),
        ("https://t.example/22020200100010000017?from=label", ["meat_vegetable_trace likely"]),
        ("https://t.example/id/stall/0001", []),
        ("https://t.example/about", []),
        ("吉A12345", []),
        ("1234", []),
    ],
)  # fmt: skip
def test_clashes_are_told_and_none_is_picked(text: str, expected: list[str]) -> None:
    assert [" ".join(one) for one in told(text)] == expected


def test_division_that_does_not_exist_is_a_doubt() -> None:
    (strange,) = recognise("ear_tag:122999900000017", REGISTRY)
    assert strange.doubts == ("prefecture_not_listed",)
    assert recognise("ear_tag:122020200000017", REGISTRY)[0].doubts == ()
    assert REGISTRY.divisions.doubt("990000") == "no_such_province"
    assert REGISTRY.divisions.doubt("220299") == "county_not_listed"
    assert REGISTRY.divisions.doubt("371202") is None, "given up, and still in older numbers"


def test_most_exact_key_is_told_with_the_wider_ones() -> None:
    text = "https://example.com/01/06901234567892/10/L1/21/S1?17=271231"
    (one,) = recognise(text, REGISTRY)
    assert (one.scheme, one.code) == ("sgtin", "06901234567892.S1")
    assert [(wider.scheme, wider.value) for wider in one.wider] == [
        ("lgtin", "06901234567892.L1"),
        ("gtin", "06901234567892"),
    ]
    assert one.link == "https://id.gs1.org/01/06901234567892/21/S1"
    assert one.elements == "(01)06901234567892(10)L1(21)S1(17)271231"


def test_label_gives_what_stands_on_its_lines() -> None:
    label = "吉玉17\r\n示例种业\r\n2202020010A\r\nhttps://example.com/z\r\n"
    (one,) = recognise(label, REGISTRY)
    assert (one.scheme, one.code, one.why) == ("seed_label", "2202020010A", "label")
    assert one.fields["variety"] == "吉玉17"
    assert recognise(label.replace("https://", ""), REGISTRY) == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \r\n", "empty"),
        ("]E0", "empty"),
        ("x" * 4_097, "too_long"),
        ("\ud800", "not_utf8"),
        ("a\x00b", "control_characters"),
        ("a\x1db", "control_characters"),
        ("(01)06901234567893", "bad_check_digit"),
        ("https://id.gs1.org/01/06901234567893", "bad_check_digit"),
        ("https://id.gs1.org/01/06901234567892?21=A", "bad_digital_link"),
        ("urn:epc:id:sgtin:6901234.56789.1", "bad_epc_urn"),
        ("]C10106901234567892" + "17" + "991399", "bad_date"),
        ("elevator:1", "bad_code"),
        ("https://t.example/id/ear_tag/1", "bad_code"),
    ],
)
def test_bad_text_is_refused_with_a_word(text: str, reason: str) -> None:
    with pytest.raises(RefuseInput) as refused:
        recognise(text, REGISTRY)
    assert refused.value.reason == reason


def test_unknown_scheme_is_refused() -> None:
    with pytest.raises(RefuseInput, match="unknown_scheme"):
        named("stall", "0001", REGISTRY)


PIECES = st.sampled_from(
    [
        *(one.text for scheme in SCHEMES.values() for one in scheme.samples),
        *(text for scheme in SCHEMES.values() for one in scheme.samples for text in one.scanned),
        "https://", "urn:epc:id:", "(01)", "]C1", "\x1d", "\n", " ", "/", "?", "：", "%", "：//",
    ]
)  # fmt: skip


TEXTS = st.text(max_size=80) | st.lists(PIECES | st.text(max_size=6), max_size=6).map("".join)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_no_text_gives_anything_but_candidates_or_a_refusal(text: str) -> None:
    found: tuple[Candidate, ...] = ()
    with contextlib.suppress(RefuseInput):
        found = recognise(text, REGISTRY)
    assert all(is_sound(one) for one in found)
    assert len({(one.scheme, one.code) for one in found}) == len(found)


def is_sound(one: Candidate) -> bool:
    """Tell whether a candidate is a code of its scheme, by the scheme alone."""
    return REGISTRY.named(one.scheme, one.code).code == one.code
