"""How often one address may fail to log in."""

from collections import OrderedDict

WINDOW_MS = 5 * 60_000
FAILURES_MAX = 10
ADDRESSES_MAX = 10_000
"""Addresses remembered; the one that failed longest ago is forgotten first."""


class FailureLimiter:
    """Counts failures by address within a sliding window; times are ms of one steady clock."""

    def __init__(self, window_ms: int = WINDOW_MS, failures_max: int = FAILURES_MAX) -> None:
        self._window_ms, self._failures_max = window_ms, failures_max
        self._failures: OrderedDict[str, list[int]] = OrderedDict()

    def wait_ms(self, address: str, now_ms: int) -> int:
        """Return how long this address must wait before it may try again, 0 when it may now."""
        recent = self._recent(address, now_ms)
        return recent[0] + self._window_ms - now_ms if len(recent) >= self._failures_max else 0

    def failed(self, address: str, now_ms: int) -> None:
        """Count a failure."""
        self._failures[address] = [*self._recent(address, now_ms), now_ms][-self._failures_max :]
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        self._failures.pop(address, None)

    def _recent(self, address: str, now_ms: int) -> list[int]:
        return [at for at in self._failures.get(address, ()) if at > now_ms - self._window_ms]
