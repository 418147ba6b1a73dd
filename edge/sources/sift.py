"""What of the bytes that came may be a reply; and if none, what to call them.

pymodbus, on serial lines, searches noise for anything that looks like a frame of any function, and
raises inside the event loop on some of it. It is shown only bytes that begin like a reply to the
question asked.
"""

from typing import Literal, NamedTuple

Reason = Literal[
    "link_down",
    "silent",
    "wrong_unit",
    "wrong_function",
    "wrong_count",
    "wrong_transaction",
    "short",
    "long",
    "corrupt",
    "exception",
    "unit_unreachable",
    "unsafe",
]
REASONS: tuple[Reason, ...] = Reason.__args__  # type: ignore[attr-defined]
"""Why a read brought nothing; a closed list, fit for counters."""

_HEADER = 6
_LENGTH_MAX = 254
_RTU_FRAME_MIN = 5


class Question(NamedTuple):
    """What is being asked, as far as a reply repeats it."""

    unit: int
    function: int
    transaction: int = 0


def well_formed_tcp(data: bytes) -> bool:
    """Tell whether bytes are replies to reads, one after the other, as far as they go.

    A torn reply that an older one completes is told by what is left of that one.
    """
    start = 0
    while len(data) - start >= _HEADER:
        length = data[start + 4] << 8 | data[start + 5]
        if data[start + 2] or data[start + 3] or not 3 <= length <= _LENGTH_MAX:
            return False
        if len(data) - start >= _HEADER + 3:
            function, size = data[start + 7], data[start + 8]
            whole = length == 3 if function & 0x80 else length == size + 3
            if not whole or not 1 <= function & 0x7F <= 4:
                return False
        start += _HEADER + length
    return True


def sift_rtu(data: bytes, question: Question) -> bytes:
    """Leave out whole frames of others; return what begins like a reply, else nothing."""
    start = 0
    while len(data) - start >= _RTU_FRAME_MIN:
        function = data[start + 1]
        if data[start] == question.unit and function & 0x7F == question.function:
            return data[start:]
        if not 1 <= function & 0x7F <= 4:
            break
        start += _RTU_FRAME_MIN + (0 if function & 0x80 else data[start + 2])
    return b""


def name_tcp(data: bytes, question: Question) -> Reason:
    """Name what came instead of a reply."""
    if not data:
        return "silent"
    if len(data) < _HEADER + 2:
        return "short"
    length = data[4] << 8 | data[5]
    if data[2] or data[3] or not 3 <= length <= _LENGTH_MAX:
        return "corrupt"
    if data[0] << 8 | data[1] != question.transaction:
        return "wrong_transaction"
    if data[6] != question.unit:
        return "wrong_unit"
    if data[7] & 0x7F != question.function:
        return "wrong_function"
    return "short" if len(data) < _HEADER + length else "corrupt"


def name_rtu(data: bytes, question: Question) -> Reason:
    """Name what came instead of a reply."""
    if not data:
        return "silent"
    if data[0] != question.unit:
        return "wrong_unit"
    if len(data) < _RTU_FRAME_MIN:
        return "short"
    if data[1] & 0x7F != question.function:
        return "wrong_function"
    if not data[1] & 0x80 and len(data) < data[2] + _RTU_FRAME_MIN:
        return "short"
    return "corrupt"
