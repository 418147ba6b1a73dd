"""Where the data files are: the shipped ones, and a site's own beside them."""

from pathlib import Path

import protocols

SCHEMA = 1
"""Version of every data file format."""


def data_root() -> Path:
    """Return the `firmware_config` folder, in a checkout as in an installed wheel."""
    return Path(protocols.__file__).resolve().parent.parent / "firmware_config"


def data_files(folder: str, overlay: Path | None = None) -> list[tuple[Path, bool]]:
    """List the TOML files of a folder such as `controllers`, sorted by name.

    Returns:
        (path, is_shipped) of each; a file of the overlay takes the place of the shipped one of the
        same name. A folder that does not exist holds no files.

    """
    found = {path.name: (path, True) for path in (data_root() / folder).glob("*.toml")}
    if overlay is not None:
        found |= {path.name: (path, False) for path in (overlay / folder).glob("*.toml")}
    return [found[name] for name in sorted(found)]
