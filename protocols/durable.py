"""Files that are there whole after a power cut, the old one or the new one."""

import os
from pathlib import Path

PRIVATE, PUBLIC = 0o600, 0o644


def write_durably(path: Path, data: bytes, mode: int = PUBLIC) -> None:
    """Write a file in place of an earlier one; its mode is `mode`, whatever the umask."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(data)
        file.flush()
        os.fsync(handle)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
