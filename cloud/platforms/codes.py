"""Which codes of a lift stand, out of lists that are whole and messages that tell of one: pure.

A status item tells all that stands at its moment; a message tells that a code began, or ended. They
come doubled and in any order. What counts of each code is the newest word on it, by the time of the
lift. An emergency is never swallowed: when it is heard after a newer word that it ended, the log
gets both, one after the other, as if they had come in order.
"""

from collections.abc import Collection, Sequence

import msgspec

FRESH_MS = 10 * 60_000
"""An emergency that was overtaken is put after what overtook it if it is not older than this; an
older one is late history, which the rules judge."""
CODES_MAX = 128
"""Codes remembered of a lift; those that ended longest ago go first."""
BACK = "40"
"""Back to automatic operation: ends the modes below."""
MODES = ("42", "43", "44", "45", "46", "47")


class Standing(msgspec.Struct, frozen=True):
    """What is known of the codes of one lift."""

    codes: dict[str, tuple[bool, int]] = {}
    """Code -> (stands, since when that is the newest word)."""
    whole_at: int = 0
    """Of the newest list that was whole: what it did not name had ended by then."""
    told_at: int = 0
    """The newest moment for which a list went to the log."""


class Told(msgspec.Struct, frozen=True):
    """A list for the log, and the moment it is for."""

    at: int
    codes: tuple[str, ...]


def whole(known: Standing, at: int, codes: Sequence[str]) -> tuple[Standing, Told]:
    """Take in a list that is whole at its moment."""
    if at < known.whole_at:
        return known, Told(at, tuple(codes))  # history: newer lists are known
    later = {code: word for code, word in known.codes.items() if word[1] > at}
    words = dict.fromkeys(codes, (True, at)) | later
    told = tuple(codes) if at >= known.told_at else _list(words)
    if at < known.told_at:  # messages are newer: theirs is the newest list
        return Standing(words, at, known.told_at + 1), Told(known.told_at + 1, told)
    return Standing(words, at, at), Told(at, told)


def message(
    known: Standing,
    at: int,
    codes: Sequence[str],
    *,
    begins: bool,
    emergencies: Collection[str],
    received_at: int,
) -> tuple[Standing, tuple[Told, ...]]:
    """Take in a message; without codes it says that nothing stands any more."""
    words = dict(known.codes)
    changed, overtaken = False, []
    for code, begun in _changes(known, codes, begins=begins):
        stands, since = words.get(code, (False, known.whole_at))
        if at >= since:
            words[code] = (begun, at)
            changed = True
        elif begun and not stands and code in emergencies and received_at - at <= FRESH_MS:
            overtaken.append(code)
    now = _list(words)
    if overtaken:
        first, then = known.told_at + 1, known.told_at + 2
        told = Told(first, tuple(dict.fromkeys((*now, *overtaken)))), Told(then, now)
        return Standing(_bounded(words), known.whole_at, then), told
    if not changed:
        return known, (Told(at, tuple(codes) if begins else ()),)  # history, for itself
    told_at = at if at >= known.told_at else known.told_at + 1
    return Standing(_bounded(words), known.whole_at, told_at), (Told(told_at, now),)


def _changes(known: Standing, codes: Sequence[str], *, begins: bool) -> Sequence[tuple[str, bool]]:
    if not codes:
        return [(code, False) for code, word in known.codes.items() if word[0]]
    ended = [(code, False) for code in MODES if begins and BACK in codes and code in known.codes]
    return [*ended, *((code, begins) for code in codes)]


def _list(words: dict[str, tuple[bool, int]]) -> tuple[str, ...]:
    return tuple(code for code, (stands, _) in words.items() if stands)


def _bounded(words: dict[str, tuple[bool, int]]) -> dict[str, tuple[bool, int]]:
    if len(words) <= CODES_MAX:
        return words
    ended = sorted((at, code) for code, (stands, at) in words.items() if not stands)
    for _, code in ended[: len(words) - CODES_MAX]:
        del words[code]
    return words
