"""A filling place as a source: state machine, journal, output and record, driven by what happens.

The gun is closed before anything else at the start, and again at the end. Between its record and
its output stands the disk: `Commit` is answered only when journal and spool have both written.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

from edge.interlock.base import (
    Act,
    Arrived,
    Commit,
    Committed,
    Entry,
    Event,
    Left,
    Output,
    Present,
    ReaderLost,
    Stopping,
    Tick,
    Weighed,
)
from edge.interlock.decide import clock_checked, interrupted, step
from edge.interlock.ending import to_the_end
from edge.interlock.journal import NUMBERS
from edge.interlock.keeper import Keeper
from edge.interlock.ledger import Ledger
from edge.interlock.output import GunLink, OutputFailed, drive_closed
from edge.interlock.record import fill_record, scan_verdict, stream_of
from edge.interlock.state import Place, State, wanted
from edge.settings import Gate as GateSettings
from edge.sources.base import Emit, Gone, MovingWeight, Sample, Scanned
from protocols.clock import Clock
from protocols.errors import RetryLater, StopService
from protocols.readings import Value
from protocols.records import Record, Verdict

log = logging.getLogger(__name__)

TICK_S, TICK_IDLE_S = 0.25, 1.0
RECONNECT_FIRST_S, RECONNECT_MAX_S = 0.2, 2.0
STUCK_S = 2.0
"""A valve may take so long to close."""
CLOSE_WITHIN_S = 1.0
REMEMBER_EVERY_S = 3_600.0
EARLY_MAX = 64
_LABEL = b"label"
_WEIGHTS = ("gross_kg", "displayed_kg")


class Gate:
    """One filling place, running."""

    def __init__(
        self,
        settings: GateSettings,
        place: Place,
        *,
        link: GunLink,
        keeper: Keeper,
        ledger: Callable[[], Ledger],
        prepare: Callable[[], Awaitable[None]],
        readers: frozenset[str],
        clock: Clock,
    ) -> None:
        """Make a place; `run` starts it, and until then it decides nothing.

        Args:
            settings: of the site file.
            place: what the state machine needs.
            link: to the gun.
            keeper: the journal.
            ledger: the daemon; asked when something is to be recorded.
            prepare: gets ready what is needed to judge.
            readers: ids of all readers and scanners of this place.
            clock: time since boot.

        """
        self.settings, self._place, self._link = settings, place, link
        self._keeper, self._ledger, self._clock = keeper, ledger, clock
        self._prepare = prepare
        self.readers = readers
        self.state = State()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        """What lets the journal forget the opening before."""
        self._watchers: set[Callable[[], None]] = set()
        self._weight: dict[str, Value] = {}
        self._early: deque[Event] = deque(maxlen=EARLY_MAX)
        """What happened before it began: sources tell what is there once."""
        self._numbers_max = 0
        self.running = self.ended = False
        self._filled = ""
        """Asset id of the cylinder that is filled, until the journal knows of it."""
        self._why_output = "not opened yet"
        self.counters = {"verdicts": 0, "fills": 0, "fills_refused": 0, "fill_alarms": 0}

    @property
    def name(self) -> str:
        """The id that the site file gives it."""
        return self.settings.id

    def status(self) -> dict[str, Any]:
        """Return health and counters as plain JSON data."""
        return {
            "kind": "gate",
            "link": "up" if self.state.output.reachable else "down",
            "why": self._why_output,
            "phase": self.state.phase,
            "blocked": self.state.blocked,
            "devices": [],
            "counters": {**self.counters, **self._link.counters},
        }

    async def run(self, emit: Emit) -> None:
        """Work until cancelled; whatever ends it, the gun is closed first.

        Raises:
            RetryLater: the journal cannot be opened; nothing is filled without one.
            FixConfiguration: nor without rules.

        """
        del emit
        self.ended = False
        try:
            await drive_closed(self._link, CLOSE_WITHIN_S)
            await self._prepare()
            await self._begin()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._drive())
                group.create_task(self._tick())
        finally:
            self._stop()
            await to_the_end(self._end())

    async def _end(self) -> None:
        await drive_closed(self._link, CLOSE_WITHIN_S)
        await self._keeper.remember()
        self._link.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_WITHIN_S)

    def watch(self, changed: Callable[[], None]) -> None:
        """Have a function called at each change; once, however often it is given."""
        self._watchers.add(changed)

    # --- what happens ----------------------------------------------------------------------------

    def scanned(self, told: Scanned) -> Verdict | None:
        """Take a tag or label; return what is decided about what is here now."""
        stays = bool(told.key) and self.settings.presence == "tag"
        one = Present(
            reader=told.reader,
            key=told.key if stays else _LABEL,
            codes=told.codes,
            findings=told.findings,
            stays=stays,
            tare_kg=told.tare_kg,
        )
        self.say(Arrived(one))
        judged = self.state.judged
        return None if judged is None else scan_verdict(judged.verdict)

    def gone(self, told: Gone) -> None:
        """Learn that a tag left, or that its reader did."""
        if self.settings.presence == "tag":
            left = told.key is not None
            self.say(Left(told.reader, told.key or b"") if left else ReaderLost(told.reader))

    def weighed(self, told: Sample) -> None:
        """Learn what the scale says; it tells only what changed."""
        for name, value in told.values.items():
            self._weight[name] = value if told.quality.get(name, "good") == "good" else None
        kg = self._kg()
        if "controller_online" not in told.values and kg is not None:
            self._weight["controller_online"] = True
        self._say_weight()

    def moves(self, told: MovingWeight) -> None:
        """Learn what the scale shows while its weight moves."""
        self._weight |= {"in_motion": True, "moving_kg": told.kg, "controller_online": True}
        self._say_weight()

    def _say_weight(self) -> None:
        kg = self._kg()
        moves = self._weight.get("in_motion")
        self.say(
            Weighed(
                kg=float(kg) if isinstance(kg, int | float) else None,
                in_motion=moves if isinstance(moves, bool) else None,
                online=self._weight.get("controller_online") is True,
            )
        )

    def _kg(self) -> Value:
        """Return the weight that is shown; while it moves it can be watched, no more."""
        if self._weight.get("over_capacity") is True:
            return None
        if self._weight.get("in_motion") is True:
            return self._weight.get("moving_kg")
        return next((self._weight[one] for one in _WEIGHTS if one in self._weight), None)

    def say(self, event: Event) -> None:
        """Let the state machine take an event, and do what follows."""
        if not self.running:
            self._early.append(event)
            return
        before = self.state
        self.state, acts = step(self._place, before, event, self._clock.boot_ms())
        self._follow(before, acts)

    # --- inside ----------------------------------------------------------------------------------

    async def _begin(self) -> None:
        _, now_ms = self._ledger().time()
        number, opening, damaged = await self._keeper.begin(self.name, max(1, now_ms // 1000))
        self._numbers_max = number + NUMBERS
        self.running = True
        before = self.state = State(number=number)
        if opening is not None or damaged:
            now_ms = self._clock.boot_ms()
            self.state, acts = interrupted(self._place, opening, number, now_ms)
            self._follow(before, acts)
        for check in self._keeper.take_clock_checks():
            self.state, entry = clock_checked(
                self.state, check.name, check.why, self._clock.boot_ms()
            )
            self._start(self._tell(check.id, entry))
        while self._early:
            self.say(self._early.popleft())

    def _stop(self) -> None:
        if self.running:
            self.say(Stopping())
        self.running, self.ended = False, True
        self.state = State(number=self.state.number)

    def _follow(self, before: State, acts: list[Act]) -> None:
        for act in acts:
            self._count(act.entry)
            if isinstance(act, Commit):
                self._start(self._commit(act.entry))
            else:
                self._record(act.entry)
        self._keep(before, acts)
        if wanted(before) != wanted(self.state):
            self._changed.set()
        if before != self.state:
            for changed in tuple(self._watchers):
                changed()

    def _keep(self, before: State, acts: list[Act]) -> None:
        """Let the journal know what must not be forgotten, and what may be."""
        state = self.state
        for entry in (act.entry for act in acts):
            got = entry.net_kg is None or entry.net_kg > self._place.rise_kg
            if entry.step == "weighed" and got and entry.judged is not None:
                self._filled = entry.judged.code
                if self._filled and entry.judged.on is not None:
                    self._keeper.filled(self._filled, entry.judged.on)
        blocked = state.phase == "blocked" and before.phase != "blocked"
        if blocked and state.opening is None and acts:
            self._start(self._remember_block(acts[-1].entry))
        held = before.opening is not None or before.phase == "blocked"
        if held and state.opening is None and state.phase != "blocked":
            on = self._keeper.filled_on(self._filled) if self._filled else None
            self._closing = self._start(self._close(self._filled, on))
            self._filled = ""
        if state.number + NUMBERS // 2 > self._numbers_max:
            self._numbers_max = state.number + NUMBERS
            self._start(self._keeper.reserve(self.name, state.number))

    async def _close(self, filled: str, on: date | None) -> None:
        """Forget an opening when all that is told of it is on the disk; else it is told again."""
        with contextlib.suppress(RetryLater, StopService):
            if await self._ledger().flush():
                await self._keeper.close(self.name, filled, on)

    async def _closed(self) -> None:
        """Wait for the opening before: the journal has room for one."""
        if self._closing is not None:
            await asyncio.wait([self._closing])

    async def _commit(self, entry: Entry) -> None:
        await self._closed()
        stream, make = stream_of(entry), self._make(entry)
        durable = False
        try:
            durable, _ = await asyncio.gather(
                self._ledger().commit(stream, entry.at_boot_ms, make),
                self._keeper.open(self.name, entry),
            )
        except (RetryLater, StopService) as error:
            log.warning("%s: not released, for it cannot be recorded: %s", self.name, error)
        self.say(Committed(entry.number, durable))

    async def _tell(self, check: int, entry: Entry) -> None:
        """Record that somebody looked at the clock, and remember that it is recorded."""
        stream, make = stream_of(entry), self._make(entry)
        with contextlib.suppress(RetryLater, StopService):
            if await self._ledger().commit(stream, entry.at_boot_ms, make):
                await self._keeper.clock_check_told(check)

    async def _remember_block(self, entry: Entry) -> None:
        await self._closed()
        with contextlib.suppress(RetryLater):
            await self._keeper.open(self.name, entry)

    def _record(self, entry: Entry) -> None:
        self._ledger().record(stream_of(entry), entry.at_boot_ms, self._make(entry))

    def _make(self, entry: Entry) -> Callable[[int], Record]:
        settings = self.settings
        return lambda at: fill_record(
            entry,
            at,
            gate=settings.id,
            filler=settings.filler,
            gas=settings.gas,
            components=settings.components,
        )

    def _count(self, entry: Entry) -> None:
        decided = entry.step == "decided" and entry.judged is not None
        self.counters["verdicts"] += decided
        if decided and entry.judged is not None:
            refused = entry.judged.verdict.decision == "do_not_fill"
            self.counters["fills_refused"] += refused
        self.counters["fills"] += entry.step == "weighed"
        self.counters["fill_alarms"] += stream_of(entry) == "alarm"

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drive(self) -> None:
        """Keep the output as it must be; write and read it back again and again."""
        wait_s, closed_at = RECONNECT_FIRST_S, asyncio.get_running_loop().time()
        while True:
            self._changed.clear()
            now_wanted = wanted(self.state)
            try:
                is_open = await self._link.drive(now_wanted)
            except OutputFailed as error:
                self._why_output = str(error)
                self.say(Output(reachable=False))
                await asyncio.sleep(wait_s)
                wait_s = min(RECONNECT_MAX_S, 2 * wait_s)
                continue
            wait_s, self._why_output = RECONNECT_FIRST_S, ""
            now_s = asyncio.get_running_loop().time()
            closed_at = now_s if now_wanted.open else closed_at
            tells = wanted(self.state) == now_wanted and now_s - closed_at >= STUCK_S
            self.say(Output(reachable=True, open=is_open if tells else None))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.output.refresh_s):
                    await self._changed.wait()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        remembered_s = loop.time()
        while True:
            await asyncio.sleep(TICK_IDLE_S if self.state.phase == "idle" else TICK_S)
            self.say(Tick())
            if loop.time() - remembered_s > REMEMBER_EVERY_S:
                remembered_s = loop.time()
                await self._keeper.reserve(self.name, self.state.number)
