"""What a keyboard means: typed by the simulated scanner, read by the gateway."""

import string

import pytest

from edge.sources.keys import DOWN, UNKNOWN, UP, Typing
from simulators.keyboard import presses

CAPS, F1, NUM, ALT, CTRL, SHIFT = 58, 59, 69, 56, 29, 42
ONE, A, KEYPAD_1 = 2, 30, 79
REPEATED = 2


def typed(*keys: tuple[int, int]) -> bytes:
    typing = Typing()
    return b"".join(typing.key(*key) for key in keys)


def test_every_character_of_a_bar_code_comes_as_it_was_typed() -> None:
    text = string.printable.replace("\n", "").replace("\x0b", "").replace("\x0c", "")
    assert typed(*presses(text)) == text.encode()


@pytest.mark.parametrize("alt_codes", [False, True])
def test_control_characters_come_by_ctrl_or_by_their_number(alt_codes: bool) -> None:
    text = "".join(map(chr, range(0x20))).translate({0x0D: None, 0x09: None})
    assert typed(*presses(f"]C1{text}1", alt_codes=alt_codes)) == f"]C1{text}1".encode()


def test_gs_is_ctrl_and_closing_bracket() -> None:
    assert typed((CTRL, DOWN), (27, DOWN), (27, UP), (CTRL, UP)) == b"\x1d"


def test_other_writing_comes_by_its_numbers() -> None:
    assert typed(*presses("钢1", alt_codes=True)) == "钢1".encode("gbk")


def test_shift_ends_when_it_is_let_go_and_caps_lock_holds_for_letters_only() -> None:
    assert typed((SHIFT, DOWN), (A, DOWN), (ONE, DOWN), (SHIFT, UP), (A, DOWN)) == b"A!a"
    assert (
        typed((CAPS, DOWN), (CAPS, UP), (A, DOWN), (ONE, DOWN), (CAPS, DOWN), (A, DOWN)) == b"A1a"
    )


def test_a_repeated_key_and_a_released_one_type_nothing() -> None:
    assert typed((A, DOWN), (A, REPEATED), (A, UP)) == b"a"


def test_a_key_that_means_no_character_leaves_a_mark_and_locks_do_not() -> None:
    typing = Typing()
    assert typing.key(F1, DOWN) + typing.key(NUM, DOWN) == UNKNOWN
    assert typing.unknown == 1
    assert typed((CTRL, DOWN), (ONE, DOWN)) == UNKNOWN
    assert typed((ALT, DOWN), (A, DOWN)) == UNKNOWN


def test_a_number_beyond_two_bytes_leaves_a_mark() -> None:
    nines = [(73, DOWN)] * 5
    assert typed((ALT, DOWN), *nines, (ALT, UP)) == UNKNOWN
    assert typed((ALT, DOWN), *nines, *nines, (ALT, UP)).startswith(UNKNOWN)
    assert typed((ALT, DOWN), (ALT, UP)) == b""


def test_nothing_is_held_after_a_loss() -> None:
    typing = Typing()
    typing.key(SHIFT, DOWN)
    typing.key(ALT, DOWN)
    typing.key(KEYPAD_1, DOWN)
    typing.forget()
    assert typing.key(A, DOWN) == b"a"
