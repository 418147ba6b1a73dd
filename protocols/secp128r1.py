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
    found = add(multiply(number * inverse % N, G), multiply(r * inverse % N, key))
    return found is not None and found[0] % N == r


def add(one: Point, other: Point) -> Point:
    """Add two points."""
    if one is None or other is None:
        return one or other
    (x, y), (u, v) = one, other
    if x == u:
        if (y + v) % P == 0:
            return None
        slope = (3 * x * x + A) * pow(2 * y, -1, P) % P
    else:
        slope = (v - y) * pow(u - x, -1, P) % P
    third = (slope * slope - x - u) % P
    return third, (slope * (x - third) - y) % P


def multiply(factor: int, point: Point) -> Point:
    """Add a point to itself `factor` times."""
    total: Point = None
    while factor:
        if factor & 1:
            total = add(total, point)
        point = add(point, point)
        factor >>= 1
    return total
