"""One rescue while it is being changed: its new state, and the entries that tell of it."""

from typing import Any

from msgspec.structs import replace

from cloud.incidents import deadlines
from cloud.model.incident import Deadline, DeadlineKind, Entry, Incident

SYSTEM = "system"
"""The author of what nobody did."""
Found = tuple[str, str, str]
"""Asset, reason and detail of a finding."""


class Draft:
    """An incident in a transaction; `Book.save` writes what became of it."""

    def __init__(self, incident: Incident, now_ms: int) -> None:
        self.before, self.incident, self.now_ms = incident, incident, now_ms
        self.entries: list[Entry] = []
        self.found: list[Found] = []
        """What somebody should look at afterwards."""

    def set(self, **fields: Any) -> None:
        """Change fields."""
        self.incident = replace(self.incident, **fields)

    def enter(
        self,
        what: str,
        *,
        by: str = SYSTEM,
        at: int | None = None,
        level: int | None = None,
        unit: str | None = None,
        to: str = "",
        note: str = "",
    ) -> None:
        """Add an entry to the record."""
        entry = Entry(
            id=0,
            incident=self.incident.id,
            what=what,
            at=self.now_ms if at is None else at,
            recorded_at=self.now_ms,
            by=by,
            level=self.incident.level if level is None else level,
            unit=unit,
            to=to,
            note=note,
        )
        self.entries.append(entry)

    def nobody(self, detail: str, *, level: int | None = None) -> None:
        """Say that there was nobody to be asked or told: in the record, and as a finding."""
        self.enter("nobody", level=level, note=detail)
        if not self.incident.drill:
            told = f"rescue {self.incident.number}: {detail}"
            self.found.append((self.incident.asset, "rescue_nobody", told))

    def settle(self, *kinds: DeadlineKind) -> None:
        """Settle deadlines of these kinds."""
        self.set(deadlines=deadlines.settle(self.incident.deadlines, kinds, self.now_ms))

    def add(self, *more: Deadline) -> None:
        """Add deadlines."""
        self.set(deadlines=(*self.incident.deadlines, *more))

    def finish(self) -> None:
        """Settle what its state made pointless and count the version up."""
        self.incident = deadlines.kept_right(self.incident, self.now_ms)
        self.set(changed_at=self.now_ms, version=self.before.version + 1)
