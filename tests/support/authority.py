"""An authority in a folder, without any process, and what a gateway would ask of it."""

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cloud.access.limiter import FailureLimiter
from cloud.model.database import Database
from cloud.trust import setup
from cloud.trust.book import open_book
from cloud.trust.broker_files import BrokerPlan
from cloud.trust.desk import TrustDesk
from edge.identity.files import make_csr
from protocols.clock import ManualClock
from protocols.enrolment import (
    Code,
    EnrolRequest,
    RenewRequest,
    renewal_to_sign,
    request_proof,
)


class Bureau(NamedTuple):
    """A desk with all that belongs to it."""

    data: Path
    clock: ManualClock
    database: Database
    desk: TrustDesk


def open_bureau(folder: Path, *, days: float = 90.0, grace_days: float = 180.0) -> Bureau:
    """Make an authority in `folder / "data"`."""
    data, clock = folder / "data", ManualClock()
    setup.init(data, lambda found: found or BrokerPlan(names=("broker.test",)), clock)
    database = open_book(data / "ca")
    desk = setup.open_desk(
        data,
        database,
        clock=clock,
        limiter=FailureLimiter(),
        certificate_days=days,
        grace_days=grace_days,
    )
    return Bureau(data, clock, database, desk)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A gateway's key."""
    return ec.generate_private_key(ec.SECP256R1())


def enrol_request(code: Code, key: ec.EllipticCurvePrivateKey, *, name: str = "") -> EnrolRequest:
    """Ask with a code."""
    csr = make_csr(key, name or code.gateway_id)
    return EnrolRequest(gateway_id=code.gateway_id, csr=csr, proof=request_proof(code.key(), csr))


def renew_request(
    certificate: str,
    key: ec.EllipticCurvePrivateKey,
    next_key: ec.EllipticCurvePrivateKey,
    name: str,
) -> RenewRequest:
    """Ask for the next certificate."""
    csr = make_csr(next_key, name)
    signature = key.sign(renewal_to_sign(certificate, csr), ec.ECDSA(hashes.SHA256()))
    return RenewRequest(certificate=certificate, csr=csr, signature=signature.hex())
