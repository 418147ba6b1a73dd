"""What is found while one document is read, event by event."""

from collections.abc import Mapping
from typing import Any

from protocols.epcis.event import Use
from protocols.epcis.faults import CaptureFault
from protocols.epcis.standard import Standard
from protocols.epcis.tolerances import Tolerances
from protocols.epcis.values import show

ERRORS_MAX = 100
WARNINGS_MAX = 100
"""Of one event, and of a document besides its events; what is beyond is not listed."""


class Inspection:
    """Holds what is held against, and collects faults."""

    __slots__ = (
        "_warned",
        "comments",
        "faults",
        "instants",
        "latest_us",
        "namespaces",
        "refused",
        "repaired",
        "severities",
        "standard",
        "uses",
    )

    def __init__(self, standard: Standard, tolerances: Tolerances, *, now_us: int) -> None:
        self.standard = standard
        own = tolerances.severities
        self.severities = {**standard.severities, **own} if own else standard.severities
        self.latest_us = now_us + round(tolerances.clock_ahead_s * 1_000_000)
        """Later times lie in the future."""
        self.namespaces: Mapping[str, str] = {}
        self.begin()

    def begin(self) -> None:
        """Forget what was found: another part of the document comes."""
        self.faults: list[CaptureFault] = []
        self.refused = 0
        """Errors so far."""
        self._warned = 0
        self.uses: list[Use] = []
        self.instants: list[tuple[str, int]] = []
        """Pointers and times of what sensors told, us."""
        self.repaired: dict[str, Any] = {}
        """Properties of the event that were put right."""
        self.comments = False
        """There are comments to leave out."""

    def note(self, at: str, rule: str, expected: str, found: object) -> None:
        """Note a fault.

        Args:
            at: JSON pointer.
            rule: a word of rules.toml.
            expected: what would have been right.
            found: the value, or in words what was found.

        """
        severity = self.severities[rule]
        if severity == "error":
            self.refused += 1
            listed = self.refused <= ERRORS_MAX
        elif severity == "warning":
            self._warned += 1
            listed = self._warned <= WARNINGS_MAX
        else:
            return
        if listed:
            self.faults.append(
                CaptureFault(
                    pointer=at,
                    rule=rule,
                    expected=expected,
                    found=show(found),
                    severity="error" if severity == "error" else "warning",
                )
            )

    def missing(self, at: str, name: str) -> None:
        """Note that a required property is not there; the pointer is that of its object."""
        self.note(at, "missing_property", f"the property {name}", "nothing")

    def wrong_type(self, at: str, expected: str, found: object) -> None:
        """Note a value of a wrong JSON type."""
        self.note(at, "wrong_type", expected, found)
