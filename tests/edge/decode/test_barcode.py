"""What bar codes say; and that damaged ones never say something wrong."""

from hypothesis import given
from hypothesis import strategies as st

from edge.decode.barcode import TEXT_MAX, TextRecogniser
from protocols.catalog.schemes import load_schemes
from protocols.records import Code

RECOGNISE = TextRecogniser(load_schemes(None)[0].values())
GTIN = "06901234567892"
ELEMENTS = f"01{GTIN}21SN0001\x1d10L7"
TOLD = (
    Code("gs1_element_string", f"(01){GTIN}(21)SN0001(10)L7"),
    Code("gtin", GTIN),
    Code("serial", "SN0001"),
    Code("lot", "L7"),
)


def told(text: str | bytes) -> tuple[Code, ...]:
    found = RECOGNISE(text if isinstance(text, bytes) else text.encode())
    assert not found.findings
    return found.codes


def raw(text: str | bytes) -> tuple[str, ...]:
    """Return the findings of a text that is told as scanned."""
    given_bytes = text if isinstance(text, bytes) else text.encode()
    found = RECOGNISE(given_bytes)
    shown = given_bytes.decode("utf-8", "backslashreplace")[:TEXT_MAX]
    assert found.codes == (Code("raw", shown),)
    return found.findings


def test_element_strings_are_told_by_symbology_or_separator() -> None:
    for before in ("]C1", "]d2", "]Q3", "]e0", "]J1", "\x1d", "]C1\x1d", ""):
        assert told(before + ELEMENTS) == TOLD
    assert told(f"(01){GTIN}(21)SN0001(10)L7") == TOLD


def test_an_element_string_that_nothing_proves_stays_as_scanned() -> None:
    assert raw(f"01{GTIN}21SN0001") == ()
    assert raw(f"]C001{GTIN}21SN0001") == ()
    assert raw(f"]C0{ELEMENTS}") == ("control_characters",)
    assert raw("[)>\x1e06\x1dSN1\x1e\x04") == ("control_characters",)
    assert raw("(see page 2)") == ()


def test_faults_are_told_beside_the_text_as_scanned() -> None:
    assert raw(f"]C101{GTIN[:-1]}321SN") == ("bad_check_digit",)
    assert raw(f"\x1d01{GTIN[:-1]}321SN") == ("bad_check_digit",)
    assert raw(f"(01){GTIN}(17)260230") == ("bad_date",)
    assert raw(f"]C101{GTIN}21") == ("bad_element_string",)
    assert raw(f"]Q301{GTIN}21A\x1d21B") == ("contradictory",)
    assert raw(f"https://a.cn/01/{GTIN[:-1]}3") == ("bad_check_digit",)
    assert raw(f"https://a.cn/01/{GTIN}?21=A") == ("bad_digital_link",)


def test_digital_links_are_told_on_any_host() -> None:
    expected = (
        Code("gs1_digital_link", f"https://id.gs1.org/01/{GTIN}/21/A1"),
        Code("gtin", GTIN),
        Code("serial", "A1"),
    )
    for before in ("", "]Q1", "]Q3", "]d1"):
        assert told(f"{before}https://trace.example/01/{GTIN}/21/A1") == expected


def test_asset_addresses_are_told_but_cannot_claim_what_is_read_from_the_thing() -> None:
    assert told("https://a.cn/id/cylinder/JL2B0001234") == (Code("cylinder", "JL2B0001234"),)
    for scheme in ("tag_uid", "gtin", "raw", "giai", "serial", "gs1_digital_link"):
        assert raw(f"https://a.cn/id/{scheme}/04A1B2") == ()
    assert raw("https://a.cn/q/JL2B0001234") == ()


def test_plain_codes_are_told_where_one_scheme_fits() -> None:
    assert told("31101099920240017") == (Code("elevator", "31101099920240017"),)
    assert told("31102202022026010017") == (Code("elevator", "31102202022026010017"),)
    assert told("6180202D22211") == (Code("detonator", "6180202D22211"),)
    assert told("6901234567892") == told("]E06901234567892") == (Code("gtin", GTIN),)


def test_a_code_that_fits_several_schemes_is_told_as_ambiguous() -> None:
    assert raw("4490610300050") == ("ambiguous",)  # detonator, or an operator in Guangdong
    assert raw("32102202022026010017") == ("ambiguous",)  # hydraulic lift, or goods from Yangzhou
    both = "6901225000018"  # article, or a detonator of 25 December
    assert raw(both) == ("ambiguous",)
    assert told(f"]E0{both}") == (Code("gtin", f"0{both}"),)


def test_an_article_number_with_a_wrong_digit_is_nothing_else() -> None:
    assert told("6901225000017") == (Code("detonator", "6901225000017"),)
    assert raw("]E06901225000017") == ()


def test_unknown_codes_bad_bytes_and_long_texts_stay_as_scanned() -> None:
    assert raw("JL2B0001234") == ()
    assert raw("钢瓶 0001") == ()
    assert raw("钢瓶".encode("gbk")) == ("not_utf8",)
    assert raw("A\x00B\x7f") == ("control_characters",)
    assert raw("x" * TEXT_MAX) == ()
    assert raw("x" * (TEXT_MAX + 1)) == ("too_long",)
    assert raw(b"\xff" * 2000) == ("not_utf8", "too_long")
    assert raw(b"\xff" * (TEXT_MAX + 1)) == ("too_long",)
    assert raw("钢" * (TEXT_MAX // 3 + 1)) == ("too_long",)
    assert RECOGNISE(b"").codes == ()


def test_a_text_whose_codes_would_be_too_long_stays_as_scanned() -> None:
    fields = "".join(f"{ai}{'(' * 90}\x1d" for ai in range(91, 100))
    assert told(f"]C1{fields}")[0].value.startswith("(91)\\(")
    link = f"https://a.cn/01/{GTIN}?" + "&".join(f"{ai}={'%' * 88}" for ai in range(91, 100))
    assert RECOGNISE(link.encode()).codes


TAMPERED = st.sampled_from(
    [
        f"]C1{ELEMENTS}",
        f"https://a.cn/01/{GTIN}/21/SN0001",
        f"(01){GTIN}(21)SN0001",
        f"]E0{GTIN[1:]}",
    ]
)


@given(TAMPERED, st.integers(0, 40), st.characters(max_codepoint=0x2FF))
def test_one_wrong_character_never_gives_another_article(text: str, place: int, wrong: str) -> None:
    place %= len(text)
    found = RECOGNISE((text[:place] + wrong + text[place + 1 :]).encode())
    assert {code.value for code in found.codes if code.scheme == "gtin"} <= {GTIN}


@given(st.binary(max_size=200))
def test_any_bytes_give_codes_that_a_record_can_hold(scanned: bytes) -> None:
    found = RECOGNISE(scanned)
    assert bool(found.codes) == bool(scanned)
    assert all(1 <= len(code.value) <= TEXT_MAX for code in found.codes)


@given(st.text(f"0123456789\x1d()]C1/.:{'https'}", max_size=120))
def test_texts_near_to_codes_give_codes_that_a_record_can_hold(scanned: str) -> None:
    found = RECOGNISE(scanned.encode())
    assert bool(found.codes) == bool(scanned)
