"""A serial device that is read only: opened for us alone, its faults in one error.

Modem lines (RTS, CTS, DTR) are left as the device has them; a pseudo-terminal has none.
"""

import contextlib
import select
import termios
from typing import Literal

import serial

from protocols.errors import RetryLater

GONE = (OSError, ValueError, termios.error)
"""What pyserial raises when a device is pulled out: `termios.error` is no OSError, and a port
closed under way has no descriptor (ValueError)."""
CHUNK_BYTES = 4096
Parity = Literal["none", "even", "odd"]
_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class SerialPort:
    """One device, open."""

    def __init__(
        self,
        device: str,
        baud_rate: int,
        *,
        data_bits: Literal[7, 8] = 8,
        parity: Parity = "none",
        stop_bits: Literal[1, 2] = 1,
    ) -> None:
        """Open it.

        Raises:
            RetryLater: it is not there, or in use.

        """
        self._device = device
        try:
            self._port = serial.Serial(
                device,
                baud_rate,
                bytesize=data_bits,
                parity=_PARITIES[parity],
                stopbits=stop_bits,
                timeout=0,
                exclusive=True,
            )
        except GONE as error:
            raise RetryLater(f"{device}: {error}") from None

    def receive(self, wait_s: float) -> bytes:
        """Wait at most so long for bytes; empty when none came.

        Raises:
            RetryLater: the device is gone.

        """
        try:
            if not select.select([self._port.fileno()], [], [], wait_s)[0]:
                return b""
            return bytes(self._port.read(CHUNK_BYTES))
        except GONE as error:
            raise RetryLater(f"{self._device}: {error}") from None

    def close(self) -> None:
        """Let go of it, whatever state it is in."""
        with contextlib.suppress(*GONE):
            self._port.close()
