"""What the baud rate asks for."""

import pytest

from edge.sources.timing import line_silence_s, line_timeout_s


@pytest.mark.parametrize(
    ("baud_rate", "silence_s"),
    [(1_200, 0.0292), (9_600, 0.00365), (19_200, 0.00182), (115_200, 0.00175)],
)
def test_silence_is_three_and_a_half_characters(baud_rate: int, silence_s: float) -> None:
    assert line_silence_s(baud_rate, 10) == pytest.approx(silence_s, rel=0.01)


@pytest.mark.parametrize(
    ("wanted_s", "baud_rate", "registers", "timeout_s"),
    [
        (None, 19_200, 23, 0.3),
        (1.0, 19_200, 23, 1.0),
        (0.01, 19_200, 23, 0.146),
        (None, 1_200, 50, 1.51),
    ],
)
def test_time_out_is_the_longer_of_file_and_line(
    wanted_s: float | None, baud_rate: int, registers: int, timeout_s: float
) -> None:
    found = line_timeout_s(wanted_s, baud_rate, 10, registers)
    assert found == pytest.approx(timeout_s, rel=0.01)
