"""A serial device that can be pulled out and plugged in again, as a USB adapter can."""

import os
import pty
import select
import threading
import tty
from pathlib import Path

SEND_TIMEOUT_S = 5.0


class SerialPlug:
    """A pseudo-terminal under a name of its own, as udev would give it; begins pulled out."""

    def __init__(self, link: Path) -> None:
        """Choose the name; nothing is there until `plug`."""
        self.link = link
        self._master: int | None = None
        self._slave: int | None = None
        self._lock = threading.RLock()
        """One thread may send while another pulls it out."""

    @property
    def plugged(self) -> bool:
        """Whether it is there."""
        return self._master is not None

    def plug(self) -> None:
        """Make it appear; a name that points elsewhere is taken over in one step."""
        with self._lock:
            self.unplug()
            self._master, self._slave = pty.openpty()
            tty.setraw(self._slave)
            new = self.link.with_name(f"{self.link.name}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(os.ttyname(self._slave))
            new.replace(self.link)

    def unplug(self) -> None:
        """Pull it out: who reads gets an end of file, who opens finds nothing."""
        with self._lock:
            if self._master is None or self._slave is None:
                return
            self.link.unlink(missing_ok=True)
            os.close(self._slave)
            os.close(self._master)
            self._master = self._slave = None

    def send(self, data: bytes, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Send bytes; nothing when it is pulled out.

        Raises:
            TimeoutError: nobody reads, and the kernel's buffer has been full for so long.

        """
        left = data
        while left:
            with self._lock:
                if self._master is None:
                    return
                if not select.select([], [self._master], [], timeout_s)[1]:
                    raise TimeoutError(f"{self.link}: nobody reads")
                left = left[os.write(self._master, left[:512]) :]

    def receive(self, wait_s: float = 0.0) -> bytes:
        """Return what was sent to the device since the last call; wait so long for the first."""
        if self._master is None or not select.select([self._master], [], [], wait_s)[0]:
            return b""
        return os.read(self._master, 4096)
