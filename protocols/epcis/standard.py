"""The standard's lists as data: firmware_config/epcis/."""

from pathlib import Path


class Standard:
    """Vocabulary, contexts, units and rules, with bounded caches of what was looked up."""


def load_standard(folder: Path) -> Standard:
    """Read `firmware_config/epcis`; FixConfiguration with all its faults."""
    raise NotImplementedError
