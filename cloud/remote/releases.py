"""Releases of the gateway's software: a folder each, with its wheels and a signed manifest.

DATA/releases/SERIAL/manifest.json
DATA/releases/SERIAL/*.whl
"""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from protocols.errors import RefuseInput
from protocols.signed import Release, Sign, Signed, Wheel, seal

MANIFEST = "manifest.json"
DISTRIBUTION = "suyuan"
_BLOCK = 1024 * 1024


class Releases:
    """The releases of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def serials(self) -> list[int]:
        """Return the numbers of all releases, newest first."""
        found = [
            int(path.parent.name)
            for path in self._folder.glob(f"[0-9]*/{MANIFEST}")
            if path.parent.name.isdigit()
        ]
        return sorted(found, reverse=True)

    def manifest(self, serial: int) -> str:
        """Return a release's signed manifest. RefuseInput `not_found`."""
        try:
            return (self._folder / str(serial) / MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RefuseInput("not_found", f"no release {serial}") from None

    def release(self, serial: int) -> Release:
        """Return what a release holds. RefuseInput `not_found`."""
        signed = msgspec.json.decode(self.manifest(serial), type=Signed)
        return msgspec.json.decode(signed.body, type=Release)

    def file(self, serial: int, name: str) -> Path:
        """Return the path of a wheel. RefuseInput `not_found`."""
        if name not in [wheel.name for wheel in self.release(serial).wheels]:
            raise RefuseInput("not_found", f"release {serial} has no {name[:200]!r}")
        return self._folder / str(serial) / name

    def add(
        self, wheels: Sequence[Path], *, requires_python: str, issued_at: int, sign: Sign
    ) -> Release:
        """Copy and sign wheels as the newest release.

        Raises:
            RefuseInput: `bad_release`: not one wheel of ours, or none of pip.

        """
        version = _version(wheels, DISTRIBUTION)
        _version(wheels, "pip")
        serial = max(self.serials(), default=0) + 1
        release = Release(
            serial=serial,
            version=version,
            requires_python=requires_python,
            issued_at=issued_at,
            wheels=[Wheel(one.name, _sha256(one), one.stat().st_size) for one in wheels],
        )
        draft = self._folder / f".{serial}.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for one in wheels:
            shutil.copyfile(one, draft / one.name)
        (draft / MANIFEST).write_bytes(seal("release", release, sign))
        draft.rename(self._folder / str(serial))
        return release


def _version(wheels: Iterable[Path], distribution: str) -> str:
    found = [one.name.split("-") for one in wheels]
    versions = {parts[1] for parts in found if parts[0].lower() == distribution and len(parts) > 4}
    if len(versions) != 1:
        held = ", ".join(sorted(versions)) or "none"
        raise RefuseInput("bad_release", f"expected one version of {distribution}, found {held}")
    return versions.pop()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
