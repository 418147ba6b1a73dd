"""Invitation, enrolment, renewal, revocation: who gets what, and who does not."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.trust.desk import DAY_MS, HOUR_MS, TRIES, Answer
from edge.identity.files import make_csr
from protocols.enrolment import Code, Enrolled, EnrolRequest, answer_proof, request_proof
from protocols.errors import RefuseInput
from tests.support.authority import (
    Bureau,
    enrol_request,
    new_key,
    open_bureau,
    renew_request,
)

WHERE = "192.0.2.1"


def _given(answer: Answer) -> Enrolled:
    return msgspec.json.decode(answer.body, type=Enrolled)


def _refused(reason: str, work: Callable[[], object]) -> None:
    with pytest.raises(RefuseInput) as failure:
        work()
    assert failure.value.reason == reason


def _crl(bureau: Bureau) -> set[int]:
    data = (bureau.data / "ca" / "broker" / "ca.crl").read_bytes()
    return {one.serial_number for one in x509.load_pem_x509_crl(data)}


def _serial(given: Enrolled) -> int:
    return x509.load_pem_x509_certificate(given.certificate.encode()).serial_number


def test_invited_gateway_gets_what_it_needs(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    key = new_key()
    request = enrol_request(code, key)
    answer = bureau.desk.enrol(request, address=WHERE)
    assert answer.proof == answer_proof(code.key(), request.csr, answer.body)
    given = _given(answer)
    assert (given.gateway_id, given.broker) == ("gw-1", "mqtts://broker.test:8883")
    assert len(given.anchors) == 1
    certificate = x509.load_pem_x509_certificate(given.certificate.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(given.ca.encode()))
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=gw-1"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not basic.ca


def test_code_is_not_kept(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    kept = b"".join(path.read_bytes() for path in (bureau.data / "ca").glob("trust.db*"))
    assert code.secret.encode() not in kept


def test_lost_answer_is_given_again_to_the_same_key_only(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    key = new_key()
    first = _given(bureau.desk.enrol(enrol_request(code, key), address=WHERE))
    bureau.clock.advance(30 * HOUR_MS)  # the code itself is over by now
    assert _given(bureau.desk.enrol(enrol_request(code, key), address=WHERE)) == first
    _refused("code_used", lambda: bureau.desk.enrol(enrol_request(code, new_key()), address=WHERE))


def test_code_wrong_foreign_expired_or_void_is_refused(bureau: Bureau) -> None:
    desk, key = bureau.desk, new_key()
    code, _ = desk.invite("gw-1")
    other, _ = desk.invite("gw-2")
    wrong = Code("gw-1", "0" * 20)
    foreign = enrol_request(Code("gw-1", other.secret), key)
    nobody = enrol_request(Code("gw-9", code.secret), key)
    for request in (enrol_request(wrong, key), foreign, nobody):
        _refused("bad_code", lambda request=request: desk.enrol(request, address=WHERE))  # type: ignore[misc]
    newer, until = desk.invite("gw-1", valid_hours=2)
    _refused("bad_code", lambda: desk.enrol(enrol_request(code, key), address=WHERE))
    bureau.clock.advance(2 * HOUR_MS)
    assert until == bureau.clock.wall_ms()
    _refused("code_expired", lambda: desk.enrol(enrol_request(newer, key), address=WHERE))


def test_tries_of_a_code_are_limited(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    wrong = enrol_request(Code("gw-1", "0" * 20), new_key())
    for number in range(TRIES):
        address = f"192.0.2.{number}"
        _refused("bad_code", lambda a=address: bureau.desk.enrol(wrong, address=a))  # type: ignore[misc]
    right = enrol_request(code, new_key())
    _refused("bad_code", lambda: bureau.desk.enrol(right, address="192.0.2.200"))


def test_one_address_may_not_try_for_ever(bureau: Bureau) -> None:
    wrong = enrol_request(Code("gw-1", "0" * 20), new_key())
    for _ in range(10):
        _refused("bad_code", lambda: bureau.desk.enrol(wrong, address=WHERE))
    _refused("too_many_attempts", lambda: bureau.desk.enrol(wrong, address=WHERE))
    bureau.clock.advance(5 * 60_000)
    _refused("bad_code", lambda: bureau.desk.enrol(wrong, address=WHERE))


@pytest.mark.parametrize("gateway", ["suyuan-cloud", "suyuan-x", "GW", "", "a" * 65, "a/b"])
def test_name_of_the_service_or_no_name_is_not_invited(bureau: Bureau, gateway: str) -> None:
    _refused("bad_gateway_id", lambda: bureau.desk.invite(gateway))


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf"), 24 * 91])
def test_invitation_lasts_a_sensible_time(bureau: Bureau, hours: float) -> None:
    _refused("bad_request", lambda: bureau.desk.invite("gw-1", valid_hours=hours))


def _csr(key: object, name: str = "gw-1", *, more: bool = False, extension: bool = False) -> str:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if more:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x"))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    if extension:
        ca = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(ca, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    csr = builder.sign(key, algorithm)  # type: ignore[arg-type]
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def _torn() -> str:
    return _csr(new_key())[:200]


def _forged() -> str:
    """Somebody else's key under a signature that is not its own."""
    data = bytearray(
        x509.load_pem_x509_csr(_csr(new_key()).encode()).public_bytes(serialization.Encoding.DER)
    )
    data[-1] ^= 1
    csr = x509.load_der_x509_csr(bytes(data))
    return csr.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "make",
    [
        lambda: "",
        lambda: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        _torn,
        _forged,
        lambda: _csr(new_key(), "gw-2"),
        lambda: _csr(new_key(), more=True),
        lambda: _csr(new_key(), extension=True),
        lambda: _csr(ec.generate_private_key(ec.SECP384R1())),
        lambda: _csr(rsa.generate_private_key(65_537, 2_048)),
    ],
)
def test_bad_request_is_refused_and_the_code_stays_good(
    bureau: Bureau, make: Callable[[], str]
) -> None:
    code, _ = bureau.desk.invite("gw-1")
    csr = make()
    bad = EnrolRequest(gateway_id="gw-1", csr=csr, proof=request_proof(code.key(), csr))
    _refused("bad_csr", lambda: bureau.desk.enrol(bad, address=WHERE))
    assert _given(bureau.desk.enrol(enrol_request(code, new_key()), address=WHERE))


def test_ed25519_key_is_taken(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    csr = _csr(ed25519.Ed25519PrivateKey.generate())
    request = EnrolRequest(gateway_id="gw-1", csr=csr, proof=request_proof(code.key(), csr))
    assert _given(bureau.desk.enrol(request, address=WHERE)).gateway_id == "gw-1"


def test_renewal_for_the_proof_of_the_present_key(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    key, next_key, third = new_key(), new_key(), new_key()
    first = _given(bureau.desk.enrol(enrol_request(code, key), address=WHERE))
    bureau.clock.advance(60 * DAY_MS)
    ask = renew_request(first.certificate, key, next_key, "gw-1")
    second = _given(bureau.desk.renew(ask, address=WHERE))
    assert second.certificate != first.certificate
    again = renew_request(first.certificate, key, next_key, "gw-1")
    assert _given(bureau.desk.renew(again, address=WHERE)) == second
    assert _crl(bureau) == set()
    bureau.clock.advance(60 * DAY_MS)
    ask = renew_request(second.certificate, next_key, third, "gw-1")
    bureau.desk.renew(ask, address=WHERE)
    assert _crl(bureau) == {_serial(first)}


def test_second_renewal_of_one_certificate_revokes_the_first_ones(bureau: Bureau) -> None:
    """Whoever copied the key and renews takes it from the other: it shows."""
    code, _ = bureau.desk.invite("gw-1")
    key = new_key()
    first = _given(bureau.desk.enrol(enrol_request(code, key), address=WHERE))
    one = _given(
        bureau.desk.renew(renew_request(first.certificate, key, new_key(), "gw-1"), address=WHERE)
    )
    bureau.desk.renew(renew_request(first.certificate, key, new_key(), "gw-1"), address=WHERE)
    assert _crl(bureau) == {_serial(one)}


def test_renewal_after_the_end_within_the_grace_only(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    key = new_key()
    first = _given(bureau.desk.enrol(enrol_request(code, key), address=WHERE))
    bureau.clock.advance((90 + 180) * DAY_MS - HOUR_MS)
    ask = renew_request(first.certificate, key, new_key(), "gw-1")
    assert _given(bureau.desk.renew(ask, address=WHERE))
    bureau.clock.advance(2 * HOUR_MS)
    ask = renew_request(first.certificate, key, new_key(), "gw-1")
    _refused("certificate_expired", lambda: bureau.desk.renew(ask, address=WHERE))


def test_renewal_without_the_right_is_refused(bureau: Bureau, tmp_path: Path) -> None:
    desk = bureau.desk
    code, _ = desk.invite("gw-1")
    key, other = new_key(), new_key()
    given = _given(desk.enrol(enrol_request(code, key), address=WHERE))
    foreign = open_bureau(tmp_path / "foreign")
    foreign_code, _ = foreign.desk.invite("gw-1")
    theirs = _given(foreign.desk.enrol(enrol_request(foreign_code, key), address=WHERE))
    foreign.database.close()
    service = (bureau.data / "ca" / "suyuan-cloud.crt").read_text()
    for certificate, signer, name, reason in [
        (given.certificate, other, "gw-1", "bad_certificate"),
        (theirs.certificate, key, "gw-1", "bad_certificate"),
        ("no certificate", key, "gw-1", "bad_certificate"),
        (service, key, "suyuan-cloud", "bad_certificate"),
        (given.certificate, key, "gw-2", "bad_csr"),
    ]:
        ask = renew_request(certificate, signer, other, name)
        _refused(reason, lambda ask=ask: desk.renew(ask, address=WHERE))  # type: ignore[misc]
    desk.revoke("gw-1")
    ask = renew_request(given.certificate, key, other, "gw-1")
    _refused("certificate_revoked", lambda: desk.renew(ask, address=WHERE))


def test_replaced_gateway_revokes_the_old_certificate_when_it_enrols(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    first = _given(bureau.desk.enrol(enrol_request(code, new_key()), address=WHERE))
    code, _ = bureau.desk.invite("gw-1")
    assert _crl(bureau) == set()
    bureau.desk.enrol(enrol_request(code, new_key()), address=WHERE)
    assert _crl(bureau) == {_serial(first)}
    identity = bureau.desk.identity("gw-1")
    assert identity is not None
    assert {one.reason for one in identity.certificates} == {"replaced", None}


def test_revoked_gateway_needs_a_new_invitation(bureau: Bureau) -> None:
    code, _ = bureau.desk.invite("gw-1")
    assert bureau.desk.revoke("gw-1") == 0
    _refused("bad_code", lambda: bureau.desk.enrol(enrol_request(code, new_key()), address=WHERE))
    _refused("not_found", lambda: bureau.desk.revoke("gw-2"))
    code, _ = bureau.desk.invite("gw-1")
    given = _given(bureau.desk.enrol(enrol_request(code, new_key()), address=WHERE))
    assert bureau.desk.revoke("gw-1") == 1
    assert _crl(bureau) == {_serial(given)}
    assert bureau.desk.revoke("gw-1") == 0


def test_request_is_parsed_strictly() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"gateway_id": "g", "csr": "x", "proof": "00", "days": 9}', type=EnrolRequest
        )
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"gateway_id": "g", "csr": "' + b"x" * 9_000 + b'", "proof": "00"}',
            type=EnrolRequest,
        )


def test_csr_of_the_gateway_is_what_the_desk_expects(bureau: Bureau) -> None:
    assert x509.load_pem_x509_csr(make_csr(new_key(), "gw-1").encode()).is_signature_valid
