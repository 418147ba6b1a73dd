from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.clock import ManualClock, SystemClock, boot_id, iso, parse_time
from protocols.errors import RefuseInput

TOP = 253_402_300_799_999  # the last millisecond of the year 9999


@given(st.integers(-2_000_000_000_000, TOP))
def test_iso_reads_back(ms: int) -> None:
    text = iso(ms)
    assert text.endswith("Z")
    assert text[-5] == "."
    assert parse_time(text) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("-5", -5),
        ("1764000000123", 1_764_000_000_123),
        ("2025-11-24T16:00:00.123Z", 1_764_000_000_123),
        ("2025-11-25T00:00:00.123+08:00", 1_764_000_000_123),
    ],
)
def test_parse_time_takes_ms_and_iso(text: str, ms: int) -> None:
    assert parse_time(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "now",
        "1.5",
        "NaN",
        "2025-11-24T16:00:00",
        "2025-11-24",
        "9" * 100_000,
        "9" * 17,
        "²",
        "--5",
        "2025-13-01T00:00:00Z",
    ],
)
def test_parse_time_refuses_anything_else(text: str) -> None:
    with pytest.raises(RefuseInput) as caught:
        parse_time(text)
    assert caught.value.reason == "bad_time"
    assert len(caught.value.detail) < 300


def test_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(wall_ms=1_000, boot_ms=10)
    clock.advance(5)
    assert (clock.wall_ms(), clock.boot_ms()) == (1_005, 15)
    clock.set_wall(0)
    assert (clock.wall_ms(), clock.boot_ms()) == (0, 15)


def test_system_clock_runs() -> None:
    clock = SystemClock()
    first = clock.boot_ms()
    assert clock.wall_ms() > 1_600_000_000_000
    assert clock.boot_ms() >= first > 0


def test_boot_id_is_32_hex_digits_with_or_without_a_kernel(tmp_path: Path) -> None:
    kernel = tmp_path / "boot_id"
    kernel.write_text("3f0c9a44-7a7a-4f7b-9d56-1f0a4cbb3a10\n")
    assert boot_id(kernel) == "3f0c9a447a7a4f7b9d561f0a4cbb3a10"
    assert len(boot_id(tmp_path / "none")) == 32
