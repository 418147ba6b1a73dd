"""The way to the broker, step by step: name, connection, certificates."""

import socket
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from edge.doctor.finding import Finding, fault, ok, warning
from edge.settings import Uplink

TIMEOUT_S = 5.0
ENDS_SOON = timedelta(days=14)


def reach(uplink: Uplink) -> Iterator[Finding]:
    """Try to reach the broker, as far as its TLS handshake."""
    where = f"{uplink.host}:{uplink.port}"
    try:
        link = socket.create_connection((uplink.host, uplink.port), TIMEOUT_S)
    except socket.gaierror as error:
        yield fault(
            "broker",
            f"the name {uplink.host} has no address: {error.strerror}",
            "look for a typing mistake in [uplink] broker, and at the name server (resolvectl)",
        )
        return
    except OSError as error:
        yield fault(
            "broker",
            f"{where} does not answer: {error}",
            "look at the line (ip addr, ping), the firewall, and whether the broker runs",
        )
        return
    with link:
        if not uplink.tls:
            yield warning(
                "broker",
                f"{where} answers, without encryption",
                "use mqtts:// and a certificate outside of a trial (suyuan-edge enroll)",
            )
            return
        yield _shake_hands(link, uplink, where)


def certificate(uplink: Uplink, gateway_id: str, now: datetime) -> Iterator[Finding]:
    """Look at our own certificate: its name, its dates, its key."""
    if not uplink.cert_file or not uplink.key_file:
        return
    again = "suyuan-edge enroll gives the gateway a new one"
    try:
        found = x509.load_pem_x509_certificate(Path(uplink.cert_file).read_bytes())
        key = serialization.load_pem_private_key(Path(uplink.key_file).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        yield fault("certificate", f"it cannot be read: {error}", again)
        return
    names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else "nobody"
    if name != gateway_id:
        yield fault(
            "certificate",
            f"it is made out to {name}, the site file says {gateway_id}",
            "the broker goes by the certificate: correct gateway_id in the site file, or enroll",
        )
    if found.public_key() != key.public_key():
        yield fault("certificate", "it does not belong to the key beside it", again)
    yield _dates(found, now, again)


def _shake_hands(link: socket.socket, uplink: Uplink, where: str) -> Finding:
    try:
        context = ssl.create_default_context(cafile=uplink.ca_file)
        if uplink.cert_file:
            context.load_cert_chain(uplink.cert_file, uplink.key_file)
        with context.wrap_socket(link, server_hostname=uplink.host) as secured:
            return ok("broker", f"{where} answers, {secured.version()}")
    except ssl.SSLCertVerificationError as error:
        return fault(
            "broker",
            f"its certificate is not believed: {error.verify_message}",
            "compare ca_file with the service's CA, the broker's name with its certificate, and"
            " the clock of this machine with the time",
        )
    except OSError as error:
        return fault(
            "broker",
            f"{where} breaks off: {error}",
            "look whether this port speaks TLS, and at the broker's log",
        )


def _dates(found: x509.Certificate, now: datetime, again: str) -> Finding:
    until = found.not_valid_after_utc
    day = until.date().isoformat()
    if now >= until:
        return fault("certificate", f"it ended on {day}", again)
    if now < found.not_valid_before_utc:
        return fault(
            "certificate",
            f"it begins on {found.not_valid_before_utc.date().isoformat()}",
            "this machine's clock is behind: see there",
        )
    if until - now < ENDS_SOON:
        return warning(
            "certificate",
            f"it ends on {day}",
            "the running daemon renews it; if it cannot, its log says why",
        )
    return ok("certificate", f"good until {day}")
