"""What other parts need of the alarms."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from cloud.model.alarm import Alarm, OutOfService, Severity
from cloud.model.alarm_terms import AlarmTerms, Figure
from cloud.model.database import Work
from cloud.model.principal import EVERYTHING, Scope


class Alarms(Protocol):
    """The alarm desk."""

    async def acknowledge(
        self,
        alarm_id: int,
        *,
        by: str,
        note: str = "",
        scope: Scope = EVERYTHING,
        also: Sequence[Work] = (),
    ) -> Alarm:
        """Acknowledge; RefuseInput `not_found` or `not_acknowledgeable`."""
        ...

    async def find(
        self,
        *,
        scope: Scope,
        states: Sequence[str] | None = None,
        asset: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[Alarm]:
        """Return alarms, newest (largest id) first, with id < `before_id`."""
        ...

    async def get(self, alarm_id: int, *, scope: Scope) -> Alarm | None:
        """Return one alarm that the scope admits."""
        ...

    async def shelve(
        self,
        alarm_id: int,
        *,
        until_ms: int,
        reason: str,
        by: str,
        scope: Scope,
        also: Sequence[Work] = (),
    ) -> Alarm:
        """Put aside until a moment.

        Raises:
            RefuseInput: `not_found`, `bad_request`, `never_held`, `shelved_too_often`,
                `wrong_state`.

        """
        ...

    async def unshelve(self, alarm_id: int, *, scope: Scope, also: Sequence[Work] = ()) -> Alarm:
        """Take back; RefuseInput `not_found`, `wrong_state`."""
        ...

    async def reset(self, alarm_id: int, *, scope: Scope, also: Sequence[Work] = ()) -> Alarm:
        """End the latch; RefuseInput `not_found`, `wrong_state`."""
        ...

    async def take_out_of_service(
        self,
        asset: str,
        *,
        reason: str,
        by: str,
        return_expected_at: int | None = None,
        also: Sequence[Work] = (),
    ) -> OutOfService:
        """Hold all alarms of an asset but emergencies; RefuseInput `bad_request`."""
        ...

    async def return_to_service(self, asset: str, *, by: str, also: Sequence[Work] = ()) -> None:
        """Hold them no longer; RefuseInput `not_found`."""
        ...

    async def out_of_service(
        self, *, scope: Scope, asset: str | None = None
    ) -> Sequence[OutOfService]:
        """Return what is out of service, the longest first."""
        ...


class Actor(Struct, frozen=True, kw_only=True):
    """One alert of one asset, and how often it asked."""

    asset: str
    alert: str
    count: int


class StaleAlarm(Struct, frozen=True, kw_only=True):
    """An alarm that stands too long."""

    id: int
    asset: str
    alert: str
    severity: Severity
    raised_at: int


class Figures(Struct, frozen=True, kw_only=True):
    """How much is asked of the operators within a window."""

    from_at: int
    to_at: int
    total: int
    """Times that an alarm asked for an operator."""
    per_10_minutes: float
    """On average, per operator."""
    per_day: float
    """On average, per operator."""
    busiest_10_minutes: int
    """Of one operator, in the fullest stretch."""
    busiest_at: int | None = None
    """When that stretch began."""
    last_10_minutes: int
    """Of one operator, until now."""
    flood: bool
    """They are more than one can follow just now."""
    flood_percent: float
    """Share of the window in flood."""
    chattering: Sequence[Actor]
    """Alarms that came and went too often within seconds; `count`: how often in the window."""
    stale: Sequence[StaleAlarm]
    """The longest standing first."""
    stale_total: int
    top: Sequence[Actor]
    top_percent: float
    """Share of the most frequent in all."""
    by_severity: Mapping[Severity, int]
    acknowledged: int
    acknowledge_p50_s: float | None = None
    acknowledge_p95_s: float | None = None
    open: int
    shelved: int
    suppressed: int
    out_of_service: int

    def value(self, figure: Figure) -> float | None:
        """Return a figure that has a target."""
        if figure == "stale":
            return float(self.stale_total)
        if figure == "chattering":
            return float(len(self.chattering))
        found = getattr(self, figure)
        return None if found is None else float(found)


class AlarmFigures(Protocol):
    """Asks the database each time: nothing is older than the question."""

    @property
    def terms(self) -> AlarmTerms:
        """What is counted, and the targets."""
        ...

    async def figures(self, window_h: int, scope: Scope) -> Figures:
        """Return the figures of the last hours, of what the scope admits."""
        ...
