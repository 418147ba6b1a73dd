"""How long a serial line needs, from its baud rate."""

from protocols.catalog.defaults import defaults

_SILENCE_CHARACTERS = 3.5
_SILENCE_MIN_S = 0.00175
"""Above 19,200 baud the standard fixes the silence between frames."""
_DEVICE_S = 0.1
"""What a controller may take to begin its answer, above the time on the wire."""
_TIMEOUT_MIN_S = defaults().modbus.timeout_serial_s
_REQUEST_BYTES = 8
_REPLY_BYTES = 5


def line_silence_s(baud_rate: int, bits_per_character: int) -> float:
    """Return the silence that ends a frame: 3.5 characters."""
    return max(_SILENCE_CHARACTERS * bits_per_character / baud_rate, _SILENCE_MIN_S)


def line_timeout_s(
    wanted_s: float | None, baud_rate: int, bits_per_character: int, registers: int
) -> float:
    """Return the time-out of a line: the file's, or what the longest exchange needs, if longer."""
    characters = _REQUEST_BYTES + _REPLY_BYTES + 2 * registers
    needed_s = 1.5 * characters * bits_per_character / baud_rate + _DEVICE_S
    return max(_TIMEOUT_MIN_S if wanted_s is None else wanted_s, needed_s)
