"""A weighing indicator that sends its weight again and again on a serial line."""

import time
from collections.abc import Callable, Mapping, Sequence

from edge.settings import Scale
from edge.sources.base import READ_WAIT_S, Driver, OpenDriver, Seen, WeightSeen
from edge.sources.serial_port import SerialPort
from protocols.errors import RefuseInput, RetryLater
from protocols.weighing.decode import cutter_of, decode_frame
from protocols.weighing.protocol import ScaleProtocol

SILENT_S = 3.0
"""An indicator that sends nothing good for so long has been switched off, or speaks another way."""
SILENT = WeightSeen(values={"controller_online": False})


def opener(scale: Scale, protocol: ScaleProtocol) -> OpenDriver:
    """Return a function that opens the line of this scale."""

    def open_scale() -> Driver:
        line = protocol.line
        port = SerialPort(
            scale.device,
            scale.baud_rate or line.baud_rate,
            data_bits=line.data_bits,
            parity=line.parity,
            stop_bits=line.stop_bits,
        )
        return SerialScale(port, protocol, time.monotonic)

    return open_scale


class SerialScale:
    """One indicator, its line open."""

    def __init__(
        self, port: SerialPort, protocol: ScaleProtocol, now_s: Callable[[], float]
    ) -> None:
        self._port, self._protocol, self._now_s = port, protocol, now_s
        self._cutter = cutter_of(protocol.frame)
        self._heard_s: float | None = now_s()
        """When a good frame came; None: its silence was told."""
        self._broken: RetryLater | None = None
        self._refused = dict.fromkeys(("bad_frame", "bad_checksum", "unknown_mark"), 0)

    def read(self) -> Sequence[Seen]:
        """Wait for weights; tell once that none come any more.

        Raises:
            RetryLater: the line is gone; its silence was told before.

        """
        if self._broken is not None:
            raise self._broken
        try:
            data = self._port.receive(READ_WAIT_S)
        except RetryLater as error:
            self._broken = error
            return [SILENT]
        seen = [one for raw in self._cutter.feed(data) if (one := self._weight(raw)) is not None]
        now_s = self._now_s()
        if seen:
            self._heard_s = now_s
        elif self._heard_s is not None and now_s - self._heard_s > SILENT_S:
            self._heard_s = None
            return [SILENT]
        return seen

    def close(self) -> None:
        """Let go of the line."""
        self._port.close()

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped on the way."""
        return {**self._refused, "noise_bytes": self._cutter.noise_bytes}

    def _weight(self, raw: bytes) -> WeightSeen | None:
        try:
            found = decode_frame(self._protocol.frame, self._protocol.marks, raw)
        except RefuseInput as refused:
            self._refused[refused.reason] += 1
            return None
        values = {**found.values, "controller_online": True}
        return WeightSeen(values=values, quality=found.quality)
