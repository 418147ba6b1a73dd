"""Configurations on disk, and a pointer to the one in effect that a kill can never tear.

    STATE/config/current.json      the pointer
    STATE/config/VERSION/          site.toml, overlay/…, and `proven` once it was proved healthy

A folder is complete before the pointer names it; the pointer changes by one rename.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from edge.remote.durable import remove_tree
from edge.setup import Setup
from protocols.durable import sync_folder, write_durably
from protocols.errors import FixConfiguration, RefuseInput
from protocols.signed import Configuration

log = logging.getLogger(__name__)

TRIAL_STARTS_MAX = 1
"""So many starts of the daemon a configuration gets that was not proved yet: a power cut is not its
fault, but it must not keep the gateway from running."""
HANDLED_MAX = 32

Load = Callable[[Path, Path | None, int], Setup]
"""(site file, overlay, version); FixConfiguration or OSError."""
State = Literal["trying", "applied", "refused", "rolled_back", "superseded"]


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a pushed configuration."""

    version: int
    state: State
    reason: str = ""
    """A closed word."""
    detail: str = ""


class Trial(Struct, frozen=True):
    """A configuration that is not proved yet."""

    version: int
    starts: int = 0


class Pointer(Struct, frozen=True, kw_only=True):
    """What is in effect."""

    schema: Literal[1] = 1
    version: int = 0
    """0: the local file."""
    previous: int = 0
    highest: int = 0
    """Of all that were ever tried: none up to it is taken again."""
    local_sha256: str = ""
    """Of the local files when a pushed one took their place."""
    trial: Trial | None = None
    handled: tuple[str, ...] = ()
    """SHA-256 of the messages last dealt with: a retained one comes with each connection."""
    outcome: Outcome | None = None
    """Told again at each start, for a kill may come before it was told."""


class ConfigStore:
    """The configurations of one state folder, beside the local file."""

    def __init__(self, state: Path, site: Path, overlay: Path | None, load: Load) -> None:
        """Look at what is there; nothing is written yet.

        Args:
            state: the daemon's folder.
            site: the local site file, version 0.
            overlay: the local overlay folder.
            load: reads a site file with its overlay, and completes it.

        """
        self._folder, self._site, self._overlay = state / "config", site, overlay
        self._read_setup = load
        self.pointer = self._read()

    @property
    def staging(self) -> Path:
        """Where a configuration is put together and checked."""
        return self._folder / ".staging"

    def choose(self) -> Setup:
        """Return what to start with: a trial, the last good one, the one before, the local file.

        Raises:
            FixConfiguration: the local file has faults, and there is nothing else.

        """
        self._heed_local_edit()
        trial = self.pointer.trial
        if trial is not None and (setup := self._try_again(trial)) is not None:
            return setup
        return self.last_good()

    def last_good(self) -> Setup:
        """Return what is in effect, without a trial; what cannot be read any more is given up.

        Raises:
            FixConfiguration: the local file has faults, and there is nothing else.

        """
        for version in (self.pointer.version, self.pointer.previous):
            if not version:
                break
            try:
                return self.load(version)
            except (FixConfiguration, OSError) as error:
                log.error("configuration %s cannot be used: %s", version, error)  # noqa: TRY400
                self._try_to_change(
                    version=self.pointer.previous if version == self.pointer.version else 0,
                    previous=0,
                    outcome=Outcome(version=version, state="rolled_back", reason="damaged"),
                )
        return self._read_setup(self._site, self._overlay, 0)

    def load(self, version: int) -> Setup:
        """Read a configuration. Raises FixConfiguration or OSError."""
        return self._load_folder(self._folder / str(version), version)

    def load_staged(self, version: int) -> Setup:
        """Read what was staged. Raises FixConfiguration or OSError."""
        return self._load_folder(self.staging, version)

    def stage(self, document: Configuration) -> None:
        """Write a configuration where it can be checked.

        Raises:
            RefuseInput: `disk`: it cannot be written.

        """
        try:
            if self._folder.is_symlink():
                raise RefuseInput("disk", "config is a link")
            self._folder.mkdir(exist_ok=True)
            remove_tree(self.staging)
            files = {"site.toml": document.site}
            files |= {f"overlay/{path}": text for path, text in document.overlay.items()}
            for name, text in files.items():
                path = self.staging / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_durably(path, text.encode())
            for folder in {self.staging, *(p.parent for p in self.staging.rglob("*"))}:
                sync_folder(folder)
        except (OSError, UnicodeEncodeError) as error:
            raise RefuseInput("disk", str(error)[:200]) from None

    def begin_trial(self, version: int, digest: str) -> None:
        """Make what was staged the one that is tried; OSError: it is not."""
        target = self._folder / str(version)
        remove_tree(target)
        self.staging.rename(target)
        sync_folder(self._folder)
        self._change(
            trial=Trial(version),
            highest=max(version, self.pointer.highest),
            local_sha256=self.pointer.local_sha256 or self._local_sha256(),
            handled=self._handled(digest),
            outcome=Outcome(version=version, state="trying"),
        )

    def commit(self, version: int) -> None:
        """Make the one that was tried the last good one; OSError: it is not."""
        write_durably(self._folder / str(version) / "proven", b"")
        self._change(
            version=version,
            previous=self.pointer.version,
            trial=None,
            local_sha256=self._local_sha256(),
            outcome=Outcome(version=version, state="applied"),
        )
        self._clean()

    def abandon(self, outcome: Outcome) -> None:
        """Give the trial up."""
        unused = self.pointer.version == 0
        self._try_to_change(
            trial=None,
            outcome=outcome,
            local_sha256="" if unused else self.pointer.local_sha256,
        )
        self._clean()

    def refuse(self, outcome: Outcome, digest: str) -> None:
        """Remember that a genuine message was refused; an old one changes no outcome."""
        new = outcome.version > self.pointer.highest
        self._try_to_change(
            handled=self._handled(digest), outcome=outcome if new else self.pointer.outcome
        )

    def forget_staging(self) -> None:
        """Remove what was staged and not taken."""
        remove_tree(self.staging)

    def _heed_local_edit(self) -> None:
        """Let a local file win that was changed after the push."""
        pointer = self.pointer
        tried = pointer.trial.version if pointer.trial else 0
        if not (pointer.version or tried) or pointer.local_sha256 == self._local_sha256():
            return
        try:
            self._read_setup(self._site, self._overlay, 0)
        except FixConfiguration as error:
            log.error("the local file was changed and has faults; %s stays: %s", pointer, error)  # noqa: TRY400
            return
        version = pointer.version or tried
        log.warning("the local file was changed: it wins over configuration %s", version)
        outcome = Outcome(version=version, state="superseded", reason="local_edit")
        self._try_to_change(version=0, previous=0, trial=None, local_sha256="", outcome=outcome)

    def _try_again(self, trial: Trial) -> Setup | None:
        why = "died"
        if trial.starts < TRIAL_STARTS_MAX:
            try:
                self._change(trial=Trial(trial.version, trial.starts + 1))
                return self.load(trial.version)
            except (FixConfiguration, OSError) as error:
                log.error("configuration %s cannot be used: %s", trial.version, error)  # noqa: TRY400
                why = "damaged"
        self.abandon(Outcome(version=trial.version, state="rolled_back", reason=why))
        return None

    def _load_folder(self, folder: Path, version: int) -> Setup:
        overlay = folder / "overlay"
        return self._read_setup(
            folder / "site.toml", overlay if overlay.is_dir() else None, version
        )

    def _handled(self, digest: str) -> tuple[str, ...]:
        return (*self.pointer.handled, digest)[-HANDLED_MAX:]

    def _try_to_change(self, **fields: object) -> None:
        """Change the pointer, at least for this run when the disk takes nothing."""
        try:
            self._change(**fields)
        except OSError as error:
            log.error("the pointer cannot be written: %s", error)  # noqa: TRY400
            self.pointer = msgspec.structs.replace(self.pointer, **fields)

    def _change(self, **fields: object) -> None:
        pointer = msgspec.structs.replace(self.pointer, **fields)
        self._folder.mkdir(exist_ok=True)
        write_durably(self._folder / "current.json", msgspec.json.encode(pointer))
        self.pointer = pointer

    def _read(self) -> Pointer:
        """Read the pointer; in place of a damaged one the newest that was proved counts."""
        try:
            return msgspec.json.decode((self._folder / "current.json").read_bytes(), type=Pointer)
        except FileNotFoundError:
            return Pointer()
        except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            proven = [one for one in self._versions() if self._path(one, "proven").exists()]
            version = max(proven, default=0)
            log.error("the pointer is damaged (%s): configuration %s counts", error, version)  # noqa: TRY400
            return Pointer(
                version=version,
                highest=max(self._versions(), default=0),
                local_sha256=self._local_sha256(),
            )

    def _path(self, version: int, name: str) -> Path:
        return self._folder / str(version) / name

    def _versions(self) -> Iterator[int]:
        for path in self._folder.glob("[0-9]*"):
            if path.name.isdigit() and path.is_dir():
                yield int(path.name)

    def _clean(self) -> None:
        kept = {self.pointer.version, self.pointer.previous}
        for version in list(self._versions()):
            if version not in kept:
                remove_tree(self._folder / str(version))
        remove_tree(self.staging)

    def _local_sha256(self) -> str:
        digest = hashlib.sha256()
        overlay = sorted(self._overlay.glob("*/*.toml")) if self._overlay else []
        for path in [self._site, *overlay]:
            with suppress(OSError):
                digest.update(path.name.encode() + b"\n" + path.read_bytes())
        return digest.hexdigest()
