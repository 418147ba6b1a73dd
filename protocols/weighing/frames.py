"""From the bytes of an indicator to its frames."""


class FrameCutter:
    """Cuts a stream of bytes into frames: what stands between start and end, without them.

    Without a start, a frame begins where the last one ended. Of two starts the later counts. What
    grows beyond `length_max` without an end is dropped.
    """

    def __init__(self, *, start: bytes, end: bytes, length_max: int) -> None:
        self._start, self._end, self._length_max = start, end, length_max
        self._rest = b""
        self.noise_bytes = 0
        """Bytes that belong to no frame."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came; return the frames that it ends."""
        *ended, rest = (self._rest + data).split(self._end)
        frames = [frame for one in ended if (frame := self._frame(one))]
        room = len(self._start) + self._length_max + len(self._end)
        self.noise_bytes += max(0, len(rest) - room)
        self._rest = rest[-room:]
        return frames

    def _frame(self, ended: bytes) -> bytes:
        before, start, frame = ended.rpartition(self._start) if self._start else (b"", b"", ended)
        if self._start and not start:
            before, frame = ended, b""
        self.noise_bytes += len(before)
        if len(frame) > self._length_max:
            self.noise_bytes += len(frame)
            return b""
        return frame
