"""Cutting what a scanner sends into texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.texts import TEXT_BYTES_MAX, Habit, TextCutter

LINES = st.lists(st.binary(min_size=1, max_size=30).map(lambda text: b"A" + text))


def cutter() -> TextCutter:
    return TextCutter(Habit())


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_line_end_of_any_kind_ends_one_text(end: bytes) -> None:
    assert cutter().feed(b"one" + end + b"two" + end) == [b"one", b"two"]


def test_silence_ends_a_text_of_a_scanner_that_sends_no_line_ends() -> None:
    one = cutter()
    assert one.feed(b"690") == []
    assert one.waiting
    assert one.silence() == [b"690"]
    assert one.silence() == []
    assert one.counters["texts_torn"] == 0


def test_silence_tears_a_text_of_a_scanner_that_sends_line_ends_even_after_it_was_away() -> None:
    habit = Habit()
    assert TextCutter(habit).feed(b"one\r") == [b"one"]
    again = TextCutter(habit)
    assert again.feed(b"690123") == []
    assert again.silence() == []
    assert again.counters["texts_torn"] == 1
    assert again.feed(b"two\r") == [b"two"]


def test_what_comes_of_a_text_after_a_loss_is_dropped() -> None:
    one = cutter()
    assert one.feed(b"690123") == []
    one.tear()
    assert one.feed(b"456\rnext\r") == [b"next"]
    one.tear()
    assert one.feed(b"rest of a text without a line end") == []
    assert one.counters["texts_torn"] == 1


def test_a_text_that_is_too_long_is_told_as_such_and_counted_once() -> None:
    one = cutter()
    assert one.feed(b"x" * TEXT_BYTES_MAX + b"\r") == [b"x" * TEXT_BYTES_MAX]
    assert one.feed(b"y" * 100_000 + b"\rz\r") == [b"y" * (TEXT_BYTES_MAX + 1), b"z"]
    assert one.counters["texts_too_long"] == 1


def test_noise_is_counted_and_control_characters_within_a_text_stay() -> None:
    one = cutter()
    assert one.feed(b"\0\xff\0\r\r\n\x1d01\x02\r") == [b"\x1d01\x02"]
    assert one.counters["noise_bytes"] == 3


@given(LINES, st.integers(1, 7), st.sampled_from([b"\r", b"\n", b"\r\n"]))
def test_texts_are_the_same_whatever_pieces_they_come_in(
    texts: list[bytes], size: int, end: bytes
) -> None:
    texts = [text.replace(b"\r", b"_").replace(b"\n", b"_") for text in texts]
    sent = b"".join(text + end for text in texts)
    one = cutter()
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert [text for piece in pieces for text in one.feed(piece)] == texts
