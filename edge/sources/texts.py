"""From the bytes of a scanner to whole texts: by line end, or by silence where none is sent."""

TEXT_BYTES_MAX = 4096
"""More than any bar code holds. Of a longer text one byte more is told, so that it is known to be
too long, and the rest is dropped."""
GAP_S = 0.2
"""A scanner sends a text in one go; after so long a silence it has ended."""
ENDS = frozenset(b"\r\n")
_PRINTABLE = frozenset(range(0x20, 0xFF)) - {0x7F}


class Habit:
    """What was learned of a scanner, for longer than it is plugged in."""

    ends_lines = False
    """It was seen to send line ends."""


class TextCutter:
    """Cuts a stream of bytes into texts: each is told once, whole and as it was sent.

    A text ends at CR, LF or both, or after GAP_S of silence. Of a scanner that was seen to send
    line ends, what has none is torn, and is dropped. A text of several lines is told line by line.
    What holds nothing but control characters is noise.
    """

    def __init__(self, habit: Habit) -> None:
        self.counters = {"texts_torn": 0, "texts_too_long": 0, "noise_bytes": 0}
        self._habit = habit
        self._rest = bytearray()
        self._skips = False
        """What comes is the rest of a torn text."""

    @property
    def waiting(self) -> bool:
        """Whether a text has begun that has not ended yet."""
        return self._skips or bool(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came; return the texts that it ends."""
        texts = []
        for byte in data:
            if byte in ENDS:
                self._habit.ends_lines |= self.waiting
                texts += self._take()
            elif not self._skips:
                self._grow(byte)
        return texts

    def silence(self) -> list[bytes]:
        """Learn that nothing came for GAP_S; return the text that this ends, if any."""
        if self._habit.ends_lines:
            self._drop()
        return self._take()

    def tear(self) -> None:
        """Drop the text under way, for a part of it was lost: also what is still to come of it."""
        self._drop()
        self._skips = True

    def _drop(self) -> None:
        self.counters["texts_torn"] += bool(self._rest)
        self._rest.clear()

    def _grow(self, byte: int) -> None:
        if len(self._rest) <= TEXT_BYTES_MAX:
            self._rest.append(byte)
            self.counters["texts_too_long"] += len(self._rest) > TEXT_BYTES_MAX

    def _take(self) -> list[bytes]:
        text = bytes(self._rest)
        self._rest.clear()
        self._skips = False
        if _PRINTABLE.isdisjoint(text):
            self.counters["noise_bytes"] += len(text)
            return []
        return [text]
