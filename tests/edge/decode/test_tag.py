"""Tags by the shipped layouts: whole ones tell what they are, damaged ones only what is wrong."""

import zlib
from typing import Any

import ndef
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decode.barcode import TextRecogniser
from edge.decode.sun import SunKeys
from edge.decode.tag import TagDecoder, _as_seen
from edge.sources.base import Recognised, TagSeen
from protocols.catalog.schemes import load_schemes
from protocols.catalog.tags import load_layouts
from protocols.records import Code
from tests.protocols.test_secp128r1 import KEY, sign

LAYOUTS = load_layouts(None)[0]
UID = bytes.fromhex("04A1B2C3D4E5F6")
CHECK = "urn:nfc:ext:suyuan.local:crc32"
URL = "https://q.example/cylinder/A7"


def by_word(raw: bytes) -> Recognised:
    """Recognise cylinder:… as a code, all else as it is."""
    text = raw.decode()
    if text.startswith("cylinder:"):
        return Recognised((Code("cylinder", text.removeprefix("cylinder:")),))
    if text == "doubtful":
        return Recognised((), ("bad_check_digit",))
    return Recognised((Code("raw", text),))


DECODER = TagDecoder(LAYOUTS.values(), by_word)


def message(*records: ndef.Record, checked: bool = False) -> bytes:
    if not checked:
        return b"".join(ndef.message_encoder(list(records)))
    blank = message(*records, ndef.Record(CHECK, "", bytes(4)))
    size = 3 + len(CHECK) - len("urn:nfc:ext:") + 4
    check = zlib.crc32(blank[:-size]).to_bytes(4, "big")
    return message(*records, ndef.Record(CHECK, "", check))


def ntag(content: bytes, **more: Any) -> TagSeen:
    user = (b"\x03" + bytes([len(content)]) + content + b"\xfe").ljust(144, b"\0")
    banks = {"cc": b"\xe1\x10\x12\x00", "user": user} | more
    return TagSeen(key=UID, technology="type2", uid=UID, banks=banks)


def told(seen: TagSeen, decoder: TagDecoder = DECODER) -> tuple[dict[str, str], tuple[str, ...]]:
    found = decoder.recognise(seen)
    return {code.scheme: code.value for code in found.codes}, found.findings


OWN = {"tag_uid": UID.hex().upper()}


def test_uri_and_text_records_go_through_the_recognition_of_texts() -> None:
    seen = ntag(message(ndef.UriRecord(URL), ndef.TextRecord("cylinder:A7")))
    assert told(seen) == (OWN | {"raw": URL, "cylinder": "A7"}, ())


def test_a_digital_link_and_a_gs1_text_on_a_chip_name_the_same_asset() -> None:
    decoder = TagDecoder(LAYOUTS.values(), TextRecogniser(load_schemes(None)[0].values()))
    link = ndef.UriRecord("https://id.example/8003/00614141123452400")
    same, other = "(8003)00614141123452400", "(8003)00614141123452401"
    codes, findings = told(ntag(message(link, ndef.TextRecord(same))), decoder)
    assert (codes["grai"], findings) == ("00614141123452400", ())
    assert told(ntag(message(link, ndef.TextRecord(other))), decoder) == (OWN, ("codes_disagree",))
    wrong = ndef.TextRecord("(8003)00614141123453400")
    codes, findings = told(ntag(message(wrong)), decoder)
    assert (set(codes), findings) == ({"tag_uid", "raw"}, ("bad_check_digit",))


def test_records_that_name_two_things_name_none() -> None:
    seen = ntag(message(ndef.TextRecord("cylinder:A7"), ndef.TextRecord("cylinder:A8")))
    assert told(seen) == (OWN, ("codes_disagree",))


def test_what_is_wrong_with_a_text_is_told() -> None:
    assert told(ntag(message(ndef.TextRecord("doubtful")))) == (OWN, ("bad_check_digit",))


def test_what_is_more_than_a_record_carries_is_cut_and_told() -> None:
    texts = [ndef.TextRecord(str(number)) for number in range(100)]
    banks = {"ndef": message(*texts)}
    found = DECODER.recognise(TagSeen(key=UID, technology="type4", uid=UID, banks=banks))
    assert (len(found.codes), found.findings) == (64, ("codes_cut",))
    assert found.codes[0].scheme == "tag_uid"


def test_the_tare_on_a_tag_is_told_and_that_of_a_damaged_one_is_not() -> None:
    sound, *others = LAYOUTS["gs1-asset-epc"].samples
    damaged = next(one for one in others if "bad_crc" in one.findings)
    tares = [DECODER.recognise(_as_seen(one)).tare_kg for one in (sound, damaged)]
    assert tares == [16.5, None]


def test_records_of_other_types_tell_nothing() -> None:
    assert told(ntag(message(ndef.Record("text/vcard", "", b"BEGIN")))) == (OWN, ())


def test_a_torn_reading_tells_the_chips_number() -> None:
    whole = ntag(message(ndef.TextRecord("cylinder:A7")))
    torn = TagSeen(key=UID, technology="type2", uid=UID, banks=whole.banks, complete=False)
    assert told(torn) == (OWN, ("incomplete_read",))


def test_without_layouts_a_tag_tells_its_own_number() -> None:
    seen = ntag(message(ndef.TextRecord("cylinder:A7")))
    assert told(seen, TagDecoder([], by_word)) == (OWN, ())


def test_no_flipped_bit_under_a_check_record_gives_another_name() -> None:
    content = message(ndef.UriRecord(URL), ndef.TextRecord("cylinder:A7"), checked=True)
    right = told(ntag(content))
    assert right == (OWN | {"raw": URL, "cylinder": "A7"}, ())
    user = ntag(content).banks["user"]
    for bit in range(len(user) * 8):
        flipped = bytearray(user)
        flipped[bit // 8] ^= 1 << bit % 8
        codes, findings = told(ntag(content, user=bytes(flipped)))
        assert codes.get("cylinder", "A7") == "A7", (bit, codes, findings)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 140), st.binary(min_size=1, max_size=40))
def test_no_overwritten_span_under_a_check_record_gives_another_name(
    start: int, noise: bytes
) -> None:
    content = message(ndef.TextRecord("cylinder:A7"), checked=True)
    user = bytearray(ntag(content).banks["user"])
    user[start : start + len(noise)] = noise[: len(user) - start]
    codes, _ = told(ntag(content, user=bytes(user)))
    assert codes.get("cylinder", "A7") == "A7"


def test_a_message_written_half_over_an_old_one_names_nothing() -> None:
    old = message(ndef.TextRecord("cylinder:OLD-ONE"), checked=True)
    new = message(ndef.TextRecord("cylinder:NEW-ONE"), checked=True)
    before, after = ntag(old).banks["user"], ntag(new).banks["user"]
    for pages in range(1, len(new) // 4):
        torn = after[: pages * 4] + before[pages * 4 :]
        codes, findings = told(ntag(new, user=torn))
        if torn not in (before, after):
            assert (codes, bool(findings)) == (OWN, True), pages


def test_a_genuine_chip_is_taken_and_a_forged_one_not() -> None:
    assert KEY is not None
    public = "04" + "".join(f"{one:032X}" for one in KEY)
    layout = LAYOUTS["ntag21x-ndef"]
    ours = {"public_key": public, "uid": "04", "version": "000404"}
    forms = (type(layout.originality[0])(**ours),)
    fields = {name: getattr(layout, name) for name in layout.__struct_fields__}
    decoder = TagDecoder([type(layout)(**fields | {"originality": forms})], by_word)
    content, version = message(ndef.TextRecord("cylinder:A7")), bytes.fromhex("0004040201000F03")
    good = ntag(content, version=version, signature=sign(UID))
    assert told(good, decoder) == (OWN | {"cylinder": "A7"}, ())
    forged = ntag(content, version=version, signature=sign(UID[::-1]))
    assert told(forged, decoder) == (OWN, ("bad_signature",))
    unsigned = ntag(content, version=version, signature=bytes(32))
    assert told(unsigned, decoder) == (OWN | {"cylinder": "A7"}, ())
    other_chip = ntag(content, version=b"\0\x04\x03", signature=sign(UID[::-1]))
    assert told(other_chip, decoder) == (OWN | {"cylinder": "A7"}, ())


SUN = "https://q.example/t?e=EF963FF7828658A599F3041510671E88&c=94EED9EE65337086"
SUN_UID = bytes.fromhex("04DE5F1EACC040")


def type4(uid: bytes, url: str) -> TagSeen:
    banks = {"ndef": message(ndef.UriRecord(url))}
    return TagSeen(key=uid, technology="type4", uid=uid, banks=banks)


def test_a_sun_message_is_proved_where_the_keys_are() -> None:
    keyed = TagDecoder(LAYOUTS.values(), by_word, SunKeys(bytes(16), bytes(16)))
    own = {"tag_uid": SUN_UID.hex().upper()}
    assert told(type4(SUN_UID, SUN)) == (own | {"raw": SUN, "sun": SUN}, ())
    proved = own | {"raw": SUN, "sun": SUN, "sun_counter": "61"}
    assert told(type4(SUN_UID, SUN), keyed) == (proved, ())
    forged = SUN.replace("94EE", "94EF")
    assert told(type4(SUN_UID, forged), keyed) == (own, ("bad_sun",))
    assert told(type4(UID, SUN), keyed) == (OWN, ("codes_disagree",))
    hidden = DECODER.recognise(type4(b"\x08\1\2\3", SUN))
    assert hidden.codes[0] == Code("tag_uid", "08010203")
    found = keyed.recognise(type4(b"\x08\1\2\3", SUN)).codes
    assert Code("tag_uid", SUN_UID.hex().upper()) in found


@pytest.mark.parametrize("user", [b"", b"anything at all!"])
def test_an_epc_of_another_scheme_stays_as_it_is(user: bytes) -> None:
    epc, tid = bytes.fromhex("E28011606000020000000001"), bytes(range(12))
    seen = TagSeen(
        key=epc, technology="gen2", banks={"epc": epc, "tid": tid, "user": user, "pc": b"\x30\0"}
    )
    expected = {"epc": epc.hex().upper(), "tid": tid.hex().upper()}
    assert told(seen) == (expected | ({"user_bank": user.hex().upper()} if user else {}), ())


def test_a_torn_reading_of_a_uhf_tag_tells_the_epc_as_it_is() -> None:
    epc = bytes.fromhex("33B4257BF40C0E4000000190")
    seen = TagSeen(key=epc, technology="gen2", banks={"epc": epc}, complete=False)
    assert told(seen) == ({"epc": epc.hex().upper()}, ("incomplete_read",))
