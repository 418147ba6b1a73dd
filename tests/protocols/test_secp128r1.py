"""The curve of the chip maker's signatures: its parameters, and signatures of an own key."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import secp128r1 as curve

NTAG = "04494E1A386D3D3CFE3DC10E5DE68A499B1C202DB5B132393E89ED19FE5BE8BC61"
ICODE = "048878A2A2D3EEC336B4F261A082BD71F9BE11C4E2E896648B32EFA59CEA6E59F0"
SECRET, NONCE = 0x0123456789ABCDEF0123456789ABCDEF, 0x00FEDCBA98765432100FEDCBA9876543


def multiply(factor: int, point: curve.Point) -> curve.Point:
    return curve.combine(factor, point, 0, None)


KEY = multiply(SECRET, curve.G)
UID = bytes.fromhex("04DE5F1EACC040")


def sign(message: bytes) -> bytes:
    point = multiply(NONCE, curve.G)
    assert point is not None
    r = point[0] % curve.N
    s = pow(NONCE, -1, curve.N) * (int.from_bytes(message, "big") + r * SECRET) % curve.N
    return r.to_bytes(16, "big") + s.to_bytes(16, "big")


def test_generator_has_the_order_that_the_standard_names() -> None:
    assert curve.on_curve(curve.G)
    assert multiply(curve.N, curve.G) is None
    assert multiply(curve.N + 1, curve.G) == curve.G


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 * curve.N), st.integers(0, 2 * curve.N))
def test_sums_of_multiples_are_multiples_of_the_sum(one: int, other: int) -> None:
    assert curve.combine(one, curve.G, other, curve.G) == multiply(one + other, curve.G)
    found = curve.combine(one, curve.G, other, KEY)
    assert found == multiply(one + other * SECRET, curve.G)
    assert found is None or curve.on_curve(found)


@pytest.mark.parametrize("key", [NTAG, ICODE])
def test_the_chip_makers_keys_are_on_the_curve(key: str) -> None:
    assert curve.public_key(bytes.fromhex(key)) is not None


@pytest.mark.parametrize("key", ["", "04" + "00" * 32, NTAG[:-2] + "60", "02" + NTAG[2:]])
def test_what_is_no_point_is_no_key(key: str) -> None:
    assert curve.public_key(bytes.fromhex(key)) is None


def test_a_signature_is_of_its_message_and_key_only() -> None:
    signature = sign(UID)
    assert curve.verify(KEY, UID, signature)
    assert not curve.verify(KEY, UID[:-1] + b"\x41", signature)
    assert not curve.verify(curve.public_key(bytes.fromhex(NTAG)), UID, signature)
    assert not curve.verify(None, UID, signature)
    assert not curve.verify(KEY, b"", signature)
    assert not curve.verify(KEY, UID, signature[:-1])
    assert not curve.verify(KEY, UID, bytes(32))
    assert not curve.verify(KEY, UID, b"\xff" * 32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 255))
def test_a_flipped_bit_is_no_signature(bit: int) -> None:
    signature = bytearray(sign(UID))
    signature[bit // 8] ^= 1 << bit % 8
    assert not curve.verify(KEY, UID, bytes(signature))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_signatures_of_openssl_are_taken(tmp_path: Path) -> None:
    def openssl(*words: str) -> bytes:
        done = subprocess.run(["openssl", *words], capture_output=True, check=True, cwd=tmp_path)
        return done.stdout

    openssl("ecparam", "-name", "secp128r1", "-genkey", "-noout", "-out", "key.pem")
    public = openssl("ec", "-in", "key.pem", "-pubout", "-outform", "DER")[-33:]
    (tmp_path / "uid").write_bytes(UID)
    for _ in range(3):
        der = openssl("pkeyutl", "-sign", "-inkey", "key.pem", "-in", "uid")
        assert curve.verify(curve.public_key(public), UID, raw(der))


def raw(der: bytes) -> bytes:
    """Take r and s out of a DER signature."""
    size = der[3]
    r, s = der[4 : 4 + size], der[6 + size :]
    return b"".join(int.from_bytes(one, "big").to_bytes(16, "big") for one in (r, s))
