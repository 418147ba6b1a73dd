"""What others may ask of the trace repository, as small Protocols and frozen types."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct
from sqlalchemy import Connection

from cloud.model.database import Work
from cloud.model.principal import Scope
from cloud.trace.query.base import EventQuery
from protocols.epcis.document import MasterElement
from protocols.epcis.event import Event

Behaviour = Literal["rollback", "proceed"]
"""EPCIS 2.0 capture error behaviour: all events of a document or none, or all that can be."""
Outcome = Literal["stored", "duplicate", "conflict"]
Listing = Literal["eventTypes", "epcs", "bizSteps", "bizLocations", "readPoints", "dispositions"]
"""The top-level resources of the REST binding."""
EpcFormat = Literal[
    "No_Preference", "Always_GS1_Digital_Link", "Always_EPC_URN", "Never_Translates"
]
CbvXmlFormat = Literal["No_Preference", "Always_Web_URI", "Always_URN", "Never_Translates"]


class Formats(Struct, frozen=True):
    """What an answer's reader wants, as the headers of the REST binding say it."""

    epc: EpcFormat = "Always_GS1_Digital_Link"
    """GS1-EPC-Format. A Digital Link at another host stays as it is, and so does what has no form
    in the other writing."""
    cbv_xml: CbvXmlFormat = "No_Preference"
    """GS1-CBV-XML-Format. XML has no bare words: unless URNs are asked for, web addresses."""


class Captured(Struct, frozen=True):
    """What became of one event."""

    outcome: Outcome
    """`duplicate`: the same event was here already. `conflict`: its event id is that of an event
    with another hash, and it declares no error: nothing was stored."""
    event_no: int | None
    """Where it is now; None for a conflict, and for all of a capture that stored nothing."""
    event_id: str
    """As given, or its hash when nobody gave one."""


Then = Callable[[Connection, Sequence[Captured]], object]


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event of the repository."""

    event_no: int
    """Dense, in the order of commit, from 1."""
    event_id: str
    """As captured, or its hash when nobody gave one; not unique: an error declaration repeats the
    id of the event that it voids."""
    hash: str
    """`ni:///sha-256;…?ver=CBV2.0`."""
    body: dict[str, Any]
    """As captured, see `Event.body`; `eventID` is in it only when it was captured."""
    contexts: list[str | dict[str, Any]]
    """As `Event.contexts`."""
    event_time_us: int
    record_time_us: int
    """us since 1970 UTC; never falls with `event_no`."""
    organisation: str
    """That captured it first; empty for none."""
    declared_at_us: int | None
    """Not None: it is an error declaration."""
    voided_by: int | None
    """`event_no` of its error declaration."""


class Position(Struct, frozen=True, array_like=True):
    """Where a page ended. Events captured later do not come into the pages that follow."""

    bound: int
    """The newest event number when the first page was made."""
    last: tuple[int | float | str | bytes | None, ...]
    """Sort key of the last event of the page."""
    left: int | None = None
    """How many more the query's own `eventCountLimit` lets through."""


class EventPage(Struct, frozen=True):
    """Some events, in the order that the query asked for."""

    events: list[StoredEvent]
    next: Position | None
    """None: this was the last page."""


class NamedQuery(Struct, frozen=True, kw_only=True):
    """A query that an organisation keeps under a name."""

    name: str
    query: Mapping[str, Any]
    """As it was given."""
    by: str
    organisation: str
    created_at_ms: int


class Job(Struct, frozen=True, kw_only=True):
    """A capture job.

    `running` and `success` are EPCIS words: while it runs, success says that no error was met so
    far; of a `rollback` job that ended without success nothing was stored.
    """

    capture_id: str
    by: str
    organisation: str
    behaviour: Behaviour
    created_at_ms: int
    ended_at_ms: int | None
    success: bool
    stored: int
    duplicates: int
    refused: int
    faults: list[dict[str, Any]]
    """`CaptureFault`s as objects, errors and warnings, at most `FAULTS_MAX`."""

    @property
    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self.ended_at_ms is None


FAULTS_MAX = 1000
"""What a job keeps of its faults; those beyond are counted in `refused` alone."""


class TraceStore(Protocol):
    """The repository's events. What is outside a scope is not told from what does not exist."""

    async def capture(
        self,
        events: Sequence[Event],
        *,
        organisation: str,
        recorded_at_us: int,
        behaviour: Behaviour = "rollback",
        job: int | None = None,
        master: Sequence[MasterElement] = (),
        then: Then | None = None,
        also: Sequence[Work] = (),
    ) -> list[Captured]:
        """Store events, in one transaction; on return they are durable.

        The record time of all of them is `recorded_at_us`, or that of the newest event when that
        is later: it never falls. Under `rollback` one conflict leaves nothing stored: then every
        `event_no` is None but those of duplicates, and neither `then` nor `also` was run.

        Args:
            events: valid ones; in order.
            organisation: that captures them; empty for none.
            recorded_at_us: now.
            behaviour: whether a conflict lets the others through.
            job: number of the capture job that they belong to.
            master: what the document's header says, stored with them.
            then: is told what became of each, in the same transaction.
            also: what stands or falls with them, in the same transaction.

        Returns:
            What became of each, in the order of `events`.

        Raises:
            RetryLater: the database is away.

        """
        ...

    async def find(
        self, query: EventQuery, *, scope: Scope, after: Position | None = None, limit: int
    ) -> EventPage:
        """Return the events that the query admits, a page of at most `limit`.

        Without `orderBy` they come in the order of record.

        Raises:
            TooLarge: more events than the query's `maxEventCount`.

        """
        ...

    async def event(self, event_id: str, *, scope: Scope) -> list[StoredEvent]:
        """Return all events with an id, in the order of record.

        None, one, or an event and what declares it wrong.
        """
        ...

    async def listing(
        self, kind: Listing, *, scope: Scope, after: str = "", limit: int
    ) -> list[str]:
        """Return the values of a top-level resource, those behind `after`, by code point.

        Only what is in a visible event; so `eventTypes` may be short of standard types.
        """
        ...

    async def head(self) -> tuple[int, int]:
        """Return number and record time (us) of the newest event; (0, 0) when there is none."""
        ...

    async def put_party(
        self, organisation: str, identifier: str, *, also: Sequence[Work] = ()
    ) -> None:
        """Say that a canonical identifier names an organisation in source and destination lists.

        It sees the events that name it, those captured before too.
        """
        ...

    async def put_query(self, query: NamedQuery, *, also: Sequence[Work] = ()) -> None:
        """Keep a query; RefuseInput `name_taken`."""
        ...

    async def get_query(self, organisation: str, name: str) -> NamedQuery:
        """Return a query; RefuseInput `not_found`."""
        ...

    async def queries(self, organisation: str, *, after: str = "", limit: int) -> list[NamedQuery]:
        """Return an organisation's queries, by name."""
        ...

    async def delete_query(
        self, organisation: str, name: str, *, also: Sequence[Work] = ()
    ) -> None:
        """Forget a query; RefuseInput `not_found`."""
        ...


class Captures(Protocol):
    """Capture jobs: documents taken, read and stored beside the call that brought them."""

    async def take(
        self,
        document: bytes,
        *,
        media_type: str,
        behaviour: Behaviour,
        by: str,
        organisation: str,
        capture_id: str | None = None,
        also: Sequence[Work] = (),
    ) -> Job:
        """Take a document; on return it and its job are durable, and the job runs.

        Args:
            document: as it came.
            media_type: `application/json`, `application/ld+json`, `application/xml`.
            behaviour: what one bad event does to the others.
            by: who sends it, for the records.
            organisation: for which it is captured; empty for none.
            capture_id: 32 hexadecimal digits that nobody else has; None: made here.
            also: what stands or falls with it, such as the entry in the audit.

        Raises:
            RefuseInput: `too_large`: more bytes than `bytes_max`; `too_many_jobs`: so many wait.

        """
        ...

    async def job(self, capture_id: str, *, scope: Scope) -> Job:
        """Return a job; RefuseInput `not_found`."""
        ...

    async def jobs(
        self, *, scope: Scope, before: int | None = None, limit: int
    ) -> list[tuple[int, Job]]:
        """Return jobs and their numbers, the newest first, those before number `before`."""
        ...


class Subscription(Struct, frozen=True, kw_only=True):
    """A named query whose new events are sent to an address."""

    subscription_id: str
    organisation: str
    query_name: str
    principal: str
    """For whom, such as `account:12`; what is sent is what they may see at that time."""
    account: int | None
    dest: str
    schedule: Mapping[str, str]
    """As given; empty: events are sent as they come."""
    report_if_empty: bool
    epc_format: EpcFormat
    created_at_ms: int
    initial_us: int | None
    """Record time from which on events are sent; None: those after it was made."""
    min_record_us: int
    """Record time that the next events are not older than."""
    notified_at_ms: int | None
    state: Literal["active", "given_up"]
    """`given_up`: the address failed too often, nothing is sent to it any more."""
    error: str
    """Why the last try failed; empty when it did not."""


class Subscriptions(Protocol):
    """Subscriptions to an organisation's named queries."""

    async def subscribe(
        self,
        organisation: str,
        query_name: str,
        *,
        principal: str,
        account: int | None,
        dest: str,
        secret: str,
        schedule: Mapping[str, str],
        report_if_empty: bool,
        initial_us: int | None,
        epc_format: EpcFormat,
        also: Sequence[Work] = (),
    ) -> Subscription:
        """Begin one; RefuseInput `quota_reached`, `bad_subscription` for its schedule."""
        ...

    async def get(self, organisation: str, query_name: str, subscription_id: str) -> Subscription:
        """Return one; RefuseInput `not_found`."""
        ...

    async def find(
        self, organisation: str, query_name: str, *, after: str = "", limit: int
    ) -> list[Subscription]:
        """Return those of a query, by id."""
        ...

    async def unsubscribe(
        self,
        organisation: str,
        query_name: str,
        subscription_id: str,
        *,
        also: Sequence[Work] = (),
    ) -> None:
        """End one; RefuseInput `not_found`."""
        ...

    def ending(self, organisation: str, query_name: str) -> Work:
        """Return what ends all of a query, for the transaction that deletes it."""
        ...


class Live(Protocol):
    """A subscription that lasts as long as its connection."""

    @property
    def subscription(self) -> Subscription:
        """As it began."""
        ...

    def documents(self) -> AsyncGenerator[bytes]:
        """Yield EPCISQueryDocuments in JSON as they are due, without end.

        The next one is read when the one before was taken.

        Raises:
            RefuseInput: what `rights` raises; `not_found`: the query is gone.
            QueryFault: it can no more be carried out.

        """
        ...


class LiveSubscriptions(Protocol):
    """Subscriptions that are kept in memory alone."""

    async def begin(
        self,
        organisation: str,
        query_name: str,
        *,
        principal: str,
        account: int | None,
        schedule: Mapping[str, str],
        report_if_empty: bool,
        initial_us: int | None,
        epc_format: EpcFormat,
        document_bytes: int,
        rights: Callable[[], Scope],
    ) -> Live:
        """Begin one.

        Args:
            organisation: whose query it is.
            query_name: its name.
            principal: who subscribes.
            account: of this account.
            schedule: empty: as events come.
            report_if_empty: whether a run that finds nothing is told.
            initial_us: record time from which on; None: what is recorded from now on.
            epc_format: how identifiers are written.
            document_bytes: of a document, unless one event alone is larger.
            rights: how far the subscriber's reading reaches now; RefuseInput: no more at all.

        Raises:
            RefuseInput: `not_found`: no such query; `bad_subscription`: the schedule.

        """
        ...
