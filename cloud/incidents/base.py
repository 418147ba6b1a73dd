"""What other parts need of the rescues."""

from collections.abc import Sequence
from typing import Protocol

from cloud.model.database import Work
from cloud.model.incident import (
    Act,
    Call,
    Entry,
    Incident,
    KeptCall,
    RescueUnit,
    Verb,
    WantedIncidents,
)
from cloud.model.principal import EVERYTHING, Granted, Scope
from cloud.model.rescue_figures import FiguresBy, RescueFigures
from cloud.model.rescue_policy import RescueRules

ANSWERS: tuple[Verb, ...] = ("accept", "refuse", "set_out", "arrive", "release", "note")
"""What a unit may say; guarded by incidents.answer, all others by incidents.act."""


class Incidents(Protocol):
    """The desk of rescues. What the scope does not admit is `not_found`."""

    @property
    def rules(self) -> RescueRules:
        """Policies, levels and causes, with their words."""
        ...

    async def find(self, wanted: WantedIncidents, scope: Scope = EVERYTHING) -> Sequence[Incident]:
        """Return incidents, newest or most urgent first."""
        ...

    async def get(self, incident_id: int, scope: Scope = EVERYTHING) -> Incident:
        """Return one; RefuseInput `not_found`."""
        ...

    async def record(self, incident_id: int, scope: Scope = EVERYTHING) -> Sequence[Entry]:
        """Return the whole record of one, oldest first; RefuseInput `not_found`."""
        ...

    async def open_call(
        self, call: Call, *, granted: Granted, also: Sequence[Work] = ()
    ) -> Incident:
        """Open an incident for a call, or join the call to the lift's open one.

        Raises:
            RefuseInput: `unknown_code`: no lift has this rescue code; `ambiguous_code`: several
                have it; `wrong_state`: a drill at a lift with a real rescue. The call is kept in
                each of these cases. `bad_request`; `not_found`: an asset that the caller may not
                see.

        """
        ...

    async def calls(
        self, scope: Scope, *, unplaced: bool = False, before_id: int | None = None, limit: int
    ) -> Sequence[KeptCall]:
        """Return calls, newest first; `unplaced`: only those that came to no incident."""
        ...

    async def act(
        self,
        incident_id: int,
        verb: Verb,
        act: Act,
        *,
        granted: Granted,
        also: Sequence[Work] = (),
    ) -> Incident:
        """Do something; doing again what is done already changes nothing.

        Raises:
            RefuseInput: `not_found`; `wrong_state`, naming the state and what may be done in it;
                `bad_request`, naming the field; `forbidden`: not of the unit that must say it;
                `changed`: it is of another version than the one that was seen.

        """
        ...

    def verbs(self, incident: Incident) -> Sequence[Verb]:
        """Return what may be done with it now, the next expected step first."""
        ...

    async def units(
        self, incident: Incident, level: int
    ) -> Sequence[tuple[RescueUnit, float | None]]:
        """Return who could be sent at a level, the best first, with the distance in m if known.

        Level 1: the lift's contracted firm; levels 2 and 3: units on duty, nearest first.
        """
        ...

    async def figures(
        self, scope: Scope, *, from_at: int, to_at: int, by: FiguresBy
    ) -> RescueFigures:
        """Return the figures of rescues detected from `from_at` until before `to_at`."""
        ...

    async def put_unit(self, unit: RescueUnit, also: Sequence[Work] = ()) -> RescueUnit:
        """Register or change a unit."""
        ...

    async def all_units(self) -> Sequence[RescueUnit]:
        """Return all units, by name."""
        ...
