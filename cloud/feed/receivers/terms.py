"""When a receiver that failed is tried again, as firmware_config/receivers/terms.toml says."""

import random
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cloud.feed.receivers.base import LaneName
from protocols.border import load_toml
from protocols.catalog.files import data_root

Seconds = Annotated[float, Meta(gt=0, le=30 * 86_400)]
Pauses = Annotated[tuple[Seconds, ...], Meta(min_length=1, max_length=50)]
FILE = Path("receivers", "terms.toml")


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The schedule."""

    schema: Literal[1]
    pauses_s: Pauses
    urgent_pauses_s: Pauses
    jitter: Annotated[float, Meta(ge=0, le=0.9)]
    give_up_s: Seconds
    retry_after_max_s: Seconds

    def pause_ms(
        self, lane: LaneName, attempts: int, retry_after_s: float | None, rng: random.Random
    ) -> int:
        """Return how long to wait after so many failures in a row, at least 1."""
        if retry_after_s is not None:
            return round(min(retry_after_s, self.retry_after_max_s) * 1_000)
        pauses = self.of(lane)
        pause_s = pauses[min(attempts, len(pauses)) - 1]
        return round(pause_s * 1_000 * (1 + rng.uniform(-self.jitter, self.jitter)))

    def gives_up(self, lane: LaneName, attempts: int, failing_ms: int) -> bool:
        """Tell whether a receiver is stopped: a service that was off itself is no failure of it."""
        return failing_ms >= self.give_up_s * 1_000 and attempts >= len(self.of(lane))

    def of(self, lane: LaneName) -> Pauses:
        """Return a lane's pauses."""
        return self.urgent_pauses_s if lane == "urgent" else self.pauses_s


def load_terms(overlay: Path | None = None) -> Terms:
    """Read the site's terms, else those that are shipped; FixConfiguration with all faults."""
    own = overlay / FILE if overlay else None
    return load_toml(own if own and own.is_file() else data_root() / FILE, Terms)
