"""What others may ask of the watch over cylinders."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from cloud.model.cylinder_case import (
    CylinderCase,
    DayCount,
    Figures,
    FiguresBy,
    WantedCases,
)
from cloud.model.cylinder_notice import NoticeTo, NoticeToBody
from cloud.model.database import Work
from cloud.model.principal import Granted, Scope
from protocols.cylinders.watch import Watch


class Cases(Protocol):
    """Work lists, calendar and figures."""

    @property
    def watch(self) -> Watch:
        """The terms, with the words of each kind."""
        ...

    def today(self) -> date:
        """Return the local day."""
        ...

    async def find(self, scope: Scope, wanted: WantedCases) -> list[CylinderCase]:
        """Return cases by their day, the earliest first."""
        ...

    async def get(self, case_id: int, scope: Scope) -> CylinderCase:
        """Return one; RefuseInput `not_found`."""
        ...

    async def close(
        self, granted: Granted, case_id: int, note: str, *, also: Sequence[Work] = ()
    ) -> CylinderCase:
        """Close one with a word on what was done.

        RefuseInput `not_found`; `wrong_state`: it has ended, or only what it tells of ends it.
        """
        ...

    async def calendar(self, scope: Scope, wanted: WantedCases) -> list[DayCount]:
        """Count open cases by day and kind."""
        ...

    async def figures(self, scope: Scope, by: FiguresBy) -> list[Figures]:
        """Count cylinders in use and open cases, those with the most cylinders first."""
        ...

    async def note_snapshot(self, gateway: str, station: str, number: int) -> None:
        """Note which snapshot a gateway has that proved who it is; 0: none."""
        ...


class Addresses(Protocol):
    """Who is told of the lists."""

    async def find(self, granted: Granted) -> list[NoticeTo]:
        """Return the addresses of the organisations within the scope."""
        ...

    async def add(
        self, granted: Granted, body: NoticeToBody, *, also: Sequence[Work] = ()
    ) -> NoticeTo:
        """Tell an address from now on, as far as the caller's reading reaches at any time.

        RefuseInput `bad_request`, `bad_address`; RetryLater: its name is not found now.
        """
        ...

    async def test(self, granted: Granted, address_id: int, *, also: Sequence[Work] = ()) -> None:
        """Send a notice that tells nothing new.

        RefuseInput `not_found`; `wrong_state`: one is on its way, or was made a minute ago.
        """
        ...

    async def remove(self, granted: Granted, address_id: int, *, also: Sequence[Work] = ()) -> None:
        """Tell an address no more; RefuseInput `not_found`."""
        ...
