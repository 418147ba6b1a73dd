"""Invites, enrols, renews and revokes gateways. Every change is durable before it is told."""

import functools
import hashlib
import hmac
import math
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.refusal import Refusal
from cloud.model.trust import CertificateInfo, GatewayIdentity
from cloud.trust import book
from cloud.trust.authority import (
    UNREADABLE,
    Authority,
    PublicKey,
    check_key,
    check_request,
    check_signature,
    common_name,
    to_ms,
    to_pem,
)
from cloud.trust.book import Invite, Issued
from cloud.trust.broker_control import BrokerControl
from cloud.trust.broker_log import OWN_PREFIX
from protocols.clock import Clock, iso
from protocols.durable import write_durably
from protocols.enrolment import (
    ALPHABET,
    CODE_CHARS,
    Code,
    Enrolled,
    EnrolRequest,
    RenewRequest,
    answer_proof,
    answer_to_sign,
    renewal_to_sign,
    request_proof,
)
from protocols.errors import RefuseInput
from protocols.gateway_request import APART_MAX_MS, Proof, request_to_sign
from protocols.ids import check_gateway_id

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
VALID_HOURS = 24.0
VALID_HOURS_MAX = 24.0 * 90
TRIES = 10
CERTIFICATE_DAYS = 90.0
RENEWAL_GRACE_DAYS = 180.0
REFUSALS_SHOWN = 100


class Limiter(Protocol):
    """Bounds failures by address; see `cloud.access.limiter`."""

    def wait_ms(self, address: str, now_ms: int) -> int:
        """Return how long an address must wait, 0 when it need not."""
        ...

    def failed(self, address: str, now_ms: int) -> None:
        """Count a failure."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """A body, and in hexadecimal what proves that it is ours."""

    body: bytes
    proof: str


class TrustDesk:
    """Works on the authority of one folder; made by the service and by each command."""

    def __init__(
        self,
        ca: Path,
        authority: Authority,
        database: Database,
        *,
        clock: Clock,
        broker: str,
        anchors: Callable[[], tuple[bytes, ...]],
        control: BrokerControl,
        limiter: Limiter | None = None,
        certificate_days: float = CERTIFICATE_DAYS,
        grace_days: float = RENEWAL_GRACE_DAYS,
    ) -> None:
        """Make a desk.

        Args:
            ca: the authority's folder.
            authority: signs.
            database: of `open_book`.
            clock: the time.
            broker: where gateways are sent, `mqtts://host:port`.
            anchors: the public keys of signed configuration.
            control: makes the broker read the list of the revoked.
            limiter: bounds failures by address; None where nobody asks over a network.
            certificate_days: how long a gateway's certificate holds.
            grace_days: how long after its end it may still be renewed.

        """
        self._ca, self._authority, self._database, self._clock = ca, authority, database, clock
        self._broker, self._anchors, self._control = broker, anchors, control
        self._limiter = limiter
        self._days, self._grace_ms = certificate_days, int(grace_days * DAY_MS)

    def invite(self, gateway_id: str, *, valid_hours: float = VALID_HOURS) -> tuple[Code, int]:
        """Make a one-time code; returns it, and until when it is good, ms since 1970.

        An earlier code of the same gateway is void from now on; its certificates are not, until
        the new one is used.

        Raises:
            RefuseInput: `bad_gateway_id` or `bad_request`.

        """
        check_gateway_id(gateway_id)
        if gateway_id.startswith(OWN_PREFIX):
            raise RefuseInput("bad_gateway_id", f"{OWN_PREFIX}… is the service itself")
        if not math.isfinite(valid_hours) or not 0 < valid_hours <= VALID_HOURS_MAX:
            expected = f"0 to {VALID_HOURS_MAX:g} hours"
            raise RefuseInput(
                "bad_request", f"valid_hours: expected {expected}, found {valid_hours}"
            )
        code = Code(gateway_id, "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS)))
        now_ms = self._clock.wall_ms()
        expires_at = now_ms + int(valid_hours * HOUR_MS)
        one = Invite(gateway_id, code.key(), now_ms, expires_at, TRIES, None)
        self._database.write_now(lambda c: book.write_invite(c, one))
        return code, expires_at

    def enrol(self, request: EnrolRequest, *, address: str) -> Answer:
        """Give an invited gateway its certificate; its earlier ones are revoked.

        Whoever knows the code may ask again with the same key and gets the same certificate: an
        answer that got lost costs nothing.

        Raises:
            RefuseInput: `too_many_attempts`, `bad_code`, `code_used`, `code_expired`, `bad_csr`.

        """
        self._check_turn(address)
        invited = self._database.write_now(
            book.in_turn(functools.partial(self._recognise, request=request))
        )
        if invited is None:
            self._failed(address)
            raise RefuseInput("bad_code", "no such code for this gateway")
        try:
            key = check_request(request.csr, invited.gateway)
            issued, revoked = self._database.write_now(
                book.in_turn(functools.partial(self._enrol, gateway=invited.gateway, key=key))
            )
        except RefuseInput:
            self._failed(address)
            raise
        if revoked:
            self.publish_revoked()
        body = self._body(issued)
        return Answer(body, answer_proof(invited.key, request.csr, body))

    def renew(self, request: RenewRequest, *, address: str) -> Answer:
        """Give a gateway its next certificate for the proof that it has the present one.

        Raises:
            RefuseInput: `too_many_attempts`, `bad_certificate`, `certificate_revoked`,
                `certificate_expired` (beyond the grace), `bad_csr`.

        """
        self._check_turn(address)
        try:
            present, gateway = self._present(request)
            key = check_request(request.csr, gateway)
            issued, revoked = self._database.write_now(
                book.in_turn(
                    functools.partial(self._renew, present=present, gateway=gateway, key=key)
                )
            )
        except RefuseInput:
            self._failed(address)
            raise
        if revoked:
            self.publish_revoked()
        body = self._body(issued)
        signature = self._authority.sign_bytes(answer_to_sign(request.csr, body))
        return Answer(body, signature.hex())

    def recognise(self, proof: Proof, target: str, *, address: str) -> str:
        """Return the id of the gateway that asks for something.

        Raises:
            RefuseInput: `too_many_attempts`, `bad_certificate`, `certificate_revoked`,
                `certificate_expired` (beyond the grace), `bad_clock`.

        """
        self._check_turn(address)
        try:
            return self._asking(proof, target)
        except RefuseInput:
            self._failed(address)
            raise

    def revoke(self, gateway_id: str) -> int:
        """Revoke all certificates of a gateway and its open invitation; returns how many.

        Raises:
            RefuseInput: `not_found`, nothing is known of it.

        """
        check_gateway_id(gateway_id)
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> int | None:
            invited = book.read_invite(connection, gateway_id)
            known = book.read_certificates(connection, gateway_id)
            if invited is not None:
                void = invited._replace(tries_left=0, expires_at=min(invited.expires_at, now_ms))
                book.write_invite(connection, void)
            elif not known:
                return None
            return book.revoke(connection, [one.serial for one in known], now_ms, "revoked")

        count = self._database.write_now(book.in_turn(work))
        if count is None:
            raise RefuseInput("not_found", f"{gateway_id} has neither certificate nor invitation")
        self.publish_revoked()
        return count

    def cut_off(self, gateway_id: str) -> str:
        """End the connection that a gateway has; returns what came of it, for people to read."""
        return self._control.cut_off(gateway_id)

    def publish_revoked(self) -> None:
        """Write the list of the revoked anew and have the broker read it."""
        listed = self._database.read_now(book.read_certificates)
        revoked = [(one.serial, one.revoked_at) for one in listed if one.revoked_at is not None]
        crl = self._authority.revoke(revoked, self._clock.wall_ms())
        write_durably(self._ca / "broker" / "ca.crl", crl)
        self._control.reload()

    def identities(self) -> list[GatewayIdentity]:
        """Return what is known of every gateway that was ever invited, by id."""
        invites, certificates = self._database.read_now(
            lambda c: (book.read_invites(c), book.read_certificates(c))
        )
        names = sorted({one.gateway for one in invites} | {one.gateway for one in certificates})
        by_name = {one.gateway: one for one in invites}
        return [
            _identity(name, by_name.get(name), [one for one in certificates if one.gateway == name])
            for name in names
        ]

    def identity(self, gateway_id: str) -> GatewayIdentity | None:
        """Return what is known of one gateway, None when it was never invited."""
        invited, certificates = self._database.read_now(
            lambda c: (book.read_invite(c, gateway_id), book.read_certificates(c, gateway_id))
        )
        if invited is None and not certificates:
            return None
        return _identity(gateway_id, invited, certificates)

    def refusals(self, limit: int = REFUSALS_SHOWN) -> list[Refusal]:
        """Return what the broker refused, the latest first."""
        return self._database.read_now(lambda c: book.read_refusals(c, limit))

    def _recognise(self, connection: Connection, *, request: EnrolRequest) -> Invite | None:
        """Return the invitation whose code the sender knows; a wrong try is counted."""
        invited = book.read_invite(connection, request.gateway_id)
        key = invited.key if invited is not None else bytes(32)
        right = hmac.compare_digest(request_proof(key, request.csr), request.proof)
        if invited is None or invited.tries_left <= 0:
            return None
        if not right:
            book.write_invite(connection, invited._replace(tries_left=invited.tries_left - 1))
            return None
        return invited

    def _enrol(self, connection: Connection, *, gateway: str, key: PublicKey) -> tuple[Issued, int]:
        now_ms = self._clock.wall_ms()
        invited = book.read_invite(connection, gateway)
        if invited is None:
            raise RefuseInput("bad_code", "no such code for this gateway")
        if invited.serial is not None:
            brought = book.read_certificate(connection, invited.serial)
            if brought is None or brought.public_key != _digest(key):
                raise RefuseInput("code_used", "this code was used: ask for a new one")
            return brought, 0
        if now_ms >= invited.expires_at:
            raise RefuseInput(
                "code_expired", f"good until {iso(invited.expires_at)}: ask for a new one"
            )
        issued = self._issue(gateway, key, now_ms, renews=None)
        earlier = [one.serial for one in book.read_certificates(connection, gateway)]
        revoked = book.revoke(connection, earlier, now_ms, "replaced")
        book.add_certificate(connection, issued)
        book.write_invite(connection, invited._replace(serial=issued.serial))
        return issued, revoked

    def _present(self, request: RenewRequest) -> tuple[str, str]:
        """Return (serial, gateway id) of a certificate whose key the sender has."""
        try:
            certificate = x509.load_pem_x509_certificate(request.certificate.encode())
        except UNREADABLE:
            raise RefuseInput("bad_certificate", "expected an X.509 certificate as PEM") from None
        to_sign = renewal_to_sign(request.certificate, request.csr)
        return self._holder(certificate, bytes.fromhex(_even(request.signature)), to_sign)

    def _holder(
        self, certificate: x509.Certificate, signature: bytes, to_sign: bytes
    ) -> tuple[str, str]:
        """Return (serial, gateway id) of a certificate whose key has signed this."""
        try:
            key = check_key(certificate.public_key())
            serial, name = f"{certificate.serial_number:x}", common_name(certificate)
        except UNREADABLE:
            raise RefuseInput("bad_certificate", "expected one of a gateway") from None
        if not self._authority.issued(certificate):
            raise RefuseInput("bad_certificate", "it is not of this authority")
        if not check_signature(key, signature, to_sign):
            raise RefuseInput("bad_certificate", "the signature is not of its key")
        if self._clock.wall_ms() > to_ms(certificate.not_valid_after_utc) + self._grace_ms:
            raise RefuseInput("certificate_expired", "it ended too long ago")
        return serial, name

    def _asking(self, proof: Proof, target: str) -> str:
        try:
            certificate = x509.load_der_x509_certificate(proof.certificate)
        except UNREADABLE:
            raise RefuseInput("bad_certificate", "expected an X.509 certificate as DER") from None
        to_sign = request_to_sign(target, proof.at)
        serial, gateway = self._holder(certificate, proof.signature, to_sign)
        known = self._database.read_now(lambda c: book.read_certificate(c, serial))
        if known is None or known.gateway != gateway:
            raise RefuseInput("bad_certificate", "it is none that a gateway was given")
        if known.revoked_at is not None:
            raise RefuseInput("certificate_revoked", "it was revoked")
        if abs(self._clock.wall_ms() - proof.at) > APART_MAX_MS:
            raise RefuseInput("bad_clock", f"it is {iso(self._clock.wall_ms())} here")
        return gateway

    def _renew(
        self, connection: Connection, *, present: str, gateway: str, key: PublicKey
    ) -> tuple[Issued, int]:
        now_ms = self._clock.wall_ms()
        known = book.read_certificates(connection, gateway)
        one = next((one for one in known if one.serial == present), None)
        if one is None:
            raise RefuseInput("bad_certificate", "it is none that a gateway was given")
        if one.revoked_at is not None:
            raise RefuseInput("certificate_revoked", "it was revoked")
        for other in known:
            if other.renews == present and other.public_key == _digest(key):
                if other.revoked_at is None:
                    return other, 0
                raise RefuseInput("certificate_revoked", "it was revoked")
        others = [other.serial for other in known if other.serial != present]
        revoked = book.revoke(connection, others, now_ms, "superseded")
        issued = self._issue(gateway, key, now_ms, renews=present)
        book.add_certificate(connection, issued)
        book.forget_certificates(connection, now_ms - self._grace_ms)
        return issued, revoked

    def _issue(self, gateway: str, key: PublicKey, now_ms: int, *, renews: str | None) -> Issued:
        certificate = self._authority.sign(
            key, gateway, usage="client", now_ms=now_ms, days=self._days
        )
        return Issued(
            serial=f"{certificate.serial_number:x}",
            gateway=gateway,
            public_key=_digest(key),
            pem=to_pem(certificate),
            issued_at=now_ms,
            until=to_ms(certificate.not_valid_after_utc),
            renews=renews,
            revoked_at=None,
            reason=None,
        )

    def _body(self, issued: Issued) -> bytes:
        return msgspec.json.encode(
            Enrolled(
                gateway_id=issued.gateway,
                certificate=issued.pem,
                ca=self._authority.pem,
                broker=self._broker,
                anchors=[key.hex() for key in self._anchors()],
            )
        )

    def _check_turn(self, address: str) -> None:
        if self._limiter is not None:
            wait_ms = self._limiter.wait_ms(address, self._clock.boot_ms())
            if wait_ms > 0:
                raise RefuseInput("too_many_attempts", str(-(-wait_ms // 1000)))

    def _failed(self, address: str) -> None:
        if self._limiter is not None:
            self._limiter.failed(address, self._clock.boot_ms())


def _digest(key: PublicKey) -> str:
    data = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(data).hexdigest()


def _even(text: str) -> str:
    return text if len(text) % 2 == 0 else ""


def _identity(gateway: str, invited: Invite | None, certificates: list[Issued]) -> GatewayIdentity:
    waits = invited is not None and invited.serial is None and invited.tries_left > 0
    return GatewayIdentity(
        gateway_id=gateway,
        invited_until_at=invited.expires_at if invited is not None and waits else None,
        certificates=[
            CertificateInfo(
                serial=one.serial,
                issued_at=one.issued_at,
                expires_at=one.until,
                revoked_at=one.revoked_at,
                reason=one.reason,
            )
            for one in certificates
        ],
    )
