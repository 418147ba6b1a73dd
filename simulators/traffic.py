"""Where people come from and want to go, by time of day."""

import random
from typing import Literal

from simulators.lift import Lift

Pattern = Literal["none", "mixed", "up_peak", "down_peak"]


class Traffic:
    """People arriving at one lift, as chance would have it.

    Args:
        rng: the lift's own source of chance.
        pattern: `up_peak` from the lowest floor, `down_peak` to it, `mixed` any to any.
        trips_per_hour: people arriving in an hour, 0 or more.

    """

    def __init__(
        self, rng: random.Random, pattern: Pattern = "mixed", trips_per_hour: float = 30.0
    ) -> None:
        self._rng = rng
        self._pattern: Pattern = pattern
        self._rate_per_s, self._left_s = 0.0, 0.0
        self.change(pattern, trips_per_hour)

    def change(self, pattern: Pattern, trips_per_hour: float) -> None:
        """Let people come in another way from now on.

        Raises:
            ValueError: a negative or endless number of trips.

        """
        if not 0 <= trips_per_hour <= 100_000:
            raise ValueError(f"trips_per_hour is 0 to 100000, found {trips_per_hour}")
        self._pattern = pattern
        self._rate_per_s = 0.0 if pattern == "none" else trips_per_hour / 3600
        self._left_s = self._pause_s()

    def step(self, dt_s: float, lift: Lift) -> None:
        """Let time pass; at most 20 people come at once, the rest is forgotten."""
        self._left_s -= dt_s
        for _ in range(20):
            if self._left_s > 0:
                return
            lift.call(*self._trip(lift.shaft.floors))
            self._left_s += self._pause_s()
        self._left_s = self._pause_s()

    def _pause_s(self) -> float:
        return self._rng.expovariate(self._rate_per_s) if self._rate_per_s else float("inf")

    def _trip(self, floors: int) -> tuple[int, int]:
        upper = self._rng.randrange(1, floors)
        if self._pattern == "up_peak":
            return 0, upper
        if self._pattern == "down_peak":
            return upper, 0
        first, second = self._rng.sample(range(floors), 2)
        return first, second
