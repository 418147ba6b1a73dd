"""The words of our CAP messages, as firmware_config/receivers/cap.toml says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cloud.model.alarm import SEVERITIES, Severity
from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.errors import Fault, FixConfiguration

FILE = Path("receivers", "cap.toml")
Text = Annotated[str, Meta(min_length=1, max_length=500)]
Category = Literal[
    "Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra",
    "CBRNE", "Other",
]  # fmt: skip


class Graded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One severity of ours in CAP's words."""

    category: Category
    urgency: Literal["Immediate", "Expected", "Future", "Past", "Unknown"]
    severity: Literal["Extreme", "Severe", "Moderate", "Minor", "Unknown"]
    certainty: Literal["Observed", "Likely", "Possible", "Unlikely", "Unknown"]


class Instruction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of the reader."""

    emergency: Text
    emergency_zh: Text
    other: Text
    other_zh: Text


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    schema: Literal[1]
    restriction: Text
    radius_km: Annotated[float, Meta(ge=0, le=100)]
    expires_h: Annotated[float, Meta(gt=0, le=24 * 90)]
    severities: Mapping[Severity, Graded]
    instruction: Instruction


def load_words(overlay: Path | None = None) -> Words:
    """Read the site's words, else those that are shipped; FixConfiguration with all faults."""
    own = overlay / FILE if overlay else None
    path = own if own and own.is_file() else data_root() / FILE
    words = load_toml(path, Words)
    missing = [one for one in SEVERITIES if one not in words.severities]
    if missing:
        faults = [Fault(str(path), f"severities.{one}", "a table", "nothing") for one in missing]
        raise FixConfiguration(faults)
    return words
