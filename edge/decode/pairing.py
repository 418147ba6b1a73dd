"""Two scans of one thing, by a scanner and a reader side by side: do they name the same? Pure."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from edge.sources.base import Scanned
from protocols.records import Code

NO_NAMES = frozenset(
    {
        *("raw", "gs1_element_string", "gs1_digital_link", "user_bank", "sun", "sun_counter"),
        *("tag_uid", "tid", "epc", "lot", "gln", "gln_extension", "party_gln", "credit_code"),
    }
)
"""Schemes that do not name the thing: texts as they are, numbers of the carrier itself, places and
parties. In any other scheme two values are two things."""


def identities(codes: Iterable[Code]) -> dict[str, set[str]]:
    """Collect the values of each scheme that names the thing."""
    found: dict[str, set[str]] = {}
    for code in codes:
        if code.scheme not in NO_NAMES:
            found.setdefault(code.scheme, set()).add(code.value)
    return found


def disagree(one: Iterable[Code], other: Iterable[Code] = ()) -> bool:
    """Tell whether some scheme that names the thing has two values."""
    return any(len(values) > 1 for values in identities((*one, *other)).values())


Waiting = dict[str, Scanned]
"""By device: its last scan, until it has met its counterpart."""


class Pair(Struct, frozen=True):
    """A scanner and a reader at one place."""

    scanner: str
    reader: str
    within_ms: int
    """A scan at one of them belongs to the last scan at the other if it is no older than this."""


class Pairing:
    """Remembers what was scanned last at each place; times are ms since boot."""

    def __init__(self, pairs: Iterable[Pair], waiting: Waiting | None = None) -> None:
        """Learn the pairs; `waiting` may be shared with another that knows some of the devices."""
        self._others: dict[str, Mapping[str, int]] = {}
        for pair in pairs:
            self._others[pair.scanner] = {pair.reader: pair.within_ms}
            known = self._others.get(pair.reader, {})
            self._others[pair.reader] = {**known, pair.scanner: pair.within_ms}
        self._waiting: Waiting = {} if waiting is None else waiting

    def judge(self, scan: Scanned) -> Scanned:
        """Return the scan, with finding `codes_disagree` if its counterpart names another thing.

        A scan meets one counterpart at most: what comes after the two belongs to the next thing.
        """
        for other, within_ms in self._others.get(scan.reader, {}).items():
            earlier = self._waiting.get(other)
            if earlier is None or scan.at_boot_ms - earlier.at_boot_ms > within_ms:
                continue
            del self._waiting[other]
            self._waiting.pop(scan.reader, None)
            if disagree(earlier.codes, scan.codes) and "codes_disagree" not in scan.findings:
                return replace(scan, findings=(*scan.findings, "codes_disagree"))
            return scan
        if scan.reader in self._others:
            self._waiting[scan.reader] = scan
        return scan
