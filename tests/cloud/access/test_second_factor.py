"""Codes by time: those of RFC 6238, by clocks that are off, and never twice."""

import pyotp
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from cloud.access.second_factor import (
    RECOVERY_CODES,
    STEP_S,
    STEPS_AROUND,
    SecondFactor,
    address_of,
    new_recovery_codes,
    without,
)

NOW_MS = 1_764_000_000_000
FACTOR = SecondFactor(Fernet.generate_key())
SECRET, SEALED = FACTOR.new_secret()


def code_at(at_ms: int) -> str:
    return str(pyotp.TOTP(SECRET).generate_otp(at_ms // 1000 // STEP_S))


@pytest.mark.parametrize(
    ("at_s", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (20_000_000_000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(at_s: int, code: str) -> None:
    key = Fernet.generate_key()
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # its appendix B, 8 digits cut to 6
    sealed = Fernet(key).encrypt(secret.encode()).decode()
    assert SecondFactor(key).step_of(sealed, code, at_s * 1000, after=None) == at_s // STEP_S


@given(st.integers(-5 * STEP_S * 1000, 5 * STEP_S * 1000))
def test_telephone_clock_may_be_off_by_one_step_and_no_more(off_ms: int) -> None:
    step = FACTOR.step_of(SEALED, code_at(NOW_MS + off_ms), NOW_MS, after=None)
    steps = (NOW_MS + off_ms) // 1000 // STEP_S - NOW_MS // 1000 // STEP_S
    assert (step is not None) == (abs(steps) <= STEPS_AROUND)


@given(st.lists(st.integers(0, 3 * STEP_S * 1000), max_size=20))
def test_no_code_counts_twice_and_none_before_the_last(waits_ms: list[int]) -> None:
    now_ms, last, used = NOW_MS, None, set()
    for wait_ms in waits_ms:
        now_ms += wait_ms
        code = code_at(now_ms)
        step = FACTOR.step_of(SEALED, code, now_ms, after=last)
        if step is not None:
            assert step not in used
            used.add(step)
            last = step
            assert FACTOR.step_of(SEALED, code, now_ms, after=last) is None
            before = code_at(now_ms - STEP_S * 1000)
            assert FACTOR.step_of(SEALED, before, now_ms, after=last) is None


@pytest.mark.parametrize(
    "code", ["", "0", "00000", "0000000", "abcdef", "１２３４５６", "\udcff", "x" * 999]
)
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert FACTOR.step_of(SEALED, code, NOW_MS, after=None) is None


def test_code_is_read_with_the_space_that_apps_show() -> None:
    code = code_at(NOW_MS)
    assert FACTOR.step_of(SEALED, f" {code[:3]} {code[3:]}\n", NOW_MS, after=None) is not None


def test_secret_sealed_with_another_key_opens_nothing() -> None:
    other = SecondFactor(Fernet.generate_key())
    assert SECRET not in SEALED
    assert other.step_of(SEALED, code_at(NOW_MS), NOW_MS, after=None) is None
    assert other.step_of("damaged", code_at(NOW_MS), NOW_MS, after=None) is None


def test_recovery_codes_count_once_each_however_they_are_typed() -> None:
    codes, hashes = new_recovery_codes()
    assert len(set(codes)) == len(set(hashes)) == RECOVERY_CODES
    assert not set(codes) & set(hashes)
    left = without(hashes, f" {codes[3].upper().replace('-', ' ')} ")
    assert left is not None
    assert len(left) == RECOVERY_CODES - 1
    assert without(left, codes[3]) is None
    for wrong in ("", "-", hashes[0], codes[0][:-1], "\udcff"):
        assert without(hashes, wrong) is None


def test_address_names_the_service_and_the_account() -> None:
    assert address_of(SECRET, "li").startswith(f"otpauth://totp/Suyuan:li?secret={SECRET}")
