"""Web addresses that name a thing, and the many that do not."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.codes.element_strings import Element
from protocols.codes.links import canonical_link, parse_asset_link, parse_digital_link
from protocols.errors import RefuseInput
from protocols.records import Code

GTIN = "06901234567892"
LINK = f"https://id.gs1.org/01/{GTIN}"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (LINK, LINK),
        (f"HTTP://SHOP.CN/01/{GTIN}", LINK),
        ("https://shop.cn/some/path/01/6901234567892/", LINK),
        ("https://shop.cn/01/96385074", "https://id.gs1.org/01/00000096385074"),
        (f"https://u:p@shop.cn:8443/01/{GTIN}#top", LINK),
        (f"{LINK}/22/V/10/L%2F7/21/S1?17=281231&x=y", f"{LINK}/22/V/10/L%2F7/21/S1?17=281231"),
        (f"{LINK}?10=L7", f"{LINK}/10/L7"),
        (
            "https://a.cn/8003/006901234000012X1",
            "https://id.gs1.org/8003/006901234000012X1",
        ),
        ("https://a.cn/8004/6901234A1", "https://id.gs1.org/8004/6901234A1"),
    ],
)
def test_digital_link_has_one_canonical_form(text: str, canonical: str) -> None:
    elements = parse_digital_link(text)
    assert elements is not None
    assert canonical_link(elements) == canonical
    assert parse_digital_link(canonical) == elements


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.cn/news/2026/01/12",
        "https://shop.cn/01/5",
        "https://shop.cn/8004/page-7",
        "https://shop.cn/401/about",
        "https://shop.cn/gtin/06901234567892",
        f"https://shop.cn/01/{GTIN}/21",
        f"https://shop.cn/01/{GTIN}/21/S1/10/L7",
        f"https://shop.cn/01/{GTIN}/99/x",
        f"https:///01/{GTIN}",
        f"ftp://shop.cn/01/{GTIN}",
        f"https://shop.cn/01/{GTIN} ",
        f"https://shop.cn/01/{GTIN}\x1d",
        "https://shop.cn/01/٠٦٩٠١٢٣٤٥٦٧٨٩٢",
        "https://[bad/01/1",
        "https://shop.cn/",
    ],
)
def test_other_addresses_are_none(text: str) -> None:
    assert parse_digital_link(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://shop.cn/01/06901234567893", "bad_check_digit"),
        (f"{LINK}?17=260230", "bad_date"),
        (f"{LINK}?21=S1", "bad_digital_link"),
        (f"{LINK}?8004=6901234A1", "bad_digital_link"),
        (f"{LINK}?17=281231&17=281230", "contradictory"),
        (f"{LINK}/10/L7?10=L8", "contradictory"),
    ],
)
def test_a_digital_link_with_a_fault_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RefuseInput) as refused:
        parse_digital_link(text)
    assert refused.value.reason == reason


def test_percent_signs_cannot_bring_in_other_digits() -> None:
    arabic = "%D9%A0" * 14
    assert parse_digital_link(f"https://shop.cn/01/{arabic}") is None
    with pytest.raises(RefuseInput, match="bad_element_string"):
        parse_digital_link(f"{LINK}?17=%D9%A281231")


def test_elements_without_one_key_have_no_link() -> None:
    for elements in ((), (Element("10", "L7"),)):
        with pytest.raises(RefuseInput, match="bad_digital_link"):
            canonical_link(elements)


@pytest.mark.parametrize(
    "text",
    [
        "https://suyuan.example/id/elevator/31101099920240017",
        "http://127.0.0.1:8080/a/b/id/elevator/31101099920240017/",
        "https://suyuan.example/id/elevator/31101099920240017?from=sticker#x",
    ],
)
def test_asset_address_gives_scheme_and_code(text: str) -> None:
    assert parse_asset_link(text) == Code("elevator", "31101099920240017")


@pytest.mark.parametrize(
    "text",
    [
        "https://suyuan.example/id/Elevator/1",
        "https://suyuan.example/id/elevator/1/2",
        "https://suyuan.example/id/elevator/",
        "https://suyuan.example/id/elevator/a%2Fb",
        "https://suyuan.example/?next=/id/elevator/1",
        "https://suyuan.example/q/JL2B0001234",
        "https://user@suyuan.example/id/elevator/1",
        "https:///id/elevator/1",
        "/id/elevator/1",
        f"https://suyuan.example/id/elevator/{'1' * 65}",
    ],
)
def test_other_addresses_name_no_asset(text: str) -> None:
    assert parse_asset_link(text) is None


@given(st.text(max_size=80), st.sampled_from(["https://a.cn/", f"{LINK}/", f"{LINK}?", "http://"]))
def test_any_text_is_read_or_refused(text: str, before: str) -> None:
    parse_asset_link(before + text)
    with contextlib.suppress(RefuseInput):
        elements = parse_digital_link(before + text)
        assert not elements or canonical_link(elements).startswith("https://id.gs1.org/")
