"""What must hold in a plain code beside its pattern, by the names that scheme files use."""

import calendar
import re
from collections.abc import Callable, Mapping
from typing import Literal

from biip.checksums import gs1_standard_check_digit

CheckName = Literal["gs1_mod_10", "gs1_key", "mod_11_10", "credit_code", "date", "month_day"]
DATES: tuple[CheckName, ...] = ("date", "month_day")
GROUP_OF: Mapping[CheckName, str] = {
    "gs1_key": "key",
    "mod_11_10": "digits",
    "date": "date",
    "month_day": "month_day",
}
"""The group of the pattern that a check looks at; the others look at the whole code."""
_LEAP_YEAR = 2000
_YEAR_MIN = 1900
_CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORGANISATION = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _gs1_mod_10(match: re.Match[str]) -> bool:
    """Check the last digit of all (GS1 General Specifications, section 7.9)."""
    return _is_checked(match[0])


def _gs1_key(match: re.Match[str]) -> bool:
    """Check the last digit of group `key`, which are not zeros only."""
    return _is_checked(match["key"]) and int(match["key"]) > 0


def _is_checked(digits: str) -> bool:
    return str(gs1_standard_check_digit(digits[:-1])) == digits[-1]


def _mod_11_10(match: re.Match[str]) -> bool:
    """Check the last digit of group `digits` (ISO/IEC 7064 MOD 11,10; GB/T 17710)."""
    product = 10
    for digit in match["digits"][:-1]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (product + int(match["digits"][-1])) % 10 == 1


def _credit_code(match: re.Match[str]) -> bool:
    """Check both check characters of a unified social credit code (GB 32100, GB 11714)."""
    code = match[0]
    total = sum(_CREDIT.index(one) * pow(3, at, 31) for at, one in enumerate(code[:17]))
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    organisation = code[8:16]
    own = sum(_ORGANISATION.index(one) * w for one, w in zip(organisation, weights, strict=True))
    expected = "0123456789X"[-own % 11]
    return code[16] == expected and code[17] == _CREDIT[-total % 31]


def _date(match: re.Match[str]) -> bool:
    """Check that group `date` is a day, YYYYMMDD."""
    text = match["date"]
    return int(text[:4]) >= _YEAR_MIN and _is_day(int(text[:4]), text[4:])


def _month_day(match: re.Match[str]) -> bool:
    """Check that group `month_day` is a day of some year, MMDD."""
    return _is_day(_LEAP_YEAR, match["month_day"])


def _is_day(year: int, text: str) -> bool:
    month, day = int(text[:2]), int(text[2:])
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


CHECKS: Mapping[CheckName, Callable[[re.Match[str]], bool]] = {
    "gs1_mod_10": _gs1_mod_10,
    "gs1_key": _gs1_key,
    "mod_11_10": _mod_11_10,
    "credit_code": _credit_code,
    "date": _date,
    "month_day": _month_day,
}
