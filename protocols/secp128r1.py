"""Verifies signatures over secp128r1, the curve by which NXP signs the UIDs of its chips.

Only what needs no secret: the parameters are constants of SEC 2 (version 1), and nothing here is
fit for signing. No library in use knows a curve so short.
"""

from typing import Final

Point = tuple[int, int] | None
"""None is the point at infinity."""

P: Final = 0xFFFFFFFD_FFFFFFFF_FFFFFFFF_FFFFFFFF
A: Final = P - 3
B: Final = 0xE87579C1_1079F43D_D824993C_2CEE5ED3
G: Final = (0x161FF752_8B899B2D_0C28607C_A52C5B86, 0xCF5AC839_5BAFEB13_C02DA292_DDED7A83)
N: Final = 0xFFFFFFFE_00000000_75A30D1B_9038A115
SIGNATURE_BYTES: Final = 32


def on_curve(point: Point) -> bool:
    """Tell whether a point that is not at infinity fulfils the curve's equation."""
    if point is None:
        return False
    x, y = point
    return 0 <= x < P and 0 <= y < P and (y * y - (x * x * x + A * x + B)) % P == 0


def public_key(encoded: bytes) -> Point:
    """Read an uncompressed point; None if it is none of the curve."""
    if len(encoded) != 33 or encoded[0] != 4:
        return None
    point = int.from_bytes(encoded[1:17], "big"), int.from_bytes(encoded[17:], "big")
    return point if on_curve(point) else None


def verify(key: Point, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` (r and s, 16 bytes each) is that of `message` itself, no hash of it.

    Args:
        key: the public key.
        message: at most 16 bytes.
        signature: 32 bytes.

    """
    if key is None or len(signature) != SIGNATURE_BYTES or not 0 < len(message) <= 16:
        return False
    r, s = int.from_bytes(signature[:16], "big"), int.from_bytes(signature[16:], "big")
    if not (0 < r < N and 0 < s < N):
        return False
    inverse = pow(s, -1, N)
    number = int.from_bytes(message, "big")
    found = combine(number * inverse % N, G, r * inverse % N, key)
    return found is not None and found[0] % N == r


def combine(one: int, point: Point, two: int, other: Point) -> Point:
    """Return `one` times `point` plus `two` times `other`, both in one pass over their bits."""
    first, second = _lift(point), _lift(other)
    steps = (_INFINITY, first, second, _add(first, second))
    total = _INFINITY
    for bit in range(max(one, two).bit_length() - 1, -1, -1):
        total = _add(_double(total), steps[(one >> bit & 1) + 2 * (two >> bit & 1)])
    x, y, z = total
    if z == 0:
        return None
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


_Jacobian = tuple[int, int, int]
"""x/z^2, y/z^3: no inverse is needed before the end, which makes it ten times as fast."""
_INFINITY: Final[_Jacobian] = (1, 1, 0)


def _lift(point: Point) -> _Jacobian:
    return _INFINITY if point is None else (*point, 1)


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    if z == 0 or y == 0:
        return _INFINITY
    squared_y, squared_z = y * y % P, z * z % P
    s = 4 * x * squared_y % P
    slope = 3 * (x - squared_z) * (x + squared_z) % P
    third = (slope * slope - 2 * s) % P
    return third, (slope * (s - third) - 8 * squared_y * squared_y) % P, 2 * y * z % P


def _add(one: _Jacobian, other: _Jacobian) -> _Jacobian:
    (x, y, z), (u, v, w) = one, other
    if z == 0:
        return other
    if w == 0:
        return one
    squared_z, squared_w = z * z % P, w * w % P
    left, right = x * squared_w % P, u * squared_z % P
    low, high = y * squared_w * w % P, v * squared_z * z % P
    width, rise = right - left, high - low
    if width % P == 0:
        return _double(one) if rise % P == 0 else _INFINITY
    squared = width * width % P
    cubed = squared * width % P
    third = (rise * rise - cubed - 2 * left * squared) % P
    return third, (rise * (left * squared - third) - low * cubed) % P, width * z * w % P
