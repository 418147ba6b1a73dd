"""Where the data files are: the shipped ones, and a site's own beside them."""

from pathlib import Path

import protocols

SCHEMA = 1
"""Version of every data file format."""


def data_root() -> Path:
    """Return the `firmware_config` folder, in a checkout as in an installed wheel."""
    return Path(protocols.__file__).resolve().parent.parent / "firmware_config"


def data_files(
    folder: str, overlay: Path | None = None, root: Path | None = None
) -> list[tuple[Path, bool]]:
    """List the TOML files of a folder such as `controllers`, sorted by name.

    Args:
        folder: its name in `root` and in the overlay.
        overlay: a site's own data, if there are any.
        root: None: what is shipped.

    Returns:
        (path, is_shipped) of each; a file of the overlay takes the place of the shipped one of the
        same name. A folder that does not exist holds no files.

    """
    found = {path.name: (path, True) for path in _toml_files((root or data_root()) / folder)}
    if overlay is not None:
        found |= {path.name: (path, False) for path in _toml_files(overlay / folder)}
    return [found[name] for name in sorted(found)]


def _toml_files(folder: Path) -> list[Path]:
    """List the files but those that an editor or a copying tool hides."""
    return [path for path in folder.glob("*.toml") if not path.name.startswith(".")]
