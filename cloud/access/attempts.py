"""How often one may try to come in: by address, and by account.

Each attempt is counted before its end is known, in the database, so that many at once, at several
processes, are counted too. The fifth in a row locks the account: for 30 s, then twice as long each
time, 15 minutes at most. A lock is for strangers: a browser by which the account came in before has
a count of its own, so nobody can keep a person out by guessing.

The audit tells of locks, with how many failed in a row, and cannot be filled by guessing: of an
account at its first lock and whenever the failures in a row have doubled, of all accounts together
ENTRIES_MAX times an hour. How many were left out stands in the next entry.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cloud.access.accounts import AccountBook
from cloud.access.limiter import FailureLimiter
from cloud.model.account import Account
from cloud.model.database import Work
from protocols.clock import Clock
from protocols.errors import RefuseInput

FREE_FAILURES = 4
LOCK_FIRST_MS, LOCK_MS_MAX = 30_000, 15 * 60_000
ENTRIES_MAX, ENTRIES_WINDOW_MS = 500, 3_600_000
"""Of this process."""
KNOWN_WINDOW_MS, KNOWN_FAILURES_MAX = 15 * 60_000, 10
"""Of a browser that the account came in by before; beyond it, it is a stranger like others."""


Locking = Callable[[int, int], Work]
"""Notes a lock: failures of the account in a row, locks that were not noted since the last one."""


class Attempts:
    """Not thread-safe: it lives on the event loop."""

    def __init__(self, accounts: AccountBook, clock: Clock) -> None:
        self._accounts, self._clock = accounts, clock
        self._addresses = FailureLimiter()
        self._known = FailureLimiter(KNOWN_WINDOW_MS, KNOWN_FAILURES_MAX)
        self._entries = FailureLimiter(ENTRIES_WINDOW_MS, ENTRIES_MAX)
        self._left_out = 0

    def check(self, address: str) -> None:
        """Refuse an address that failed too often: `too_many_attempts` with the seconds to wait."""
        wait_ms = self._addresses.wait_ms(address, self._clock.boot_ms())
        if wait_ms > 0:
            raise RefuseInput("too_many_attempts", str(-(-wait_ms // 1000)))

    def failed(self, address: str) -> None:
        """Count a failure of an address. Success forgives none: guessers have accounts, too."""
        self._addresses.failed(address, self._clock.boot_ms())

    async def count(self, one: Account | None, *, known: bool, locking: Locking) -> bool:
        """Count an attempt on an account; tells whether it may succeed.

        `known`: from a browser by which it came in before; `locking` notes that it is locked.
        """
        if one is None or one.state != "active":
            return False
        key, steady_ms = str(one.id), self._clock.boot_ms()
        if known and self._known.wait_ms(key, steady_ms) == 0:
            self._known.failed(key, steady_ms)
            return True
        now_ms = self._clock.wall_ms()
        locks: list[Work] = []

        def decision(account: Account) -> Mapping[str, Any]:
            if is_locked(account.locked_until, now_ms):
                return {}
            until = now_ms + lock_ms(account.failures + 1)
            if until > now_ms and is_noted(account.failures + 1):
                locks.extend(self._noting(account.failures + 1, locking))
            return {
                "failures": account.failures + 1,
                "locked_until": until if until > now_ms else None,
            }

        before, _ = await self._accounts.decide(
            one.id, decision, lambda connection: [lock(connection) for lock in locks]
        )
        return not is_locked(before.locked_until, now_ms)

    def _noting(self, failures: int, locking: Locking) -> list[Work]:
        """Return what notes a lock, or nothing in an hour of very many; runs between writes."""
        steady_ms = self._clock.boot_ms()
        if self._entries.wait_ms("", steady_ms) > 0:
            self._left_out += 1
            return []
        self._entries.failed("", steady_ms)
        left_out, self._left_out = self._left_out, 0
        return [locking(failures, left_out)]

    async def take_back(self, one: Account, *, known: bool) -> None:
        """Uncount an attempt whose password was right, while the second factor is still to come."""
        if known:
            return

        def decision(account: Account) -> Mapping[str, Any]:
            return {"failures": max(0, account.failures - 1), "locked_until": None}

        await self._accounts.decide(one.id, decision)

    def forgive(self, one: Account) -> None:
        """Forget what the browsers of an account failed, once it came in."""
        self._known.succeeded(str(one.id))


def lock_ms(failures: int) -> int:
    """Return how long so many failures in a row lock an account, 0: not at all."""
    over = failures - FREE_FAILURES
    return 0 if over <= 0 else min(LOCK_FIRST_MS << min(over - 1, 20), LOCK_MS_MAX)


def is_noted(failures: int) -> bool:
    """Tell whether the audit tells of a lock after 5, 10, 20, 40 and so on failures in a row."""
    times, rest = divmod(failures, FREE_FAILURES + 1)
    return rest == 0 and times & (times - 1) == 0


def is_locked(until: int | None, now_ms: int) -> bool:
    """Tell whether it is; a lock that ends later than any lock can is one of a stepped clock."""
    return until is not None and now_ms < until <= now_ms + LOCK_MS_MAX
