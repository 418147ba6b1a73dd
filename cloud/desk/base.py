"""What the pages need of the rescue centre's desk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from cloud.model.asset import Asset
from cloud.model.database import Work
from cloud.model.desk import Handover, HandoverBody, LinkKind, RescueLink
from cloud.model.principal import Granted, Scope
from cloud.model.rescue_data import Scripts
from cloud.model.rescue_policy import Causes


class Links(Protocol):
    """Links that let a telephone see or answer one rescue."""

    async def make(
        self,
        incident_id: int,
        kind: LinkKind,
        unit: str | None,
        *,
        by: str,
        also: Sequence[Work] = (),
    ) -> tuple[RescueLink, str]:
        """Make one; returns it with its token, which nobody can read again.

        Raises:
            RefuseInput: `quota_reached`: an incident has 50 links already.

        """
        ...

    async def find(self, incident_id: int) -> Sequence[RescueLink]:
        """Return all of an incident, newest first."""
        ...

    async def revoke(
        self, incident_id: int, link_id: int, *, by: str, also: Sequence[Work] = ()
    ) -> RescueLink:
        """End one at once; again changes nothing; RefuseInput `not_found`."""
        ...

    async def open(self, token: str, kind: LinkKind) -> RescueLink:
        """Return whose token it is, and note the first time.

        Raises:
            RefuseInput: `not_found`: unknown, of the other kind, revoked or too old; nothing tells
                which.

        """
        ...

    def once(self, link_id: int, key: str) -> Work:
        """Return what notes a pressed button, for the transaction that carries it out.

        It raises RefuseInput `already_there` for one that was noted before: a telephone that did
        not hear the answer sends it again.
        """
        ...


class Handovers(Protocol):
    """The notes of shifts."""

    async def make(
        self,
        body: HandoverBody,
        *,
        granted: Granted,
        open_numbers: Sequence[str],
        opened: int,
        ended: int,
        from_at: int,
        also: Sequence[Work] = (),
    ) -> Handover:
        """Write one; it is never changed."""
        ...

    async def find(self, granted: Granted, limit: int = 20) -> Sequence[Handover]:
        """Return those of the caller's organisation (all for who sees all), newest first."""
        ...

    async def get(self, granted: Granted, handover_id: int) -> Handover:
        """Return one; RefuseInput `not_found`."""
        ...


class Lifts(Protocol):
    """Finds a lift while somebody is on the telephone."""

    async def by_code(self, code: str, scope: Scope) -> Sequence[Asset]:
        """Return the lifts with this rescue code; more than one is a fault of the registry."""
        ...

    async def search(self, text: str, scope: Scope) -> Sequence[Asset]:
        """Return at most 20 lifts whose name, address or registration code has every word."""
        ...


class CauseChoice(Struct, frozen=True):
    """A cause that may be filed, with its class."""

    id: str
    title: str
    title_zh: str
    group_id: str
    group: str
    group_zh: str


def causes_of(causes: Causes) -> tuple[CauseChoice, ...]:
    """Return the causes that may be filed, those of a class together."""
    classes = {one.id: one for one in causes.class_}
    order = {one.id: index for index, one in enumerate(causes.class_)}
    return tuple(
        CauseChoice(
            one.id,
            one.title,
            one.title_zh,
            one.class_,
            classes[one.class_].title,
            classes[one.class_].title_zh,
        )
        for one in sorted(causes.cause, key=lambda one: order[one.class_])
    )


@dataclass(frozen=True, kw_only=True)
class RescueDesk:
    """All of it, and how far it goes."""

    links: Links
    handovers: Handovers
    lifts: Lifts
    scripts: Scripts
    causes: tuple[CauseChoice, ...] = ()
    link_hours: int = 12
    """So long after an incident's end its links still answer."""
    map_style_url: str = ""
    """Of the map's tiles; empty: none, only points."""
    map_sources: tuple[str, ...] = ()
    """Origins from which the map may load, as the security policy of its pages says them."""
