"""What lies at an HF reader's antenna: tags come, go, are torn away and change places."""

import threading
from collections.abc import Callable

from simulators.hf_tags import Tag


class HfField:
    """The field of one reader; it may be changed from any thread at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tag: Tag | None = None
        self._next: Tag | None = None
        self._left: int | None = None
        self.commands = 0
        """Commands that tags have answered."""
        self.spoil: Callable[[bytes], bytes] | None = None
        """Changes what the reader sends to its host, as noise on the line does."""

    @property
    def tag(self) -> Tag | None:
        """The tag that answers now."""
        return self._tag

    def place(self, tag: Tag) -> None:
        """Lay a tag at the antenna, instead of the one that is there."""
        self._change(tag, None, None)

    def remove(self) -> None:
        """Take the tag away."""
        self._change(None, None, None)

    def place_until(self, tag: Tag, commands: int, then: Tag | None = None) -> None:
        """Lay a tag there that is torn away after `commands` answers; `then` lies there instead."""
        self._change(tag, commands, then)

    def answer(self, data: bytes) -> bytes | None:
        """Put a command to the tag that is there; None is silence."""
        tag = self.touch()
        return None if tag is None else tag.command(data)

    def touch(self) -> Tag | None:
        """Return the tag that is to answer the next command."""
        with self._lock:
            if self._left == 0:
                self._tag, self._next, self._left = self._next, None, None
            if self._left is not None:
                self._left -= 1
            if self._tag is not None:
                self.commands += 1
            return self._tag

    def _change(self, tag: Tag | None, left: int | None, then: Tag | None) -> None:
        with self._lock:
            if tag is not None:
                tag.activate()
            self._tag, self._left, self._next = tag, left, then
