"""EPC binaries against GS1's published vectors, and any key through its binary and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.epc import CHARACTERS, AssetKey, Scheme, decode_epc, encode_epc, grai
from protocols.errors import RefuseInput

TEXT = sorted(CHARACTERS)


@pytest.mark.parametrize(
    ("epc", "scheme", "value", "filter_value"),
    [
        ("33B4257BF40C0E4000000190", "grai", "00614141123452400", 5),
        ("33140E511C56ED0000000001", "grai", "00234567890129" + "1", 0),
        ("330C75BCD150030000000001", "grai", "01234567890128" + "1", 0),
        ("3414257BF400000000BC614E", "giai", "061414112345678", 0),
    ],
)
def test_published_binary_gives_its_key(
    epc: str, scheme: Scheme, value: str, filter_value: int
) -> None:
    key = decode_epc(bytes.fromhex(epc))
    assert key is not None
    assert (key.scheme, key.value, key.filter_value) == (scheme, value, filter_value)
    assert encode_epc(key) == bytes.fromhex(epc)


@pytest.mark.parametrize("epc", ["", "E28011606000020000000001", "F1" * 12, "00" * 12])
def test_other_headers_are_none_of_ours(epc: str) -> None:
    assert decode_epc(bytes.fromhex(epc)) is None


@pytest.mark.parametrize(
    ("epc", "message"),
    [
        ("33B4257BF40C0E40000001", "GRAI-96: expected 12 bytes, found 11"),
        ("33B4257BF40C0E40000001900000", "GRAI-96: expected 12 bytes, found 14"),
        ("33BC257BF40C0E4000000190", "GRAI-96: expected a partition from 0 to 6, found 7"),
        (
            "3303FFFFFFFFFFC000000001",
            "GRAI-96: expected a company prefix of 12 digits, found 1099511627775",
        ),
        ("3300000000000040000001FF", "GRAI-96: expected an asset type of 0 digits, found 1"),
        ("37" + "00" * 21, "GRAI-170: expected 1 to 16 characters, found 0"),
        ("37" + "00" * 20 + "01", "GRAI-170: expected the last 6 bits 0, found 01"),
        ("3818" + "00" * 23 + "40", "GIAI-202: expected characters that GS1 allows, found '\\x00'"),
    ],
)
def test_damaged_binary_is_refused(epc: str, message: str) -> None:
    with pytest.raises(RefuseInput) as refused:
        decode_epc(bytes.fromhex(epc))
    assert refused.value.reason == "bad_epc"
    assert refused.value.detail == message


@st.composite
def keys(draw: st.DrawFn) -> tuple[AssetKey, bool]:
    prefix = draw(st.text("0123456789", min_size=6, max_size=12))
    filter_value, text = draw(st.integers(0, 7)), draw(st.booleans())
    if draw(st.booleans()):
        kind = draw(st.text("0123456789", min_size=12 - len(prefix), max_size=12 - len(prefix)))
        serial = (
            draw(st.text(TEXT, min_size=1, max_size=16))
            if text
            else str(draw(st.integers(0, 274_877_906_943)))
        )
        value = grai(prefix, kind, serial)
        return AssetKey(scheme="grai", value=value, prefix=prefix, filter_value=filter_value), text
    reference = (
        draw(st.text(TEXT, min_size=1, max_size=30 - len(prefix)))
        if text
        else str(draw(st.integers(0, 2**42 - 1)))
    )
    value = prefix + reference
    return AssetKey(scheme="giai", value=value, prefix=prefix, filter_value=filter_value), text


@settings(max_examples=300, deadline=None)
@given(keys())
def test_any_key_comes_back_from_its_binary(case: tuple[AssetKey, bool]) -> None:
    key, text = case
    assert decode_epc(encode_epc(key, text=text)) == key


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([0x33, 0x34, 0x37, 0x38]), st.binary(min_size=0, max_size=30))
def test_any_binary_is_read_or_refused_and_what_is_read_is_written_the_same(
    header: int, rest: bytes
) -> None:
    epc = bytes([header]) + rest
    try:
        key = decode_epc(epc)
    except RefuseInput:
        return
    assert key is not None
    assert encode_epc(key, text=header in {0x37, 0x38}) == epc


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (AssetKey(scheme="grai", value="00614141123452" + "007", prefix="0614141"), False),
        (AssetKey(scheme="grai", value="00614141123453" + "7", prefix="0614141"), False),
        (AssetKey(scheme="grai", value="00614141123452274877906944", prefix="0614141"), False),
        (AssetKey(scheme="giai", value="0614141A1", prefix="0614141"), False),
        (AssetKey(scheme="giai", value="0614142A1", prefix="0614141"), True),
        (AssetKey(scheme="giai", value="0614141" + "A" * 24, prefix="0614141"), True),
        (AssetKey(scheme="giai", value="12345" + "A", prefix="12345"), True),
    ],
)
def test_key_that_does_not_fit_is_refused(key: AssetKey, text: bool) -> None:
    with pytest.raises(RefuseInput, match="bad_epc"):
        encode_epc(key, text=text)
