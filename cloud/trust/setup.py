"""Makes an authority with all that hangs on it, and opens it again."""

import os
import pwd
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

from cloud.model.database import Database
from cloud.trust.authority import (
    Authority,
    Usage,
    load_authority,
    make_authority,
    make_key,
    to_datetime,
    to_pem,
)
from cloud.trust.book import open_book
from cloud.trust.broker_control import BrokerControl
from cloud.trust.broker_files import (
    PID_FILE,
    RUN,
    BrokerPlan,
    hosts_of,
    load_plan,
    write_plan,
    write_settings,
)
from cloud.trust.desk import (
    CERTIFICATE_DAYS,
    RENEWAL_GRACE_DAYS,
    Limiter,
    TrustDesk,
)
from cloud.trust.signing import anchors
from protocols.clock import Clock
from protocols.durable import write_durably
from protocols.errors import StopService

SERVICE_NAME = "suyuan-cloud"
"""The service's common name at the broker."""
SERVICE_FILES = ("ca.crt", f"{SERVICE_NAME}.crt", f"{SERVICE_NAME}.key")
"""Authority, certificate and key of the service, in the authority's folder."""
SERVER_DAYS = 10 * 365
RENEW_BEFORE = timedelta(days=365)
"""A certificate of broker or service that ends sooner is made anew by the next `ca init`."""


def ca_folder(data: Path) -> Path:
    """Return where the authority of a data folder lives."""
    return data / "ca"


def has_authority(data: Path) -> bool:
    """Tell whether a data folder has an authority."""
    return (ca_folder(data) / "ca.key").exists()


def init(data: Path, plan: Callable[[BrokerPlan | None], BrokerPlan], clock: Clock) -> BrokerPlan:
    """Make what is missing; keys that exist stay.

    Args:
        data: the service's folder; made if missing.
        plan: makes the broker's plan of the one there is.
        clock: the time.

    Raises:
        StopService: the folder is somebody else's, or what is in it is damaged.
        FixConfiguration: `broker.toml` is wrong.

    """
    data.mkdir(parents=True, exist_ok=True)
    check_owner(data)
    ca = ca_folder(data)
    broker = ca / "broker"
    broker.mkdir(parents=True, exist_ok=True)
    ca.chmod(0o700)  # the broker runs as the same user
    now_ms = clock.wall_ms()
    found = load_plan(ca) if (ca / "broker.toml").exists() else None
    wanted = plan(found)
    exists = (ca / "ca.key").exists()
    authority = load_authority(ca) if exists else make_authority(ca, now_ms)
    write_durably(broker / "ca.crt", authority.pem.encode())
    hosts = [*wanted.names, wanted.service_address, "localhost", "127.0.0.1"]
    _certify(
        authority, broker, "server", "server", now_ms, dict.fromkeys(hosts), wanted.names[0][:64]
    )
    _certify(authority, ca, SERVICE_NAME, "client", now_ms)
    write_plan(ca, wanted)
    write_settings(ca, wanted)
    anchors(data)
    database = open_book(ca)
    try:
        open_desk(data, database, clock=clock).publish_revoked()
    finally:
        database.close()
    return wanted


def open_desk(
    data: Path,
    database: Database,
    *,
    clock: Clock,
    limiter: Limiter | None = None,
    pid_file: Path | None = None,
    certificate_days: float = CERTIFICATE_DAYS,
    grace_days: float = RENEWAL_GRACE_DAYS,
) -> TrustDesk:
    """Open the authority of a data folder; see `TrustDesk`.

    Raises:
        StopService: there is no authority.
        FixConfiguration: `broker.toml` is wrong.

    """
    ca = ca_folder(data)
    plan = load_plan(ca)
    service = urlsplit(plan.service_url)
    control = BrokerControl(
        pid_file or ca / "broker" / RUN / PID_FILE,
        host=service.hostname or "",
        port=plan.service_port,
        ca=ca,
    )
    return TrustDesk(
        ca,
        load_authority(ca),
        database,
        clock=clock,
        broker=plan.gateways_url,
        anchors=lambda: anchors(data),
        control=control,
        limiter=limiter,
        certificate_days=certificate_days,
        grace_days=grace_days,
    )


def check_owner(data: Path) -> None:
    """Refuse to leave files in a folder whose owner could not read them.

    Raises:
        StopService: saying as whom to run.

    """
    owner = data.stat().st_uid
    if owner != os.geteuid():
        name = pwd.getpwuid(owner).pw_name
        raise StopService(f"{data} belongs to {name}: run this as {name} (sudo -u {name} …)")


def _certify(
    authority: Authority,
    folder: Path,
    file: str,
    usage: Usage,
    now_ms: int,
    hosts: Iterable[str] = (),
    name: str = SERVICE_NAME,
) -> None:
    """Make key and certificate where they are missing, short of time, or for other hosts."""
    key = make_key(folder / f"{file}.key")
    path = folder / f"{file}.crt"
    if path.exists():
        present = x509.load_pem_x509_certificate(path.read_bytes())
        lasting = present.not_valid_after_utc - to_datetime(now_ms) > RENEW_BEFORE
        same = present.public_key() == key.public_key() and authority.issued(present)
        if lasting and same and hosts_of(present) == set(hosts):
            return
    made = authority.sign(
        key.public_key(), name, usage=usage, now_ms=now_ms, days=SERVER_DAYS, hosts=hosts
    )
    write_durably(path, to_pem(made).encode())


def planned(
    found: BrokerPlan | None,
    *,
    names: tuple[str, ...],
    port: int | None,
    service_port: int | None,
    service_address: str | None,
    own_name: str,
) -> BrokerPlan:
    """Return the plan with what was asked for now; the rest stays as it was."""
    base = found or BrokerPlan(names=(own_name,))
    given = {
        "names": names or None,
        "port": port,
        "service_port": service_port,
        "service_address": service_address,
    }
    changed = {key: value for key, value in given.items() if value is not None}
    return msgspec.structs.replace(base, **changed)
