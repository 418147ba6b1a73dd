"""The service's settings: one optional TOML file, every key with its default."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from cloud.api.rates import Rates
from cloud.api.sockets import Sockets
from cloud.ingest.subscriber import BrokerAddress
from cloud.model.permissions import load_roles
from cloud.oidc.settings import Provider, check_providers
from cloud.outbound.mail import MailSettings
from cloud.outbound.policy import read_policy
from cloud.trust.setup import SERVICE_FILES, ca_folder, has_authority
from protocols.border import load_toml
from protocols.errors import Fault, FixConfiguration

Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
_STYLE = r"^(|https?://[!-~]{1,500}|/static/[!-~]{1,200})\Z"
_HOLD = r"^(asset|gateway|organisation|account):[!-~]{1,100}\Z"


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where log and state live; empty: SQLite files in the data folder."""

    log_url: str = ""
    state_url: str = ""


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The time-series store."""

    url: str = ""
    """Empty: DuckDB in the data folder; else see cloud/telemetry/open.py."""
    retention_days: Positive = 400
    memory_limit_mb: Annotated[int, Meta(ge=64)] = 512


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The durable log."""

    retention_days: Positive = 7
    disk_free_mb_min: Annotated[int, Meta(ge=0)] = 512
    """Below it stream `data` stays at the gateways."""
    consumer_lag_hours_max: Positive = 24


class IngestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateways are shared among ingesters; the same in every process."""

    shard_groups: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256] = 1
    """Into so many groups the shards are cut; each has one ingester. Several need PostgreSQL.
    Change it only while no ingester runs."""


class FeedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The feed of the rescue centre."""

    retention_days: Positive = 90


class DeskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rescue centre's desk."""

    link_hours: Annotated[int, Meta(ge=1, le=24 * 31)] = 12
    """So long after an incident's end the links that telephones were given still answer."""
    map_style_url: Annotated[str, Meta(pattern=_STYLE)] = (
        """""The MapLibre style of the map; empty: no tiles, only points."""
    )
    map_sources: tuple[Annotated[str, Meta(pattern=r"^https?://[a-zA-Z0-9.:-]{1,200}\Z")], ...] = ()
    """Origins from which that style loads tiles, glyphs and sprites."""


class ScanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What readers and scanners saw."""

    retention_days: Positive = 800
    """The one published rule on gas cylinders asks for two years."""


class TraceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The trace repository."""

    events_from_scans: bool = True
    """Scans at a known step become events; see docs/epcis-field.md."""
    partners_over_http: bool = False
    """Whether another repository may be reached without TLS; see docs/epcis-exchange.md."""


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the rules of data are carried out, and what they must spare."""

    at_hour: Annotated[int, Meta(ge=0, le=23)] = 3
    """Of each day, in `time_zone`."""
    holds: tuple[Annotated[str, Meta(pattern=_HOLD)], ...] = ()
    """Such as `asset:elevator:3110…`, `gateway:gw-1`, `organisation:…`, `account:12`."""


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to log in at the broker; the password comes from $SUYUAN_MQTT_PASSWORD.

    Without certificate files those of the authority in the data folder are used, if there is one.
    """

    username: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    log_file: str = ""
    """mosquitto's log, for what it refuses; empty: that of `suyuan-cloud broker`."""


class TrustSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The certificates of gateways."""

    certificate_days: Annotated[float, Meta(ge=0.0001, le=3650)] = 90
    """How long one holds; it is renewed when a third is left."""
    renewal_grace_days: Annotated[float, Meta(ge=0, le=3650)] = 180
    """So long after its end one that was not revoked may still be renewed."""


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The audit."""

    key_file: str = ""
    """Its key; empty: audit.key in the data folder. Processes that share a database share it."""


class RegulatorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The regulator's platform for gas cylinders; see docs/cylinders-events.md."""

    url: str = ""
    """The kind of a message is added to it; empty: nothing is made or sent."""
    token_file: str = ""
    """Proves who sends; read at each message, so that it may be changed."""


class OutboundSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service may call out to over HTTP, beyond public addresses, and how far."""

    allowed: tuple[str, ...] = ()
    """Addresses, networks and names of the site's own that may be called though not public."""
    ports: tuple[Port, ...] = (80, 443)
    ca_file: str = ""
    """Authorities of the site's own, believed beside the system's."""
    timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    """For one exchange, from the look-up of the name to the last byte."""
    answer_bytes_max: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024

    def __post_init__(self) -> None:
        """Refuse what `allowed` cannot hold."""
        read_policy(self.ports, self.allowed)


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP side."""

    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses and networks whose word counts for who asks and whether by https."""
    rates: Rates = Rates()
    sockets: Sockets = Sockets()

    def __post_init__(self) -> None:
        """Refuse a proxy that would be trusted by no address."""
        for text in self.trusted_proxies:
            try:
                ip_network(text)
            except ValueError:
                expected = "an address, or a network without host bits"
                raise ValueError(f"{expected}; found {text!r}") from None


class AccountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accounts, and the handhelds that are issued to them."""

    key_file: str = ""
    """Seals second factors; empty: account.key in the data folder. Processes that share a database
    share it."""
    device_days: Annotated[int, Meta(ge=1, le=400)] = 90
    """How long the token of a handheld holds; it is renewed when half of that is over."""
    offline_grace_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 3 * 86_400
    """So long a handheld that reaches nobody may go on working."""


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The certificate of the HTTP side; both or none. A renewed one is taken up by itself."""

    cert_file: str = ""
    key_file: str = ""
    redirect_from: str = ""
    """HOST:PORT where plain HTTP is only led on to `base_url`."""

    def __post_init__(self) -> None:
        """Refuse half a pair."""
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file, or neither; found only one")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    schema: Literal[1] = 1
    base_url: str = ""
    """How browsers reach the service, for links; empty: as the request says."""
    language: Literal["zh", "en"] = "zh"
    time_zone: str = "Asia/Shanghai"
    """IANA name; pages show times in it."""
    rules_overlay: str = ""
    """A folder of the site's own `rules/`, `data_rules/`, `schemes/`, `cylinders/` and
    `epcis/steps/`, beside those that are shipped."""
    database: DatabaseSettings = DatabaseSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    log: LogSettings = LogSettings()
    ingest: IngestSettings = IngestSettings()
    feed: FeedSettings = FeedSettings()
    desk: DeskSettings = DeskSettings()
    scans: ScanSettings = ScanSettings()
    trace: TraceSettings = TraceSettings()
    retention: RetentionSettings = RetentionSettings()
    broker: BrokerSettings = BrokerSettings()
    trust: TrustSettings = TrustSettings()
    audit: AuditSettings = AuditSettings()
    accounts: AccountSettings = AccountSettings()
    tls: TlsSettings = TlsSettings()
    http: HttpSettings = HttpSettings()
    outbound: OutboundSettings = OutboundSettings()
    regulator: RegulatorSettings = RegulatorSettings()
    mail: MailSettings = MailSettings()
    oidc: tuple[Provider, ...] = ()
    """Sign-ons of departments; see docs/access.md."""

    def __post_init__(self) -> None:
        """Refuse to lead people on to an address that is not known, or not by https."""
        if self.oidc and not self.base_url:
            raise ValueError("base_url, for the sign-ons in oidc; found none")
        check_providers(self.oidc, frozenset(load_roles()))
        if self.tls.redirect_from and not self.base_url.startswith("https://"):
            raise ValueError("tls.redirect_from needs an https base_url; found none")


def load_settings(path: Path | None) -> Settings:
    """Read the settings file.

    Raises:
        FixConfiguration: with every fault.

    """
    return Settings() if path is None else load_toml(path, Settings)


def days_of(settings: Settings) -> dict[str, float]:
    """Return every term that the settings say, by its key: `feed.retention_days` -> 90."""
    sections = msgspec.to_builtins(settings).items()
    return {
        f"{section}.{key}": value
        for section, values in sections
        if isinstance(values, dict)
        for key, value in values.items()
        if key.endswith("_days")
    }


def broker_address(url: str, settings: BrokerSettings, data: Path) -> BrokerAddress:
    """Read `mqtt://host:port` or `mqtts://host:port`; `data` may hold our own certificate.

    Raises:
        FixConfiguration: any other URL.

    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == -1:
        fault = Fault("command line", "--broker", "mqtt://HOST:PORT or mqtts://HOST:PORT", url)
        raise FixConfiguration([fault])
    files = [settings.ca_file, settings.cert_file, settings.key_file]
    if parts.scheme == "mqtts" and not any(files) and has_authority(data):
        files = [str(ca_folder(data) / name) for name in SERVICE_FILES]
    ca_file, cert_file, key_file = files
    return BrokerAddress(
        host=parts.hostname,
        port=port or (8883 if parts.scheme == "mqtts" else 1883),
        tls=parts.scheme == "mqtts",
        ca_file=ca_file or None,
        cert_file=cert_file or None,
        key_file=key_file or None,
        username=settings.username or None,
        password=os.environ.get("SUYUAN_MQTT_PASSWORD"),
    )


def host_and_port(text: str, option: str) -> tuple[str, int]:
    """Read `HOST:PORT`.

    Raises:
        FixConfiguration: it is not that.

    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise FixConfiguration([Fault("command line", option, "HOST:PORT", text)])
    return host.strip("[]"), int(port)
