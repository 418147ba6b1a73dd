"""Report by exception: what is worth telling again."""

from protocols.readings import Quality, Value

Found = tuple[Value, Quality]
_NUMBERS = frozenset({int, float})


def worth_telling(told: Found | None, found: Found, deadband: float) -> bool:
    """Tell whether `found` differs from what was told last.

    Numbers differ when they are apart by `deadband` (in the point's unit) or more.
    """
    if told is None or not deadband or told[1] != found[1]:
        return told != found
    before, after = told[0], found[0]
    if type(before) in _NUMBERS and type(after) in _NUMBERS:
        return bool(abs(after - before) >= deadband)  # type: ignore[operator]
    return told != found
