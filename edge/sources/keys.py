"""What a scanner types as a keyboard, as the bytes that it means.

Scanners type for a US keyboard unless told otherwise. Control characters come as Ctrl with a key
(GS, which stands for FNC1, as Ctrl-]), or as Alt with the number on the keypad (Alt 029); by such
numbers come also the bytes of other writing, two at a time (GBK).
"""

from collections.abc import Iterator

UNKNOWN = b"\x1a"
"""SUBSTITUTE: stands in a text where a key was pressed that means no character."""
_ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\", "|"),
    (44, "zxcvbnm,./", "ZXCVBNM<>?"),
)
_OTHERS = {15: "\t", 28: "\r", 57: " ", 96: "\r"}
_KEYPAD = {
    71: "7",
    72: "8",
    73: "9",
    75: "4",
    76: "5",
    77: "6",
    79: "1",
    80: "2",
    81: "3",
    82: "0",
    55: "*",
    74: "-",
    78: "+",
    83: ".",
    98: "/",
}
_CTRL, _SHIFT, _ALT, _CAPS = frozenset({29, 97}), frozenset({42, 54}), frozenset({56, 100}), 58
_SILENT = frozenset({69, 70})
"""Num lock and scroll lock."""
UP, DOWN = 0, 1
_NUMBER_MAX = 0xFFFF


def _keys() -> Iterator[tuple[int, tuple[str, str]]]:
    for first, plain, shifted in _ROWS:
        for place, pair in enumerate(zip(plain, shifted, strict=True)):
            yield first + place, pair
    for code, character in (_OTHERS | _KEYPAD).items():
        yield code, (character, character)


KEYS = dict(_keys())
"""Plain and shifted character by key code (Linux `input-event-codes.h`)."""


class Typing:
    """Turns key events into bytes; remembers only which modifiers are held."""

    def __init__(self) -> None:
        self.unknown = 0
        """Keys that mean no character."""
        self._held: set[int] = set()
        self._caps = False
        self._number = ""

    def forget(self) -> None:
        """Start anew, for events were lost: nothing is held."""
        self._held.clear()
        self._caps, self._number = False, ""

    def key(self, code: int, value: int) -> bytes:
        """Take one key event; return what it types.

        Args:
            code: which key.
            value: UP or DOWN; a repetition of the keyboard's own types nothing.

        """
        if code in _CTRL | _SHIFT | _ALT:
            return self._modifier(code, value)
        if value != DOWN or code in _SILENT:
            return b""
        if code == _CAPS:
            self._caps = not self._caps
            return b""
        if self._held & _ALT:
            return self._digit(code)
        return self._character(code)

    def _modifier(self, code: int, value: int) -> bytes:
        if value == UP:
            self._held.discard(code)
        else:
            self._held.add(code)
        if code not in _ALT or self._held & _ALT or not self._number:
            return b""
        number, self._number = int(self._number), ""
        if number > _NUMBER_MAX:
            return self._none()
        return number.to_bytes(1 if number < 256 else 2, "big")

    def _digit(self, code: int) -> bytes:
        digit = _KEYPAD.get(code, "")
        if not digit.isdigit() or len(self._number) > len(str(_NUMBER_MAX)):
            return self._none()
        self._number += digit
        return b""

    def _character(self, code: int) -> bytes:
        if code not in KEYS:
            return self._none()
        plain, shifted = KEYS[code]
        if self._held & _CTRL:
            found = next((one for one in (plain.upper(), shifted) if "@" <= one <= "_"), None)
            return self._none() if found is None else bytes([ord(found) & 0x1F])
        shift = bool(self._held & _SHIFT) ^ (self._caps and plain.isalpha())
        return (shifted if shift else plain).encode()

    def _none(self) -> bytes:
        self.unknown += 1
        return UNKNOWN
