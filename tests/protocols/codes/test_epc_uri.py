"""EPC URNs and Digital Links of one thing are one identifier."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.codes.epc_uri import canonical_id, check_digit, epc_urn, identifier_fault
from protocols.codes.links import parse_digital_link

GS1 = "https://id.gs1.org"
PAIRS = [
    ("urn:epc:id:sgtin:6901234.056789.SN1", "/01/06901234567892/21/SN1"),
    ("urn:epc:id:sgtin:6901234.056789.a%2Fb%26c", "/01/06901234567892/21/a%2Fb%26c"),
    ("urn:epc:id:sgtin:6901234.056789.a:b'(c)", "/01/06901234567892/21/a%3Ab'%28c%29"),
    ("urn:epc:id:sgtin:6901234.056789.1.2", "/01/06901234567892/21/1.2"),
    ("urn:epc:id:upui:6901234.056789.TX9", "/01/06901234567892/235/TX9"),
    ("urn:epc:class:lgtin:6901234.056789.LOT2026A", "/01/06901234567892/10/LOT2026A"),
    ("urn:epc:idpat:sgtin:6901234.056789.*", "/01/06901234567892"),
    ("urn:epc:id:itip:6901234.056789.01.02.9", "/8006/069012345678920102/21/9"),
    ("urn:epc:idpat:itip:6901234.056789.01.02.*", "/8006/069012345678920102"),
    ("urn:epc:id:sscc:6901234.3000000001", "/00/369012340000000017"),
    ("urn:epc:id:gsrn:6901234.0000000001", "/8018/690123400000000018"),
    ("urn:epc:id:gsrnp:6901234.0000000001", "/8017/690123400000000018"),
    ("urn:epc:id:gsin:6901234.000000001", "/402/69012340000000016"),
    ("urn:epc:id:pgln:6901234.00001", "/417/6901234000016"),
    ("urn:epc:id:sgln:6901234.00001.0", "/414/6901234000016"),
    ("urn:epc:id:sgln:6901234.00001.S7", "/414/6901234000016/254/S7"),
    ("urn:epc:id:grai:6901234.00001.7", "/8003/069012340000167"),
    ("urn:epc:idpat:grai:6901234.00001.*", "/8003/06901234000016"),
    ("urn:epc:id:gdti:6901234.00001.A7", "/253/6901234000016A7"),
    ("urn:epc:idpat:gdti:6901234.00001.*", "/253/6901234000016"),
    ("urn:epc:id:sgcn:6901234.00001.007", "/255/6901234000016007"),
    ("urn:epc:idpat:sgcn:6901234.00001.*", "/255/6901234000016"),
    ("urn:epc:id:giai:6901234.A.7%2F8", "/8004/6901234A.7%2F8"),
    ("urn:epc:id:ginc:6901234.x1", "/401/6901234x1"),
    ("urn:epc:id:cpi:6901234.AB-%2F%23.12", "/8010/6901234AB-%2F%23/8011/12"),
    ("urn:epc:idpat:cpi:6901234.AB.*", "/8010/6901234AB"),
]


@pytest.mark.parametrize(("urn", "path"), PAIRS)
def test_urn_and_link_say_the_same(urn: str, path: str) -> None:
    assert canonical_id(urn) == GS1 + path
    assert canonical_id(GS1 + path) == GS1 + path
    assert epc_urn(GS1 + path) == urn
    assert identifier_fault(urn) is None
    assert identifier_fault(GS1 + path) is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("http://shop.cn/a/b/01/06901234567892/21/SN1/?17=281231#x", "/01/06901234567892/21/SN1"),
        ("https://shop.cn/01/6901234567892", "/01/06901234567892"),
        ("https://shop.cn/gtin/06901234567892/lot/7", "/01/06901234567892/10/7"),
        (f"{GS1}/01/06901234567892/22/V/10/L/21/S", "/01/06901234567892/21/S"),
        (f"{GS1}/01/06901234567892/22/V", "/01/06901234567892"),
        (f"{GS1}/01/06901234567892/21/a%2fb%27", "/01/06901234567892/21/a%2Fb'"),
        (f"{GS1}/414/6901234000016/254/0", "/414/6901234000016"),
        ("https://shop.cn/8004/6901234A", "/8004/6901234A"),
        ("urn:epc:idpat:upui:6901234.056789.*", "/01/06901234567892"),
        ("urn:epc:id:pgln:690123400001.", "/417/6901234000016"),
        ("urn:epc:id:sgln:690123400001..S7", "/414/6901234000016/254/S7"),
    ],
)
def test_other_spellings_come_to_the_canonical_one(text: str, path: str) -> None:
    assert canonical_id(text) == GS1 + path
    assert identifier_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "urn:uuid:0",
        "https://example.org/id/drug/81999990000000000017",
        "https://example.org/errors/401/4",
        "https://example.org/8004/999999A",
        "https://example.org/01/1",
        "urn:epc:id:gid:1.2.3",
        "urn:epc:id:adi:W81X9C.3KL984PX1.2WMA52",
        "urn:epc:idpat:sgtin:6901234.*.*",
        "urn:epc:idpat:sgln:6901234.00001.*",
        "urn:epc:raw:64.x0123456789ABCDEF",
    ],
)
def test_what_is_no_gs1_key_stands(text: str) -> None:
    assert canonical_id(text) == text
    assert identifier_fault(text) is None
    assert epc_urn(text) is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("urn:epc:id:sgtin:6901234.056789", "bad_epc_urn"),
        ("urn:epc:id:sgtin:6901234.56789.1", "bad_epc_urn"),
        ("urn:epc:id:sgtin:69012.00056789.1", "bad_epc_urn"),
        ("urn:epc:id:sgtin:6901234.056789.", "bad_epc_urn"),
        ("urn:epc:id:sgtin:6901234.056789.a/b", "bad_epc_urn"),
        ("urn:epc:id:sgtin:6901234.056789.%61", "bad_epc_urn"),
        (f"urn:epc:id:sgtin:6901234.056789.{'1' * 21}", "bad_epc_urn"),
        ("urn:epc:id:sscc:6901234.300000000", "bad_epc_urn"),
        ("urn:epc:id:sgtin:6901234.０56789.1", "bad_epc_urn"),
        ("urn:epc:id:cpi:6901234.ab.1", "bad_epc_urn"),
        ("urn:epc:id:itip:6901234.056789.1.2.9", "bad_epc_urn"),
        ("urn:epc:idpat:sgtin:6901234.056789.7", "bad_epc_urn"),
        ("urn:epc:id:sgtn:6901234.056789.1", "bad_epc_urn"),
        ("urn:EPC:id:sgtin:6901234.056789.1", "bad_epc_urn"),
        ("urn:epc:", "bad_epc_urn"),
        (f"{GS1}/01/06901234567893/21/1", "bad_check_digit"),
        ("https://shop.cn/01/06901234567893", "bad_check_digit"),
        (f"{GS1}/00/369012340000000016", "bad_check_digit"),
        (f"{GS1}/8003/069012340000177", "bad_check_digit"),
        (f"{GS1}/01/0690123456789", "bad_check_digit"),
        (f"{GS1}/01/069012345678", "bad_check_digit"),
        (f"{GS1}/01/069/21/1", "bad_digital_link"),
        (f"{GS1}/00/369012340000000017/21/1", "bad_digital_link"),
        (f"{GS1}/01/06901234567892/21/{'1' * 21}", "bad_digital_link"),
        (f"{GS1}/8003/169012340000167", "bad_digital_link"),
    ],
)
def test_fault_is_told_and_the_text_stands(text: str, rule: str) -> None:
    found = identifier_fault(text)
    assert found is not None
    assert found.rule == rule
    assert canonical_id(text) == text


def test_fault_of_a_check_digit_names_the_right_one() -> None:
    found = identifier_fault(f"{GS1}/01/06901234567893")
    assert found is not None
    assert found.expected == "check digit 2"


def test_urn_needs_a_company_prefix() -> None:
    link = f"{GS1}/01/09991234567890/21/1"
    assert canonical_id(link) == link
    assert epc_urn(link) is None
    assert epc_urn(link, prefix_digits=7) == "urn:epc:id:sgtin:9991234.056789.1"
    assert epc_urn(f"{GS1}/8004/6901234") is None
    assert epc_urn(f"{GS1}/8006/069012345678920102/10/L") is None


def test_urn_of_a_gtin_8_has_its_own_prefix() -> None:
    assert epc_urn(f"{GS1}/01/00000096385074/21/1") == "urn:epc:id:sgtin:00000963.08507.1"


SERIAL = st.text("!\"%&'()*+,-./:;<=>?_" + string.ascii_letters + string.digits, min_size=1)


@st.composite
def links(draw: st.DrawFn) -> tuple[str, int]:
    """Return a canonical link and a length for its company prefix."""
    digits = draw(st.text(string.digits, min_size=17, max_size=17))
    serial = draw(SERIAL.map(lambda text: text[:16]))
    escaped = "".join(c if c.isalnum() or c in "-._';=" else f"%{ord(c):02X}" for c in serial)

    def key(size: int) -> str:
        return digits[:size] + check_digit(digits[:size])

    path = draw(
        st.sampled_from(
            [
                f"01/{key(13)}/21/{escaped}",
                f"01/{key(13)}/10/{escaped}",
                f"01/{key(13)}/235/{escaped}",
                f"01/{key(13)}",
                f"8006/{key(13)}0102/21/{escaped}",
                f"00/{key(17)}",
                f"402/{key(16)}",
                f"417/{key(12)}",
                f"414/{key(12)}/254/{escaped if serial != '0' else '1'}",
                f"8003/0{key(12)}{escaped}",
                f"253/{key(12)}{escaped}",
                f"255/{key(12)}{digits[:12]}",
                f"8004/{digits[:12]}{escaped}",
                f"8010/{digits[:12]}A%23/8011/{digits[:9]}",
            ]
        )
    )
    return f"{GS1}/{path}", draw(st.integers(6, 12))


@given(links())
def test_every_key_goes_to_a_urn_and_back(drawn: tuple[str, int]) -> None:
    link, prefix_digits = drawn
    assert canonical_id(link) == link
    assert identifier_fault(link) is None
    urn = epc_urn(link, prefix_digits)
    assert urn is not None
    assert canonical_id(urn) == link
    assert identifier_fault(urn) is None
    assert epc_urn(canonical_id(urn), prefix_digits) == urn


@given(links())
def test_a_canonical_link_is_a_digital_link(drawn: tuple[str, int]) -> None:
    link, _ = drawn
    digits = "".join(c for c in link.split("/", 4)[4] if c.isdigit())
    if int(digits[:13]):
        assert parse_digital_link(link) is not None or "/8004/" in link or "/8010/" in link


@given(st.text(max_size=60) | st.from_regex(r"(urn:epc:id:|https://id\.gs1\.org/)[ -~]{0,40}"))
def test_any_text_has_one_canonical_form(text: str) -> None:
    found = canonical_id(text)
    assert canonical_id(found) == found
    identifier_fault(text)
