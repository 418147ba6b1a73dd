"""Takes pushed configurations: checked, tried, proved healthy, or taken back; each is told of."""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge.remote.anchors import read_anchors, verify
from edge.remote.base import Daemon
from edge.remote.store import HANDLED_MAX, ConfigStore, Outcome, State
from edge.setup import Setup
from protocols.errors import Fault, FixConfiguration, RefuseInput
from protocols.signed import Configuration, claimed_version, open_configuration

log = logging.getLogger(__name__)

WAITING_MAX = 4
"""Messages that wait while one is tried; beyond it the oldest is dropped, for newer ones count."""
REPORTS_MAX = 60
REPORT_EACH_S = 1.0
"""So many refusals are told at once, and one a second after that; further ones are only counted."""
FAULTS_TOLD_MAX = 5
DETAIL_MAX = 1_000

Check = Callable[[Path, Path | None], list[Fault]]


class Configurer:
    """One at a time; whatever goes wrong leaves, or brings back, what was in effect."""

    def __init__(self, store: ConfigStore, daemon: Daemon, *, state: Path, check: Check) -> None:
        """Make a configurer; `run` begins.

        Args:
            store: of the daemon's state folder.
            daemon: what is configured.
            state: the daemon's folder, where its anchors are.
            check: finds all faults of a site and its overlay.

        """
        self._store, self._daemon, self._state = store, daemon, state
        self._check = check
        self._waiting: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._seen: deque[str] = deque(maxlen=HANDLED_MAX)
        self._tokens, self._refilled_at = float(REPORTS_MAX), 0.0
        self.counters = {
            "configs_applied": 0,
            "configs_refused": 0,
            "configs_rolled_back": 0,
            "configs_repeated": 0,
        }

    def take(self, payload: bytes) -> None:
        """Take a message of `down/config`; an empty one only says that nothing is retained."""
        if not payload:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.counters["configs_refused"] += 1
        self._waiting.append(payload)
        self._arrived.set()

    async def run(self) -> None:
        """Deal with what comes, until cancelled; first with what an earlier run left."""
        await self._resume()
        while True:
            while self._waiting:
                await self._handle(self._waiting.popleft())
            self._arrived.clear()
            await self._arrived.wait()

    async def _resume(self) -> None:
        trial, outcome = self._store.pointer.trial, self._store.pointer.outcome
        if trial is not None and self._daemon.setup.version == trial.version:
            await self._prove(trial.version, None)
        elif outcome is not None:
            self._tell(outcome)

    async def _handle(self, payload: bytes) -> None:
        digest = hashlib.sha256(payload).hexdigest()
        if digest in self._seen or digest in self._store.pointer.handled:
            self.counters["configs_repeated"] += 1
            return
        self._seen.append(digest)
        version = claimed_version(payload) or 0
        try:
            document = open_configuration(
                payload,
                gateway_id=self._daemon.setup.site.gateway_id,
                anchors=read_anchors(self._state),
                verify=verify,
            )
        except RefuseInput as error:
            self._refuse(_refusal(version, error))
            return
        try:
            setup = await self._examine(document)
            self._store.begin_trial(document.version, digest)
        except RefuseInput as error:
            outcome = _refusal(version, error)
            self._store.refuse(outcome, digest)
            self._store.forget_staging()
            self._refuse(outcome)
        except OSError as error:
            self._refuse(_refusal(version, RefuseInput("disk", str(error))))
        else:
            await self._try(setup)

    async def _examine(self, document: Configuration) -> Setup:
        """Find all that speaks against a genuine document, before anything is touched.

        Raises:
            RefuseInput: `stale`, `expired`, `disk`, `site_faults`, `changes_gateway_id`.

        """
        store = self._store
        if document.version <= store.pointer.highest:
            raise RefuseInput("stale", f"expected more than {store.pointer.highest}")
        if document.not_after is not None and self._daemon.cloud_ms() > document.not_after:
            raise RefuseInput("expired")
        store.stage(document)
        overlay = store.staging / "overlay"
        faults = await asyncio.to_thread(
            self._check, store.staging / "site.toml", overlay if overlay.is_dir() else None
        )
        if faults:
            texts = [str(fault) for fault in faults[:FAULTS_TOLD_MAX]]
            text = "\n".join(texts).replace(f"{store.staging}/", "")
            raise RefuseInput("site_faults", text)
        try:
            setup = store.load_staged(document.version)
        except FixConfiguration as error:
            raise RefuseInput("site_faults", str(error)) from None
        if setup.site.gateway_id != document.gateway_id:
            raise RefuseInput("changes_gateway_id", f"to {setup.site.gateway_id[:64]!r}")
        return setup

    async def _try(self, staged: Setup) -> None:
        version, before = staged.version, self._daemon.setup
        log.info("configuration %s is tried", version)
        try:
            await self._daemon.apply(self._store.load(version))
        except (RefuseInput, FixConfiguration, OSError) as error:
            await self._roll_back(version, before, "not_applicable", str(error))
            return
        await self._prove(version, before)

    async def _prove(self, version: int, before: Setup | None) -> None:
        """Let the daemon prove itself; `before`: what ran, None when this run began with it."""
        self._tell(Outcome(version=version, state="trying"))
        why_not = await self._daemon.prove(self._daemon.setup.site.remote.proof_s)
        if why_not is not None:
            await self._roll_back(version, before, why_not)
            return
        try:
            self._store.commit(version)
        except OSError as error:
            await self._roll_back(version, before, "disk", str(error))
            return
        self.counters["configs_applied"] += 1
        log.info("configuration %s is in effect", version)
        self._tell(Outcome(version=version, state="applied"))

    async def _roll_back(
        self, version: int, before: Setup | None, reason: str, detail: str = ""
    ) -> None:
        outcome = _outcome(version, "rolled_back", reason, detail)
        self._store.abandon(outcome)
        try:
            await self._daemon.apply(before or self._store.last_good())
        except FixConfiguration as error:  # nothing else is left to run with
            log.error("there is no other configuration, %s stays: %s", version, error)  # noqa: TRY400
        self.counters["configs_rolled_back"] += 1
        log.warning("configuration %s is taken back: %s %s", version, reason, detail)
        self._tell(outcome)

    def _refuse(self, outcome: Outcome) -> None:
        self.counters["configs_refused"] += 1
        log.warning("a configuration is refused: %s", outcome)
        now = asyncio.get_running_loop().time()
        refilled = self._tokens + (now - self._refilled_at) / REPORT_EACH_S
        self._tokens, self._refilled_at = min(float(REPORTS_MAX), refilled), now
        if self._tokens >= 1:
            self._tokens -= 1
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        ok = outcome.state in ("trying", "applied")
        result: dict[str, Any] = msgspec.to_builtins(outcome)
        self._daemon.reply(f"config:{outcome.version or 'unknown'}", ok=ok, result=result)


def _refusal(version: int, error: RefuseInput) -> Outcome:
    return _outcome(version, "refused", error.reason, error.detail)


def _outcome(version: int, state: State, reason: str, detail: str = "") -> Outcome:
    return Outcome(version=version, state=state, reason=reason, detail=detail[:DETAIL_MAX])
