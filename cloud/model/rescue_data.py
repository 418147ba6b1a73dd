"""What the operator says, as data: firmware_config/rescue/scripts.toml."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cloud.model.incident import IncidentState
from cloud.model.permissions import Word
from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration

FOLDER, FILE = "rescue", "scripts.toml"
Text = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One text, and when it is offered."""

    id: Word
    states: tuple[IncidentState, ...]
    to: Literal["passenger", "unit", "owner"]
    text: Text
    text_zh: Text
    source: Text


class Scripts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    schema: Literal[1]
    script: tuple[Script, ...]

    def for_state(self, state: IncidentState) -> tuple[Script, ...]:
        """Return what is said in a state, in the order of the file."""
        return tuple(one for one in self.script if state in one.states)


@lru_cache(maxsize=8)
def load_scripts(overlay: Path | None = None) -> Scripts:
    """Read the texts, the site's own in the place of those that are shipped.

    Raises:
        FixConfiguration: the file is wrong or missing.

    """
    found = [path for path, _ in data_files(FOLDER, overlay) if path.name == FILE]
    if not found:
        raise FixConfiguration([Fault(f"{FOLDER}/{FILE}", "file", "a file", "none")])
    return load_toml(found[0], Scripts)
