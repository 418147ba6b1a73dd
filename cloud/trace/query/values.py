"""Values of parameters: from JSON with their types, from a URL as text."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from cloud.trace.canon import canonical_word
from cloud.trace.facets import as_instant, as_number
from cloud.trace.query.base import VALUES_MAX, BadParameter, TooComplex
from protocols.epcis.standard import Standard

T = TypeVar("T")
WORDS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}


class Given(Struct, frozen=True):
    """One parameter as it came."""

    name: str
    value: Any
    """From JSON as it is; from a URL a text, whose `|` divide a list."""
    in_url: bool
    namespaces: Mapping[str, str]
    standard: Standard

    def bad(self, expected: str) -> BadParameter:
        """Return the fault of a value that is not what is expected."""
        return BadParameter(f"{self.name}: expected {expected}, found {str(self.value)[:200]!r}")

    def words(self, list_id: str) -> list[str]:
        """Return a list of values of one of the standard's lists, or of others' addresses."""
        return [self.word(list_id, one) for one in self.texts()]

    def word(self, list_id: str, text: str) -> str:
        """Return one such value, canonical."""
        word = canonical_word(self.standard, list_id, text, self.namespaces)
        if ":" not in word:
            raise BadParameter(
                f"{self.name}: expected a standard value of {list_id}, or the address of "
                f"another, found {text[:200]!r}"
            )
        return word

    def texts(self) -> list[str]:
        """Return a list of texts."""
        return self._list("a list of texts", _text)

    def numbers(self) -> list[float]:
        """Return a list of numbers; one alone is a list too."""
        return self._list("a list of numbers", self._number)

    def text(self) -> str:
        """Return one text."""
        return self._one("a text", _text)

    def number(self) -> float:
        """Return one number."""
        return self._one("a number", self._number)

    def count(self) -> int:
        """Return a whole number above 0."""
        number = self._one("a whole number above 0", self._number)
        if number != int(number) or number < 1:
            raise self.bad("a whole number above 0")
        return int(number)

    def instant(self) -> int:
        """Return a date and time with zone, us since 1970 UTC."""
        return self._one("a date and time with zone", _instant)

    def truth(self) -> bool:
        """Return true or false."""
        return self._one("true or false", self._truth)

    def exists(self) -> bool:
        """Tell whether what has no value is asked for: it is given, and not as false or 0."""
        if self.value is None or self.value == "":
            return True
        return self._one("true, false or nothing", self._truth)

    def number_or_instant(self) -> tuple[float | None, int | None]:
        """Return a number, or a date and time with zone."""
        if isinstance(self.value, str):
            us = as_instant(self.value)
            if us is not None:
                return None, us
        return self._one("a number, or a date and time with zone", self._number), None

    def anything(self) -> tuple[list[str], list[float], list[int]]:
        """Return texts, numbers, and those texts that are instants as such too."""
        values = self.value if isinstance(self.value, list) else [self.value]
        if self.in_url or any(isinstance(value, str) for value in values):
            texts = self.texts()
            instants = [us for us in map(as_instant, texts) if us is not None]
            return texts, [], instants
        return [], self.numbers(), []

    def _list(self, expected: str, read: Callable[[Any], T | None]) -> list[T]:
        value = self.value
        if self.in_url and isinstance(value, str):
            value = value.split("|")
        values: Sequence[Any] = value if isinstance(value, list) else [value]
        if len(values) > VALUES_MAX:
            raise TooComplex(f"{self.name}: at most {VALUES_MAX} values, found {len(values)}")
        found = [one for one in map(read, values) if one is not None]
        if not values or len(found) != len(values):
            raise self.bad(expected)
        return found

    def _one(self, expected: str, read: Callable[[Any], T | None]) -> T:
        found = read(self.value)
        if found is None:
            raise self.bad(expected)
        return found

    def _number(self, value: Any) -> float | None:
        if self.in_url:
            return as_number(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def _truth(self, value: Any) -> bool | None:
        if self.in_url:
            return WORDS.get(value)
        if isinstance(value, bool):
            return value
        return WORDS.get(str(value)) if isinstance(value, int) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value != "" else None


def _instant(value: Any) -> int | None:
    return as_instant(value) if isinstance(value, str) else None
