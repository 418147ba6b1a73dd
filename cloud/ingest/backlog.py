"""How fast gateways may send their backlog: what the service can take, shared by those behind.

Live data are never held back by it. A gateway that is alone with a backlog drains it at once; a
thousand that come back together after an outage share the same room and none of them storms.
"""

from cloud.ingest.account import Account, AccountKey

ALL_BYTES_S = 1_500_000
"""Payload bytes of history per second that one ingester takes beside what is live: some 50,000
values. At 6 MB/s beside 80,000 live values/s alarms waited seconds."""
ONE_BYTES_S_MAX = 1_000_000
ONE_BYTES_S_MIN = 1_000
SILENT_MS = 10_000
"""Who sent nothing for so long takes no share."""


class BacklogShares:
    """The accounts with history under way; pure, times are ms of one clock."""

    def __init__(self) -> None:
        self._behind: dict[AccountKey, int] = {}
        self._swept_ms = 0

    def settled(self, account: Account, now_ms: int) -> None:
        """Note after a commit whether an account has holes: its gateway sends the newest first."""
        if account.key.stream == "data" and not account.settled.whole:
            self._behind[account.key] = now_ms
        else:
            self._behind.pop(account.key, None)

    def came_back(self, account: Account, now_ms: int) -> None:
        """Reckon with a backlog of a gateway that was away."""
        if account.key.stream == "data":
            self._behind[account.key] = now_ms

    def bytes_s(self, now_ms: int) -> int:
        """Return what each gateway may send of its backlog."""
        if abs(now_ms - self._swept_ms) >= SILENT_MS / 10:
            self._swept_ms = now_ms
            self._behind = {
                key: at for key, at in self._behind.items() if abs(now_ms - at) < SILENT_MS
            }
        share = ALL_BYTES_S // max(1, len(self._behind))
        return min(ONE_BYTES_S_MAX, max(ONE_BYTES_S_MIN, share))
