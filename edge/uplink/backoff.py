"""When to try again: at once, give or take, then ever more rarely, never all together."""

import random

FIRST_S = 2.0
MAX_S = 60.0


class Backoff:
    """The first try within 0 to 2 s, then doubling to 60 s, each with jitter."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._failures = rng, 0

    def next_s(self) -> float:
        """Return how long to wait before the next try, in seconds."""
        if self._failures == 0:
            wait_s = self._rng.uniform(0, FIRST_S)
        else:
            longest = min(MAX_S, FIRST_S * 2 ** min(self._failures, 16))
            wait_s = self._rng.uniform(longest / 2, longest)
        self._failures += 1
        return wait_s

    def reset(self) -> None:
        """Begin anew: a connection held."""
        self._failures = 0
