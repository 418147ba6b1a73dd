"""Who the feed is sent to: where, what of it, how it is doing."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from cloud.model.alarm import Severity
from cloud.model.cylinder_notice import MAIL
from protocols.errors import RefuseInput

ReceiverKind = Literal["webhook", "cap", "mqtt", "alertmanager", "mail"]
ReceiverState = Literal["active", "paused", "stopped"]
StopReason = Literal["gone", "failed", "owner"]
"""It said 410; it failed for longer than the whole schedule; whoever asked for it may read the feed
no more."""
FeedEvent = Literal["alarm", "incident"]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}\Z")]
District = Annotated[str, Meta(min_length=1, max_length=64)]
Password = Annotated[str, Meta(pattern=r"^[ -~]{1,256}\Z")]


class FeedFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the feed is wanted; an empty list: any."""

    events: Annotated[tuple[FeedEvent, ...], Meta(max_length=2)] = ()
    severities: Annotated[tuple[Severity, ...], Meta(max_length=4)] = ()
    alerts: Annotated[tuple[Word, ...], Meta(max_length=100)] = ()
    changes: Annotated[tuple[Word, ...], Meta(max_length=50)] = ()
    """Words of `change`, such as fired, acknowledged, resolved."""
    districts: Annotated[tuple[District, ...], Meta(max_length=100)] = ()
    drills: bool = False
    """Also what is only an exercise."""


class ReceiverOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What only some kinds know; the others leave it as it is."""

    signing: Literal["hmac", "ed25519"] = "hmac"
    """webhook: Standard Webhooks `v1` or `v1a`."""
    language: Literal["zh", "en"] = "zh"
    """mail, alertmanager."""
    username: Annotated[str, Meta(max_length=100)] = ""
    """mqtt, cap, alertmanager: with `password`; without a name it is sent as a bearer token."""
    resend_s: Annotated[int, Meta(ge=5, le=3_600)] = 60
    """alertmanager: open alerts are told again so often; less than half its `resolve_timeout`."""
    mails_an_hour: Annotated[int, Meta(ge=1, le=600)] = 20
    """mail: emergencies do not count."""


class ReceiverBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver as somebody asks for it."""

    name: Name
    kind: ReceiverKind
    address: Annotated[str, Meta(max_length=2_000)] = ""
    """webhook, cap: a URL; alertmanager: that of its root; mail: an address; mqtt: a broker's
    `mqtt(s)://host[:port]`, empty: the service's own."""
    filter: FeedFilter = FeedFilter()
    options: ReceiverOptions = ReceiverOptions()
    password: Password | None = None
    """mqtt, cap, alertmanager; None at a change: as it was."""
    after: Annotated[int, Meta(ge=0)] | None = None
    """Offset of the feed to begin after, 0 all that is kept; None: what comes from now on."""


class Health(Struct, frozen=True, kw_only=True):
    """How a receiver is doing. All times are ms since 1970."""

    last_success_at: int | None = None
    last_error_at: int | None = None
    last_error: str = ""
    attempts: int = 0
    """So often what is next was tried in vain."""
    retry_at: int | None = None
    waiting: int = 0
    """Items that are to be sent."""
    waiting_more: bool = False
    """There are more than were counted."""
    oldest_at: int | None = None
    """When the oldest of them happened."""
    delivered: int = 0
    latency_ms: int | None = None
    """The last delivery took so long."""
    gap_items: int = 0
    """So many items of the feed were no longer kept, or left out by word of a person; some of
    them may not have been wanted."""
    gap_at: int | None = None


class Receiver(Struct, frozen=True, kw_only=True):
    """One receiver as it is shown."""

    id: int
    key: str
    """Stands in the ids of its messages."""
    organisation: str
    name: str
    kind: ReceiverKind
    address: str
    filter: FeedFilter
    options: ReceiverOptions
    state: ReceiverState
    why: StopReason | None
    created_at: int
    changed_at: int
    created_by: str
    public_keys: tuple[str, ...] = ()
    """webhook with ed25519: `whpk_…`, newest first."""
    secrets: int = 0
    """So many sign now; during a rotation two."""
    health: Health = Health()


class ReceiverMade(Struct, frozen=True, kw_only=True):
    """A new receiver, or a new secret of one; the secret is told this once."""

    receiver: Receiver
    secret: str = ""


def check_body(body: ReceiverBody) -> None:
    """Refuse an address that does not fit the kind, and a password where none is known.

    Raises:
        RefuseInput: `bad_request`, naming the field.

    """
    if body.kind == "mail" and not re.match(MAIL, body.address):
        raise RefuseInput("bad_request", "address: expected one of mail")
    if body.kind in ("webhook", "cap", "alertmanager") and not body.address:
        raise RefuseInput("bad_request", "address: expected a URL")
    if body.kind == "mqtt" and body.address:
        broker_of(body.address)
    if body.password and body.kind in ("webhook", "mail"):
        raise RefuseInput("bad_request", "password: expected none for this kind")


def broker_of(address: str) -> tuple[str, int, bool]:
    """Return (host, port, by TLS) of a broker's address.

    Raises:
        RefuseInput: `bad_request`.

    """
    wrong = RefuseInput(
        "bad_request", "address: expected mqtt://host[:port] or mqtts://host[:port]"
    )
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if parts.scheme not in ("mqtt", "mqtts") or not host or any(rest):
        raise wrong
    tls = parts.scheme == "mqtts"
    return host, port or (8883 if tls else 1883), tls
