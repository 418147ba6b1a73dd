"""Folders of what came from afar."""

import shutil
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder, or a link in its place without following it; fine when it is not there."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)
