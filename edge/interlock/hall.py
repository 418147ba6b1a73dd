"""All filling places of a gateway, what they share, and how they are made from a site file."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.interlock.clock_check import time_known
from edge.interlock.day import Moment, moment
from edge.interlock.judge import Facts, Known, Names
from edge.interlock.keeper import Keeper
from edge.interlock.ledger import Ledger
from edge.sources.base import Emitted, Gone, MovingWeight, Sample, Scanned
from protocols.cylinders.book import RuleBook, read_book
from protocols.errors import RefuseInput
from protocols.records import Verdict

if TYPE_CHECKING:  # a gateway without gates spares the Modbus library
    from edge.interlock.gate import Gate


class Issue(Protocol):
    """The manifest of a snapshot."""

    @property
    def number(self) -> int:
        """Rises with every issue."""
        ...


class Snapshot(Known, Protocol):
    """What the station's snapshot says, and the rules that came with it."""

    @property
    def manifest(self) -> Issue:
        """Of its newest issue."""
        ...

    @property
    def rules(self) -> bytes:
        """The rule book that the cloud judges by."""
        ...


class Hall:
    """What the gates of one gateway share; it lives as long as the daemon."""

    def __init__(
        self,
        folder: Path,
        *,
        names: Names,
        rules: Callable[[], RuleBook],
        snapshot: Callable[[], Snapshot | None],
    ) -> None:
        """Make a hall; `use` must be called before the first gate runs.

        Args:
            folder: the daemon's state folder.
            names: by scheme, the values of those codes that name a thing.
            rules: those on this gateway, where no snapshot brought others.
            snapshot: what is kept now; None: nothing.

        """
        self.names, self._rules, self._snapshot = names, rules, snapshot
        self.keeper = Keeper(folder)
        self._folder = folder
        self._ledger: Ledger | None = None
        self._facts: Facts | None = None
        self._own: RuleBook | None = None
        self.gates: dict[str, Gate] = {}
        self.utc_offset_min = 480

    @property
    def ready(self) -> bool:
        """Whether a gate has begun, so that there is something to judge by."""
        return self._own is not None

    def use(self, ledger: Ledger) -> None:
        """Learn where records go."""
        self._ledger = ledger

    def ledger(self) -> Ledger:
        """Return where records go."""
        if self._ledger is None:
            raise RuntimeError("Hall.use was not called")
        return self._ledger

    def time_known(self, spool_ms: int) -> int:
        """Return the least that the time can be, from what the spool knows; ms since 1970."""
        return time_known(self._folder, spool_ms)

    async def prepare(self) -> None:
        """Read the gateway's own rules, which takes a while, before a gate begins.

        Raises:
            FixConfiguration: they have faults; nothing is judged by them.

        """
        self._own = await asyncio.to_thread(self._rules)
        self._facts = None

    def facts(self) -> Facts:
        """Return what is known now; a new snapshot counts from the next question on."""
        found = self._snapshot()
        facts = self._facts
        if facts is None or facts.known is not found:
            facts = self._facts = self._read(found)
        return facts

    def now(self) -> Moment:
        """Return the moment by which to judge."""
        clock, now_ms = self.ledger().time()
        found = moment(clock, now_ms, self.keeper.known_ms, self.utc_offset_min)
        if found.clock == "trusted":
            self.keeper.knows(found.now_ms)
        return found

    def judge(self, told: Scanned) -> Verdict | None:
        """Let the place where it was scanned decide; None: it was scanned elsewhere."""
        for gate in self.gates.values():
            if not gate.ended and told.reader in gate.readers:
                return gate.scanned(told)
        return None

    def watch(self, told: Emitted) -> None:
        """Let all places learn what else sources tell."""
        for gate in self.gates.values():
            if gate.ended:
                continue
            if isinstance(told, Gone) and told.reader in gate.readers:
                gate.gone(told)
            elif isinstance(told, Sample) and told.asset == gate.settings.scale:
                gate.weighed(told)
            elif isinstance(told, MovingWeight) and told.asset == gate.settings.scale:
                gate.moves(told)

    def _read(self, found: Snapshot | None) -> Facts:
        if self._own is None:
            raise RuntimeError("Hall.prepare was not called")
        if found is None:
            return Facts(book=self._own, known=None)
        try:
            book = read_book(found.rules)
        except RefuseInput:  # of another release than this gateway's
            return Facts(book=self._own, known=None)
        return Facts(book=book, known=found, snapshot=str(found.manifest.number))
