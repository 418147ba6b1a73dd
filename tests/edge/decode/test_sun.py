"""SUN messages: the published vectors, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decode.sun import SunKeys, SunProof, find_sun, sun_keys, verify_sun
from protocols.catalog.tags import Sun
from protocols.errors import FixConfiguration, RefuseInput

KEYS = SunKeys(bytes(16), bytes(16))
FORMS = (
    Sun(picc_data="e", mac="c"),
    Sun(picc_data="picc_data", file_data="enc", mac="cmac"),
    Sun(uid="uid", counter="ctr", mac="cmac"),
)
ENCRYPTED = "https://q.example/t?e=EF963FF7828658A599F3041510671E88&c=94EED9EE65337086"
PLAIN = "https://q.example/t?uid=041E3C8A2D6B80&ctr=000006&cmac=4B00064004B0B3D3"
WITH_FILE_DATA = (
    "https://q.example/t?picc_data=FD91EC264309878BE6345CBE53BADF40"
    "&enc=CEE9A53E3E463EF1F459635736738962&cmac=ECC1E7F6C6C73BF6"
)


@pytest.mark.parametrize(
    ("url", "uid", "counter"),
    [
        (ENCRYPTED, "04DE5F1EACC040", 61),
        (PLAIN, "041E3C8A2D6B80", 6),
        (WITH_FILE_DATA, "04958CAA5C5E80", 8),
    ],
)
def test_published_message_is_proved(url: str, uid: str, counter: int) -> None:
    message = find_sun(url, FORMS)
    assert message is not None
    assert verify_sun(message, KEYS) == SunProof(bytes.fromhex(uid), counter)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([ENCRYPTED, PLAIN, WITH_FILE_DATA]), st.integers(0, 31), st.integers(1, 15))
def test_another_digit_is_never_proved(url: str, place: int, change: int) -> None:
    digits = [at for at, one in enumerate(url) if one in "0123456789ABCDEF" and at > 20]
    at = digits[place % len(digits)]
    other = f"{int(url[at], 16) ^ change:X}"
    message = find_sun(url[:at] + other + url[at + 1 :], FORMS)
    if message is not None:
        with pytest.raises(RefuseInput, match="bad_sun"):
            verify_sun(message, KEYS)


@pytest.mark.parametrize("keys", [SunKeys(b"\1" * 16, bytes(16)), SunKeys(bytes(16), b"\1" * 16)])
def test_another_key_proves_nothing(keys: SunKeys) -> None:
    message = find_sun(ENCRYPTED, FORMS)
    assert message is not None
    with pytest.raises(RefuseInput, match="bad_sun"):
        verify_sun(message, keys)


@pytest.mark.parametrize("url", ["", "https://q.example/C7", "https://q.example/?e=1", "http://["])
def test_a_url_without_the_parameters_is_none(url: str) -> None:
    assert find_sun(url, FORMS) is None


@pytest.mark.parametrize(
    "query", ["e=&c=", "e=EF96&c=94EED9EE65337086", "uid=041E3C8A2D6B80&cmac=4B00064004B0B3D3"]
)
def test_malformed_parameters_are_refused(query: str) -> None:
    with pytest.raises(RefuseInput, match="bad_sun"):
        find_sun(f"https://q.example/?{query}", FORMS)


def test_keys_come_from_the_environment() -> None:
    assert sun_keys({}) is None
    key = "00112233445566778899AABBCCDDEEFF"
    names = ("SUYUAN_SUN_META_READ_KEY", "SUYUAN_SUN_FILE_READ_KEY")
    assert sun_keys(dict.fromkeys(names, key)) == SunKeys(bytes.fromhex(key), bytes.fromhex(key))
    with pytest.raises(FixConfiguration, match="SUYUAN_SUN_FILE_READ_KEY: expected 16 bytes"):
        sun_keys({names[0]: key})
