"""Report by exception: what is worth telling again."""

from protocols.readings import Quality, Value

Found = tuple[Value, Quality]


def worth_telling(told: Found | None, found: Found, deadband: float) -> bool:
    """Tell whether `found` differs from what was told last.

    Numbers differ when they are apart by `deadband` (in the point's unit) or more.
    """
    if told is None or not deadband:
        return told != found
    before, after = _number(told[0]), _number(found[0])
    if told[1] != found[1] or before is None or after is None:
        return told != found
    return abs(after - before) >= deadband


def _number(value: Value) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
