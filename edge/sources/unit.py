"""One controller on a bus: what is read of it, and when it is left alone."""

from dataclasses import dataclass

from edge.sources.base import Decoder
from edge.sources.plan import Block, divide
from protocols.catalog.defaults import defaults

BACK_OFF_MAX_S = defaults().silent.back_off_max_s
SILENT_FAILURES = defaults().silent.failures
SILENT_AFTER_S = defaults().silent.after_s
"""A unit counts as silent after so many polls without an answer, or two and so long a time."""
_LOST_FAILURES = 3
"""So many failures of one block, while others answer, and its points are given up."""
_DIVIDE_FAILURES = 2
_REFUSED_REST_S = 600.0
_REFUSALS = frozenset({0x02, 0x03})
"""ILLEGAL DATA ADDRESS, ILLEGAL DATA VALUE: the question does not suit the device."""


def back_off_s(failures: int, least_s: float) -> float:
    """Return how long to wait after so many failures in a row: 2, 4, 8 ... 60 s."""
    return max(least_s, min(BACK_OFF_MAX_S, 2.0 ** min(failures, 6))) if failures > 1 else least_s


@dataclass(slots=True)
class Trouble:
    """A block that failed while others of its unit answered."""

    failures: int = 0
    rest_until: float = 0.0
    lost: bool = False
    refused: bool = False


@dataclass(slots=True, eq=False)
class Unit:
    """State of one polled device; times are loop times."""

    asset: str
    controller: str
    unit_id: int
    period_s: float
    blocks: list[Block]
    decoder: Decoder
    waiting: bool = False
    """A poll is waiting or under way."""
    failures: int = 0
    """Polls in a row without any answer."""
    rest_until: float = 0.0
    last_answer: float | None = None
    failing_since: float = 0.0
    silent: bool = False
    polls: int = 0
    troubles: dict[Block, Trouble] | None = None
    """None while all is well, so that the way of every day looks at nothing."""

    def answered(self, now: float) -> None:
        """Forget failures."""
        self.failures = 0
        self.silent = False
        self.last_answer = now

    def failed(self, now: float, rest_s: float) -> None:
        """Leave the unit alone, longer each time."""
        if self.failures == 0:
            self.failing_since = now
        self.failures += 1
        self.rest_until = now + back_off_s(self.failures, rest_s)

    def is_silent(self, now: float) -> bool:
        """Tell whether it counts as silent by now."""
        long = self.failures > 1 and now - self.failing_since >= SILENT_AFTER_S
        return self.failures >= SILENT_FAILURES or long

    def due_blocks(self, now: float) -> list[Block]:
        """Return the blocks to read now."""
        troubles = self.troubles
        if not troubles:
            return self.blocks
        return [b for b in self.blocks if b not in troubles or troubles[b].rest_until <= now]

    def block_read(self, block: Block) -> None:
        """Forget a block's trouble."""
        if self.troubles is not None:
            self.troubles.pop(block, None)
            self.troubles = self.troubles or None

    def block_failed(self, block: Block, now: float, exception_code: int) -> bool:
        """Count a failure of a block of a unit that answers.

        Returns:
            Whether its points must be given up now.

        """
        self.troubles = self.troubles or {}
        trouble = self.troubles.setdefault(block, Trouble())
        trouble.failures += 1
        trouble.rest_until = now + back_off_s(trouble.failures, 0.0)
        if exception_code in _REFUSALS and trouble.failures >= _DIVIDE_FAILURES:
            if parts := divide(block):
                at = self.blocks.index(block)
                self.blocks[at : at + 1] = parts
                self.block_read(block)
                return False
            trouble.refused = True
            trouble.rest_until = now + _REFUSED_REST_S
        elif not exception_code:  # silence costs the line a time-out: let the others go first
            self.blocks.remove(block)
            self.blocks.append(block)
        lose = not trouble.lost and (trouble.refused or trouble.failures >= _LOST_FAILURES)
        trouble.lost = trouble.lost or lose
        return lose
