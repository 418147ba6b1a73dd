"""What is sent for subscriptions, by the process that consumes."""

import base64
from datetime import tzinfo
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud.access.second_factor import KEY_FILE
from cloud.model.principal import NOTHING, Scope
from cloud.roles.common import Common
from cloud.roles.sign_on import open_caller
from cloud.trace.base import StoredEvent, TraceStore
from cloud.trace.delivery import Deliveries
from cloud.trace.due import Reader, formats_of
from cloud.trace.live import LiveDesk
from cloud.trace.query.parse import read_query
from cloud.trace.render import Renderer
from cloud.trace.store import SqlTraceStore
from cloud.trace.subscription_rows import Standing
from protocols.clock import Clock
from protocols.epcis.standard import Standard
from protocols.errors import RetryLater

CALL = "trace.read"
PURPOSE = b"suyuan.webhook-secrets"


class WebhookSeal:
    """Seals secrets under a key made of the one that seals second factors."""

    def __init__(self, file: Path) -> None:
        """Take the file of that key; it is read when it is needed, for it may not be there yet."""
        self._file = file

    def close(self, secret: str) -> str:
        """Return a secret sealed."""
        return self._fernet().encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return a secret; RetryLater: the key is not here, or another."""
        try:
            return self._fernet().decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise RetryLater(f"{self._file} did not seal the secrets of webhooks") from None

    def _fernet(self) -> Fernet:
        try:
            key = self._file.read_bytes().strip()
        except OSError as error:
            raise RetryLater(f"the key of webhook secrets: {error}") from error
        derived = HKDF(SHA256(), 32, salt=None, info=PURPOSE).derive(key)
        return Fernet(base64.urlsafe_b64encode(derived))


def open_deliveries(common: Common) -> Deliveries:
    """Return what sends."""
    standard = common.standard
    store = SqlTraceStore(common.state_db, standard=standard)
    return Deliveries(
        common.state_db,
        store,
        outbound=open_caller(common.settings.outbound),
        seal=WebhookSeal(key_file(common)),
        clock=common.clock,
        rights=lambda principal, account: rights_of(common, principal, account),
        reader=reader_of(store, standard, common.clock, ZoneInfo(common.settings.time_zone)),
        write=Writer(standard),
    )


def reader_of(store: TraceStore, standard: Standard, clock: Clock, zone: tzinfo) -> Reader:
    """Return what reads pages of subscriptions."""
    return Reader(store, clock=clock, zone=zone, read_query=partial(read_query, standard=standard))


def open_live(store: TraceStore, standard: Standard, clock: Clock, zone: tzinfo) -> LiveDesk:
    """Return subscriptions over open connections."""
    reader = reader_of(store, standard, clock, zone)
    return LiveDesk(store, reader, Writer(standard), clock=clock, zone=zone)


class Writer:
    """Writes what is sent."""

    def __init__(self, standard: Standard) -> None:
        self._standard = standard

    def __call__(self, events: list[StoredEvent], standing: Standing, *, created_us: int) -> bytes:
        """Return an EPCISQueryDocument in JSON."""
        one = standing.subscription
        renderer = Renderer(self._standard, formats_of(standing))
        chunks = renderer.query_document(
            "json",
            events,
            created_us=created_us,
            query_name=one.query_name,
            subscription_id=one.subscription_id,
        )
        return b"".join(chunks)


def rights_of(common: Common, principal: str, account: int | None, call: str = CALL) -> Scope:
    """Return how far somebody's reading reaches now; of a key that was revoked, nowhere."""
    if account is None:
        return Scope(everything=True) if principal.startswith("token:") else NOTHING
    kind, _, number = principal.partition(":")
    now = common.access.principal(account)
    if now is None:
        return NOTHING
    if kind == "key":
        now_ms = common.clock.wall_ms()
        keys = [one for one in common.access.keys.of(now.organisation) if str(one.id) == number]
        good = any(one.revoked_at is None and one.expires_at > now_ms for one in keys)
        return now.only(keys[0].calls).scope(call) if good else NOTHING
    return now.scope(call)


def key_file(common: Common) -> Path:
    """Return the file of the key that seals what is secret about accounts."""
    named = common.settings.accounts.key_file
    return Path(named) if named else common.data / KEY_FILE
