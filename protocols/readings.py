"""Values, qualities and times of what a device says of itself."""

from typing import Literal

Scalar = bool | int | float | str
Value = Scalar | list[str] | None
"""One value of one point; None: not known at that time."""

Quality = Literal["good", "no_value", "unknown_value", "stale", "time_unknown"]
ClockState = Literal["synced", "free"]
