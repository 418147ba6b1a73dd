"""Partners and receipts, as others see them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from cloud.model.database import Work

State = Literal["active", "paused", "ending"]
"""`ending`: it was deleted, and our subscription there is still to be ended."""
Kind = Literal["pulled", "notified", "pushed"]
Outcome = Literal["running", "done", "refused", "split"]
"""`refused`: some or all of its events were. `split`: all, so they are sent again in halves."""
SENDER = "partner:"
"""Before the id of a partner, where jobs name who sent a document."""
PAGE_EVENTS = 500
"""Asked for at a time, at first."""
BATCH_EVENTS = 500
"""Sent at a time, at first."""


class Pull(Struct, frozen=True, kw_only=True):
    """What is fetched."""

    query_name: str = ""
    """Of a named query there; empty: `parameters` alone."""
    parameters: Mapping[str, str] = {}
    """Of the query language, as in an address."""
    extensions: str = ""
    """The header GS1-Extensions."""
    cursor: Literal["recordTime", "eventTime"] = "recordTime"
    """By which time what is new is asked for."""
    overlap_s: int = 300
    """Asked for again each time: another repository may commit late what it recorded early."""
    interval_s: int = 60
    since_ms: int | None = None
    """Where it begins; None: with everything."""
    subscribe: bool = False
    """Whether the partner is asked to call us; only of a named query."""


class Push(Struct, frozen=True, kw_only=True):
    """What is sent."""

    query_name: str = ""
    """Of our named query; empty: all that may be seen."""
    whole: bool = False
    """Whether what was captured before is sent, too."""


class Course(Struct, frozen=True, kw_only=True):
    """How one direction goes."""

    success_at_ms: int | None = None
    failing_since_ms: int | None = None
    failures: int = 0
    """One after the other."""
    fault: str = ""
    """Of the last try, for people; empty when it went well."""


class Pulling(Struct, frozen=True, kw_only=True):
    """How far fetching has come. A chain is the pages of one answer."""

    cursor_ms: int | None = None
    """Newest time of all that is settled."""
    next_url: str = ""
    """The page of the chain that follows; empty: a chain begins."""
    pages: int = 0
    high_ms: int | None = None
    """Newest time in the chain."""
    ordered: bool = True
    """Whether the chain came in the order of the cursor's time so far."""
    seen: str = ""
    """Digest of the last page."""
    size: int = PAGE_EVENTS
    then: "Pulling | None" = None
    """How far it is when the jobs below have ended; None: nothing is waited for."""
    jobs: Sequence[str] = ()
    """Our capture jobs that take long."""
    course: Course = Course()


class Pushing(Struct, frozen=True, kw_only=True):
    """How far sending has come."""

    passed_no: int = 0
    """event_no that all was sent and settled up to."""
    batch: int = BATCH_EVENTS
    job_url: str = ""
    """Their job under way; empty: none is."""
    sent_no: int = 0
    """event_no that the document of that job goes up to."""
    sent: int = 0
    """Events of that document."""
    refused: int = 0
    """Single events refused, one after the other."""
    course: Course = Course()


class Subscribed(Struct, frozen=True, kw_only=True):
    """Our subscription at a partner."""

    sealed: str = ""
    """The secret under which it signs."""
    url: str = ""
    """Of the subscription; empty: there is none."""
    query_name: str = ""
    fault: str = ""


class Partner(Struct, frozen=True, kw_only=True):
    """Another repository."""

    partner_id: str
    organisation: str
    name: str
    base: str
    header: str
    credential: str
    """Sealed."""
    tolerances: str
    principal: str
    account: int | None
    created_at_ms: int
    state: State
    pull: Pull | None
    push: Push | None
    turn: int
    pull_at_ms: int
    push_at_ms: int
    pulling: Pulling
    pushing: Pushing
    subscribed: Subscribed
    heard_at_ms: int | None

    @property
    def by(self) -> str:
        """Who captures what comes from it, for jobs."""
        return SENDER + self.partner_id


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of one document."""

    receipt: int
    partner_id: str
    organisation: str
    kind: Kind
    begun_at_ms: int
    ended_at_ms: int | None
    state: Outcome
    url: str
    job: int | None
    events: int
    stored: int
    duplicates: int
    refused: int
    last_no: int | None
    faults: Sequence[Mapping[str, Any]]


class Wanted(Struct, frozen=True, kw_only=True):
    """What somebody says of a partner."""

    name: str
    base: str
    header: str = ""
    credential: str | None = None
    """None: as it was."""
    tolerances: str = ""
    """Empty: as of the organisation."""
    pull: Pull | None = None
    push: Push | None = None


class Partners(Protocol):
    """An organisation's partners; another's are not told from what does not exist."""

    async def make(
        self,
        organisation: str,
        wanted: Wanted,
        *,
        principal: str,
        account: int | None,
        also: Sequence[Work] = (),
    ) -> Partner:
        """Register one; RefuseInput `quota_reached`, `bad_partner`, `bad_address`."""
        ...

    async def change(
        self,
        organisation: str,
        partner_id: str,
        wanted: Wanted,
        *,
        principal: str,
        account: int | None,
        also: Sequence[Work] = (),
    ) -> Partner:
        """Change one. What is fetched by another query than before begins anew."""
        ...

    async def get(self, organisation: str, partner_id: str) -> Partner:
        """Return one; RefuseInput `not_found`."""
        ...

    async def find(self, organisation: str) -> list[Partner]:
        """Return all, by name."""
        ...

    async def set_state(
        self, organisation: str, partner_id: str, state: State, *, also: Sequence[Work] = ()
    ) -> Partner:
        """Pause one, let it go on, or end it."""
        ...

    async def run_now(
        self, organisation: str, partner_id: str, *, also: Sequence[Work] = ()
    ) -> Partner:
        """Have it looked at within a second or two, whatever it waits for."""
        ...

    async def receipts(
        self, organisation: str, partner_id: str, *, before: int | None, limit: int
    ) -> list[Receipt]:
        """Return receipts, the newest first; also of one that was deleted."""
        ...

    async def waiting(self, partner: Partner) -> int:
        """Return how many events of the repository sending has not passed."""
        ...

    async def expects(self, partner_id: str) -> None:
        """Refuse a call from where no subscription is ours; RefuseInput `not_found`."""
        ...

    async def hear(self, partner_id: str, body: bytes, *, media_type: str, signed: str) -> None:
        """Take what a subscription brings; durable on return.

        Raises:
            RefuseInput: `not_found`, `forbidden`: not signed by its secret, `too_large`.
            RetryLater: the partner is paused, or too many captures wait.

        """
        ...
