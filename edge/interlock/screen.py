"""The page of the gates as a service of the daemon: what it shows, and what is pressed on it."""

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from edge.interlock.base import Event
from edge.interlock.desk import Act, Desk
from edge.interlock.hall import Hall
from edge.interlock.state import State
from edge.interlock.view import view
from edge.interlock.words import WordBook
from protocols.clock import Clock
from protocols.errors import RefuseInput

if TYPE_CHECKING:  # a gateway without gates spares the Modbus library
    from edge.interlock.gate import Gate
    from edge.interlock.screen_http import Server

log = logging.getLogger(__name__)
T = TypeVar("T")

ANSWER_S = 5.0
PAGES_MAX = 8
"""So many pages may listen for changes at a time."""
LOOK_S = 5.0
POLL_S = 0.1
"""It takes so long to stop."""


class Changes:
    """Wakes a thread that shows a page."""

    def __init__(self, forget: Callable[["Changes"], None]) -> None:
        self._event, self._forget = threading.Event(), forget

    def wake(self) -> None:
        """Tell that something has changed, or that it is over."""
        self._event.set()

    def wait(self, within_s: float) -> None:
        """Wait for a change."""
        self._event.wait(within_s)
        self._event.clear()

    def close(self) -> None:
        """Be told nothing more."""
        self._forget(self)


class Screen:
    """A service of the daemon: serves the page at the address that the site file gives."""

    def __init__(
        self,
        hall: Hall,
        *,
        address: Callable[[], tuple[str, int] | None],
        words: Callable[[], WordBook],
        clock: Clock,
    ) -> None:
        """Make it; `run` serves.

        Args:
            hall: the gates.
            address: where to listen now; None: nowhere.
            words: what the worker is told; read when the first page is shown.
            clock: time since boot.

        """
        self._hall, self._address, self._load_words = hall, address, words
        self._words: WordBook | None = None
        self._desk, self._desk_lock = Desk(clock.boot_ms), threading.Lock()
        self._pages: set[Changes] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self.counters = {"screen_acts": 0, "screen_refused": 0}

    async def run(self) -> None:
        """Serve until cancelled; an address that is taken is tried again."""
        self._loop = asyncio.get_running_loop()
        server: Server | None = None
        served: tuple[str, int] | None = None
        try:
            while True:
                wanted = self._address()
                if wanted != served:
                    await self._stop(server)
                    server = self._start(wanted)
                    served = wanted if server is not None or wanted is None else None
                self._watch()
                await asyncio.sleep(LOOK_S)
        finally:
            await self._stop(server)

    def _start(self, wanted: tuple[str, int] | None) -> "Server | None":
        if wanted is None:
            return None
        from edge.interlock.screen_http import Server  # noqa: PLC0415  # most gateways spare it

        try:
            server = Server(wanted, self)
        except OSError as error:
            log.warning("no page of the gates on %s:%d: %s", *wanted, error)
            return None
        self._stopping = False
        threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True).start()
        return server

    async def _stop(self, server: "Server | None") -> None:
        if server is None:
            return
        self._stopping = True
        self._wake()
        try:
            await asyncio.to_thread(server.shutdown)
        finally:
            server.server_close()

    def _watch(self) -> None:
        """Hear of all gates, also of those that a new configuration has made."""
        for gate in self._hall.gates.values():
            gate.watch(self._wake)

    def _wake(self) -> None:
        for page in tuple(self._pages):
            page.wake()

    # --- asked by threads ------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether pages are to let go."""
        return self._stopping

    def state(self) -> bytes:
        """Return what is to be seen, as JSON."""
        return self._in_loop(self._state)

    def act(self, raw: bytes) -> None:
        """Carry out what was pressed.

        Raises:
            RefuseInput: what it is not, or who may not.

        """
        try:
            act = msgspec.json.decode(raw, type=Act)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefuseInput("bad_request", str(error)[:200]) from None
        gate, state = self._in_loop(lambda: self._find(act.gate))
        try:
            with self._desk_lock:
                events = self._desk.events(act, gate.settings, state)
        except RefuseInput:
            self.counters["screen_refused"] += 1
            raise
        self.counters["screen_acts"] += 1
        self._in_loop(partial(_say_all, gate, events))

    def changes(self) -> Changes:
        """Return something that tells of changes.

        Raises:
            RefuseInput: `busy`.

        """
        if len(self._pages) >= PAGES_MAX:
            raise RefuseInput("busy", f"{PAGES_MAX} pages are open")
        page = Changes(self._pages.discard)
        self._pages.add(page)
        return page

    def _in_loop(self, call: Callable[[], T]) -> T:
        loop = self._loop
        if loop is None:
            raise RefuseInput("busy", "not started")

        async def answer() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(answer(), loop).result(ANSWER_S)

    def _find(self, name: str) -> "tuple[Gate, State]":
        gate = self._hall.gates.get(name)
        if gate is None or gate.ended:
            raise RefuseInput("unknown_gate", name)
        return gate, gate.state

    def _state(self) -> bytes:
        if not self._hall.ready:
            return b'{"gates": []}'
        if self._words is None:
            self._words = self._load_words()
        facts, now = self._hall.facts(), self._hall.now()
        known = facts.known
        gates = [
            view(gate.settings, gate.state, facts.book, self._words)
            for gate in self._hall.gates.values()
            if not gate.ended
        ]
        return msgspec.json.encode(
            {
                "gates": gates,
                "day": now.on,
                "clock": now.clock,
                "rules": facts.book.version,
                "snapshot": {
                    "version": facts.snapshot,
                    "state": "none" if known is None else known.state_at(now.now_ms),
                },
            }
        )


def _say_all(gate: "Gate", events: list[Event]) -> None:
    for event in events:
        gate.say(event)
