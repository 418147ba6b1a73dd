"""Software updates: fetched, installed beside what runs, tried by the launcher, proved by the new.

Nothing that runs is touched before `trial.json` is there; from then on the launcher decides. The
spool is no part of it: the daemon stops cleanly, as at any SIGTERM.
"""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from edge.remote.anchors import read_anchors, verify
from edge.remote.base import Daemon
from edge.remote.fetch import fetch
from edge.remote.install import install, self_test
from edge.remote.launch import (
    PROVEN,
    ROLLED_BACK,
    SLOTS,
    TRIAL,
    read_json,
    sync,
    write_json,
)
from protocols.errors import RefuseInput
from protocols.signed import Release, unseal

log = logging.getLogger(__name__)

DETAIL_MAX = 1_000
WORK = "work.json"
"""Names the update that is fetched and installed."""


class _Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the command carries."""

    manifest: str
    """A signed release."""
    url: str
    """Wheels are at `{url}/{name}`."""


class Updater:
    """Of a gateway that runs from one of two environments."""

    def __init__(
        self, base: Path, daemon: Daemon, *, state: Path, restart: Callable[[], None]
    ) -> None:
        """Make an updater.

        Args:
            base: folder of the environments.
            daemon: what is updated.
            state: the daemon's folder, where its anchors are.
            restart: stops the daemon so that the launcher starts what is to be tried.

        """
        self._base, self._daemon, self._state, self._restart = base, daemon, state, restart
        self._work: asyncio.Task[None] | None = None
        self.counters = {"updates_proved": 0, "updates_failed": 0}

    async def run(self) -> None:
        """Prove a trial, or tell how the last one ended; then wait."""
        trial = read_json(self._base / TRIAL)
        if trial is not None:
            self._forget_work()
        if trial is not None and trial.get("slot") == self._own_slot():
            await self._prove(trial)
        else:
            self._tell_last()
            self._tell_interrupted()
        try:
            await asyncio.Event().wait()
        finally:
            if self._work is not None:
                self._work.cancel()

    async def update(self, args: dict[str, Any]) -> dict[str, Any]:
        """Begin an update. RefuseInput: why not; the end is told as `update:SERIAL`."""
        release, url = self._examine(args)
        if release.serial == self._proven_serial():
            self._tell(release.serial, ok=True, state="updated", version=release.version)
            return {"state": "already", "serial": release.serial}
        if release.serial == _serial(read_json(self._base / ROLLED_BACK)):  # once more
            (self._base / ROLLED_BACK).unlink()
        write_json(self._base / WORK, {"serial": release.serial})
        self._work = asyncio.create_task(self._carry_out(release, url))
        return {"state": "accepted", "serial": release.serial}

    def _examine(self, args: dict[str, Any]) -> tuple[Release, str]:
        try:
            wanted = msgspec.convert(args, _Arguments)
        except msgspec.ValidationError as error:
            raise RefuseInput("bad_args", str(error)) from None
        release = unseal(
            wanted.manifest, "release", Release, anchors=read_anchors(self._state), verify=verify
        )
        minor = int(release.requires_python.removeprefix(">=3."))
        if sys.version_info < (3, minor):
            found = f"3.{sys.version_info.minor}"
            raise RefuseInput("python", f"expected {release.requires_python}, found {found}")
        if self._own_slot() is None:
            raise RefuseInput("no_environments", "it runs from neither of the two environments")
        if release.serial < self._proven_serial():
            raise RefuseInput("stale", f"expected more than {self._proven_serial()}")
        if (self._work is not None and not self._work.done()) or (self._base / TRIAL).exists():
            raise RefuseInput("busy", "an update is under way")
        return release, wanted.url

    async def _carry_out(self, release: Release, url: str) -> None:
        own = self._own_slot() or SLOTS[0]
        other = SLOTS[1 - SLOTS.index(own)]
        wheels = self._base / "wheels" / str(release.serial)
        setup = self._daemon.setup
        try:
            await asyncio.to_thread(fetch, release, url, wheels)
            await asyncio.to_thread(install, release, wheels, self._base / other)
            await asyncio.to_thread(
                self_test, release, self._base / other, setup.file, setup.overlay
            )
            await asyncio.to_thread(os.sync)  # a new environment is thousands of files
            trial = {"serial": release.serial, "version": release.version, "slot": other}
            write_json(self._base / TRIAL, {**trial, "before": own, "starts": 0})
            self._forget_work()
        except RefuseInput as error:
            self._failed(release, error.reason, error.detail)
        except OSError as error:
            self._failed(release, "disk", str(error))
        else:
            log.info("release %s (%s) is tried", release.serial, release.version)
            self._tell(release.serial, ok=True, state="trying", version=release.version)
            self._restart()

    def _failed(self, release: Release, reason: str, detail: str) -> None:
        self.counters["updates_failed"] += 1
        self._forget_work()
        log.warning("release %s is not taken: %s %s", release.serial, reason, detail)
        self._tell(
            release.serial, ok=False, state="failed", reason=reason, detail=detail[:DETAIL_MAX]
        )

    async def _prove(self, trial: dict[str, Any]) -> None:
        """Prove this very software; the launcher takes it back when it cannot in time."""
        while await self._daemon.prove(self._daemon.setup.site.remote.proof_s) is not None:
            log.warning("release %s is not proved yet", trial.get("serial"))
        try:
            (self._base / TRIAL).rename(self._base / PROVEN)
            sync(self._base)
            (self._base / ROLLED_BACK).unlink(missing_ok=True)
        except OSError as error:  # the launcher was quicker, or will be: it stops this process
            log.warning("release %s cannot be kept: %s", trial.get("serial"), error)
            return
        shutil.rmtree(self._base / "wheels", ignore_errors=True)
        self.counters["updates_proved"] += 1
        log.info("release %s is proved", trial.get("serial"))
        self._tell_last()

    def _tell_last(self) -> None:
        """Tell how the last update ended; again at each start, for a kill may come before."""
        proven, back = read_json(self._base / PROVEN), read_json(self._base / ROLLED_BACK)
        if back is not None and _serial(back) > _serial(proven):
            reason = str(back.get("reason", "died"))
            self._tell(_serial(back), ok=False, state="rolled_back", reason=reason)
        elif proven is not None:
            version = str(proven.get("version", ""))
            self._tell(_serial(proven), ok=True, state="updated", version=version)

    def _tell_interrupted(self) -> None:
        """Tell of an update that a stop or a power cut ended before anything was tried."""
        work = read_json(self._base / WORK)
        if work is not None:
            self._forget_work()
            self._tell(_serial(work), ok=False, state="failed", reason="interrupted")

    def _forget_work(self) -> None:
        with suppress(OSError):  # then it is told of once more
            (self._base / WORK).unlink(missing_ok=True)

    def _tell(self, serial: int, *, ok: bool, **result: str) -> None:
        self._daemon.reply(f"update:{serial}", ok=ok, result={"serial": serial, **result})

    def _proven_serial(self) -> int:
        return _serial(read_json(self._base / PROVEN))

    def _own_slot(self) -> str | None:
        prefix = Path(sys.prefix).resolve()
        return next((slot for slot in SLOTS if (self._base / slot).resolve() == prefix), None)


def _serial(found: dict[str, Any] | None) -> int:
    serial = found.get("serial") if found else None
    return serial if isinstance(serial, int) else 0
