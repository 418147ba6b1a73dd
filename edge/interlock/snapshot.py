"""Keeps the station's snapshot on disk: verified at every start, never half an old and a new one.

    STATE/snapshot/kept.json            signed manifests of what counts; changed by one rename
    STATE/snapshot/SHA256.whole         the base, mapped into memory
    STATE/snapshot/SHA256.increment     what came since, as it travelled

Files are complete and synced before `kept.json` names them, and removed after it no longer does.
Blocking, and of one caller at a time; `snapshot` may be read from anywhere at any time.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from edge.interlock.snapshot_files import open_increment, open_whole, sync_file, unpack_whole
from protocols.cylinders.book import read_book
from protocols.cylinders.manifest import Blob, Kept, Manifest, check_next
from protocols.cylinders.manifest import open_manifest as open_signed
from protocols.cylinders.snapshot import Layer, Snapshot, rules_of
from protocols.cylinders.snapshot_merge import merge
from protocols.durable import sync_folder, write_durably
from protocols.errors import RefuseInput
from protocols.signed import Verify

log = logging.getLogger(__name__)

FOLDER = "snapshot"
"""Below the state folder."""
MERGE_AT = 48
"""So many increments are merged into a new base: a merge writes the whole file, about once a day of
work, and each one unmerged costs memory and some microseconds of a look-up."""
MERGE_AFTER_MS = 7 * 24 * 3_600_000
"""Or if they are so old: keys that sign change, and what is kept should be signed by new ones."""
INCREMENTS_MAX = 100
"""Where merging fails; then a whole one is asked for."""


LASTING = ("unknown_schema", "malformed", "bad_rule_book", "wrong_rules")
"""Refusals of what a genuine file says: fetched again it would say the same."""


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`kept.json`."""

    schema: Literal[1] = 1
    seen: int = 0
    """Number of the newest state that was ever kept here."""
    issues: tuple[str, ...] = ()
    """Signed manifests: of the base's state, of each increment, oldest first."""
    renewal: str = ""
    """Signed; newer than all those, and nothing has changed since."""


class _Issue(NamedTuple):
    """A manifest that is kept, and what it stands for."""

    signed: str
    manifest: Manifest
    layer: Layer


class SnapshotKeeper:
    """Of one gateway, for the filler whose station it is in."""

    def __init__(
        self,
        state: Path,
        *,
        filler: str,
        anchors: Callable[[], Iterable[bytes]],
        verify: Verify,
    ) -> None:
        """Make a keeper; `load` reads what an earlier run kept.

        Args:
            state: the daemon's state folder.
            filler: whose snapshot it must be.
            anchors: the public keys that count now; RefuseInput when there are none.
            verify: checks a signature.

        """
        self.folder, self.filler = state / FOLDER, filler
        self._anchors, self._verify = anchors, verify
        self._issues: tuple[_Issue, ...] = ()
        self._renewal: tuple[str, Manifest] | None = None
        self._seen = self._least = self._offered = 0
        self._unfit: tuple[str, RefuseInput] | None = None
        self.snapshot: Snapshot | None = None
        """What counts now; None: nothing is kept."""
        self.why = ""
        """The last refusal, until something is taken."""
        self.counters: Counter[str] = Counter(
            snapshots_taken=0, snapshots_refused=0, snapshots_merged=0
        )

    @property
    def have(self) -> int:
        """What to ask with: number of the state that is kept; or the least of a whole one."""
        if self.need_whole:
            return max(self._seen, self._least)
        return self._issues[-1].manifest.content

    @property
    def need_whole(self) -> bool:
        """Whether an increment is of no use."""
        return bool(self._least) or not self._issues

    @property
    def newest(self) -> Manifest | None:
        """The manifest that counts now."""
        return self.snapshot.manifest if self.snapshot else None

    def status(self) -> dict[str, Any]:
        """Return what is kept, as plain JSON data."""
        newest = self.newest
        told = {} if newest is None else msgspec.to_builtins(newest)
        names = ("number", "issued_at", "expires_at", "rules_version", "cylinders", "denied")
        kept = {name: told.get(name) for name in names}
        increments = max(0, len(self._issues) - 1)
        return {"filler": self.filler, **kept, "increments": increments, "why": self.why}

    def load(self) -> None:
        """Verify and open what an earlier run kept; what is not sound is left out and told of."""
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self._read()
        self._seen = kept.seen
        issues: list[_Issue] = []
        try:
            for signed in kept.issues:
                issues.append(self._open_kept(signed, issues))
                self.snapshot, self._issues = _snapshot(issues, None), tuple(issues)
            if kept.renewal:
                manifest = self._open(kept.renewal)
                check_next(manifest, self._kept(), None)
                self._renewal = kept.renewal, manifest
                self.snapshot = _snapshot(issues, self._renewal)
        except RefuseInput as error:
            self.refuse(error)

    def look(self, signed: bytes, now_ms: int | None) -> Blob | None:
        """Check what the cloud offers; return the file to fetch, None when none is needed.

        Raises:
            RefuseInput: `malformed`, `bad_signature` and the like, `unknown_schema`,
                `foreign_filler`, `from_future`, `rolled_back`, `gap`.

        """
        manifest = self._judge(signed, now_ms)
        return None if manifest is None else manifest.file

    def take(self, signed: bytes, file: Path | None, now_ms: int | None) -> bool:
        """Make an offer count, with its fetched file; tells whether anything is new.

        `file` lies in `folder`, and does no longer when it was taken.

        Raises:
            RefuseInput: as `look`, and `truncated`, `bad_hash`, `malformed`, `bad_rule_book`,
                `wrong_rules`, `too_many`, `disk`: nothing is changed.

        """
        manifest = self._judge(signed, now_ms)
        if manifest is None:
            return False
        try:
            if manifest.file is None:
                self._renew(signed.decode(), manifest)
            else:
                self._take_file(signed.decode(), manifest, manifest.file, file)
        except RefuseInput as error:
            self._least = manifest.number  # by another way: this increment is of no use
            if manifest.file is not None and error.reason in LASTING:
                self._unfit = manifest.file.sha256, error
            raise
        except OSError as error:
            raise RefuseInput("disk", str(error)[:200]) from None
        self.counters["snapshots_taken"] += 1
        self.why = ""
        return True

    def refuse(self, error: RefuseInput) -> None:
        """Count a refusal and remember it."""
        self.counters["snapshots_refused"] += 1
        self.why = str(error)
        if error.reason == "bad_hash":  # also of a file that never came to `take`
            self._least = max(self._least, self._offered)
        log.warning("a snapshot is refused: %s", error)

    def merge_due(self, now_ms: int | None) -> bool:
        """Tell whether it is time to merge."""
        increments = self._issues[1:]
        old = now_ms is not None and any(
            one.manifest.issued_at < now_ms - MERGE_AFTER_MS for one in increments
        )
        return old or len(increments) >= MERGE_AT

    def merge(self) -> None:
        """Write a new base of all that is kept; it must be what the cloud signed.

        Raises:
            RefuseInput: `bad_hash`, `disk`: nothing is changed.

        """
        newest = self._issues[-1]
        try:
            path = self._write_merged(newest.manifest.state)
            base = _Issue(newest.signed, newest.manifest, open_whole(path, newest.manifest.state))
            self._change((self._renewed(base),), None)
        except RefuseInput:
            self._least = newest.manifest.number
            raise
        except OSError as error:
            raise RefuseInput("disk", str(error)[:200]) from None
        self.counters["snapshots_merged"] += 1

    # --- inside --------------------------------------------------------------------------------

    def _judge(self, signed: bytes, now_ms: int | None) -> Manifest | None:
        """Return what an offer says if it is to be taken, None if it is what is kept."""
        manifest = self._open(signed)
        if self.newest is not None and manifest.number == self.newest.number and not self._least:
            return None
        try:
            check_next(manifest, self._kept(), now_ms, seen=self._seen)
        except RefuseInput as error:
            if error.reason == "gap":
                self._least = max(1, self._seen)
            raise
        if self._unfit and manifest.file and manifest.file.sha256 == self._unfit[0]:
            raise self._unfit[1]
        self._offered = manifest.number
        return manifest

    def _open(self, signed: bytes | str) -> Manifest:
        return open_signed(signed, filler=self.filler, anchors=self._anchors(), verify=self._verify)

    def _kept(self) -> Kept | None:
        if not self._issues:
            return None
        last = self._issues[-1].manifest
        return Kept(self._renewal[1].number if self._renewal else last.number, last.content)

    def _read(self) -> _File:
        try:
            return msgspec.json.decode((self.folder / "kept.json").read_bytes(), type=_File)
        except FileNotFoundError:
            return _File()
        except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            self.refuse(RefuseInput("malformed", f"kept.json: {error}"[:200]))
            return _File()

    def _open_kept(self, signed: str, before: list[_Issue]) -> _Issue:
        manifest = self._open(signed)
        if not before:
            return _Issue(signed, manifest, open_whole(self._base(manifest.state), manifest.state))
        last = before[-1].manifest
        check_next(manifest, Kept(last.number, last.content), None)
        if manifest.file is None:
            raise RefuseInput("malformed", "expected an increment")
        return _Issue(
            signed, manifest, open_increment(self._increment(manifest.file), manifest.file)
        )

    def _take_file(self, text: str, manifest: Manifest, wanted: Blob, file: Path | None) -> None:
        if file is None:
            raise RefuseInput("truncated", "its file was not fetched")
        if manifest.previous is None:
            path = self._base(manifest.state)
            unpack_whole(file, wanted, path, manifest.state)
            self._change((_Issue(text, manifest, open_whole(path, manifest.state)),), None)
            return
        if len(self._issues) > INCREMENTS_MAX:
            raise RefuseInput("too_many", f"{INCREMENTS_MAX} increments could not be merged")
        layer = open_increment(file, wanted)
        sync_file(file)
        file.replace(self._increment(wanted))
        sync_folder(self.folder)
        self._change((*self._issues, _Issue(text, manifest, layer)), None)

    def _renew(self, text: str, manifest: Manifest) -> None:
        """Let a longer term count; of a base alone it proves the state as the earlier word did."""
        if manifest.state != self._issues[-1].manifest.state:
            raise RefuseInput("malformed", "a renewal of another state")
        if len(self._issues) == 1:
            self._change((_Issue(text, manifest, self._issues[0].layer),), None)
        else:
            self._change(self._issues, (text, manifest))

    def _renewed(self, issue: _Issue) -> _Issue:
        if self._renewal is None:
            return issue
        return _Issue(*self._renewal, issue.layer)

    def _change(self, issues: tuple[_Issue, ...], renewal: tuple[str, Manifest] | None) -> None:
        """Let other files count; OSError: the old ones still do."""
        shown = _snapshot(issues, renewal)
        seen = max(self._seen, issues[-1].manifest.content)
        kept = _File(
            seen=seen,
            issues=tuple(one.signed for one in issues),
            renewal=renewal[0] if renewal else "",
        )
        write_durably(self.folder / "kept.json", msgspec.json.encode(kept))
        self._issues, self._renewal, self._seen, self._least = issues, renewal, seen, 0
        self.snapshot = shown
        self._clean()

    def _write_merged(self, expected: Blob) -> Path:
        draft = self.folder / ".merged.new"
        try:
            with draft.open("wb") as out:
                written = merge(out.write, [one.layer for one in self._issues])
                out.flush()
                os.fsync(out.fileno())
            if written.blob != expected:
                detail = f"expected {expected.sha256}, found {written.blob.sha256}"
                raise RefuseInput("bad_hash", f"merged: {detail}")
            path = self._base(expected)
            draft.replace(path)
            sync_folder(self.folder)
        finally:
            draft.unlink(missing_ok=True)
        return path

    def _base(self, blob: Blob) -> Path:
        return self.folder / f"{blob.sha256}.whole"

    def _increment(self, blob: Blob) -> Path:
        return self.folder / f"{blob.sha256}.increment"

    def _clean(self) -> None:
        """Remove files that nothing names, also what was fetched for it."""
        used = {self._base(one.manifest.state) for one in self._issues[:1]}
        used |= {
            self._increment(one.manifest.file) for one in self._issues[1:] if one.manifest.file
        }
        for path in self.folder.iterdir():
            left = path.suffix in (".whole", ".increment", ".packed", ".part", ".new")
            if left and path not in used:
                with suppress(OSError):
                    path.unlink()


def _snapshot(issues: Sequence[_Issue], renewal: tuple[str, Manifest] | None) -> Snapshot:
    """Put together what counts; RefuseInput `bad_rule_book`, `wrong_rules`."""
    layers = [one.layer for one in issues]
    newest, book = renewal[1] if renewal else issues[-1].manifest, read_book(rules_of(layers))
    if book.version != newest.rules_version:
        raise RefuseInput("wrong_rules", f"expected {newest.rules_version}, found {book.version}")
    return Snapshot(layers, newest, book)
