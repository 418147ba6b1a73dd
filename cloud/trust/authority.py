"""The certificate authority: one EC P-256 key that signs the broker, the service and gateways."""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.durable import PRIVATE, write_durably
from protocols.errors import RefuseInput, StopService

Usage = Literal["server", "client"]
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
AUTHORITY_DAYS = 20 * 365
EARLY = timedelta(minutes=5)
"""A certificate holds from before it is made, for clocks differ; by a tenth of its life at most."""
UNREADABLE = (
    *(ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What `cryptography` raises at bytes that are no request or certificate."""
_USAGES = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}


class Authority:
    """The key and the certificate of the authority."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self.certificate = key, certificate

    @property
    def pem(self) -> str:
        """The certificate as text."""
        return to_pem(self.certificate)

    def sign(
        self,
        key: PublicKey,
        name: str,
        *,
        usage: Usage,
        now_ms: int,
        days: float,
        hosts: Iterable[str] = (),
    ) -> x509.Certificate:
        """Make a certificate for somebody else's key.

        Args:
            key: EC P-256 or Ed25519.
            name: the common name.
            usage: which end of a connection it is for.
            now_ms: the time, ms since 1970.
            days: how long it holds, never beyond the authority's own end.
            hosts: names and addresses of a server.

        """
        now = to_datetime(now_ms)
        until = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        early = min(EARLY, timedelta(days=days / 10))
        builder = (
            _builder(name, self.certificate.subject, key, now - early, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_USAGES[usage]]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def revoke(self, revoked: Iterable[tuple[str, int]], now_ms: int) -> bytes:
        """Make the list of revoked certificates, PEM, from (serial in hex, ms since 1970).

        It holds as long as the authority: a broker takes nobody in at all once its list is out of
        date, and what keeps it new is the copying of a file, not its date.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(to_datetime(now_ms) - EARLY)
            .next_update(self.certificate.not_valid_after_utc)
        )
        for serial, at_ms in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(int(serial, 16))
            one = one.revocation_date(to_datetime(at_ms))
            builder = builder.add_revoked_certificate(one.build())
        crl = builder.sign(self._key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.PEM)

    def issued(self, certificate: x509.Certificate) -> bool:
        """Tell whether a certificate is of this authority, whatever its dates."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def sign_bytes(self, data: bytes) -> bytes:
        """Sign data with the authority's key (ECDSA, SHA-256)."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


def make_authority(folder: Path, now_ms: int) -> Authority:
    """Make key and certificate of a new authority in `ca.key` and `ca.crt`."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = to_datetime(now_ms)
    name = f"Suyuan authority {x509.random_serial_number():040x}"[:32]
    certificate = (
        _builder(
            name, _name(name), key.public_key(), now - EARLY, now + timedelta(days=AUTHORITY_DAYS)
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_key(folder / "ca.key", key)
    write_durably(folder / "ca.crt", to_pem(certificate).encode())
    return Authority(key, certificate)


def load_authority(folder: Path) -> Authority:
    """Read the authority of a folder.

    Raises:
        StopService: there is none, or its files are damaged.

    """
    try:
        key = read_key(folder / "ca.key")
        certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    except (OSError, ValueError) as error:
        raise StopService(f"no authority in {folder}: {error} (see: suyuan-cloud ca init)") from (
            error
        )
    if certificate.public_key() != key.public_key():
        raise StopService(f"{folder}: ca.crt is not the certificate of ca.key")
    return Authority(key, certificate)


def make_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read the key in `file`, or make one there; a key that exists is never written over."""
    if file.exists():
        return read_key(file)
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(file, key)
    return key


def write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a key for its owner's eyes only."""
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_durably(file, data, PRIVATE)


def read_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read an EC key; ValueError when it is none."""
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{file}: expected an EC key")  # noqa: TRY004  # the content, not a type
    return key


def check_request(pem: str, gateway_id: str) -> PublicKey:
    """Return the key of a certificate request for this gateway.

    Nothing else of the request counts; one that asks for more than a name is refused.

    Raises:
        RefuseInput: `bad_csr`.

    """
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        sound = csr.is_signature_valid
        extensions = len(csr.extensions)
        key = csr.public_key()
    except UNREADABLE:
        raise RefuseInput("bad_csr", "expected a PKCS #10 request as PEM") from None
    if not sound:
        raise RefuseInput("bad_csr", "its signature is not of its key")
    if csr.subject != _name(gateway_id):
        found = csr.subject.rfc4514_string()[:100]
        raise RefuseInput("bad_csr", f"expected the name CN={gateway_id}, found {found}")
    if extensions:
        raise RefuseInput("bad_csr", "expected no extensions: the authority decides about them")
    return check_key(key)


def check_key(key: object) -> PublicKey:
    """Return `key` if it is of a kind that we take; RefuseInput `bad_csr` else."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise RefuseInput("bad_csr", "expected a key on P-256 or Ed25519")


def check_signature(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` over `data` is of this key."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def common_name(certificate: x509.Certificate) -> str:
    """Return the common name, empty when there is not exactly one."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    value = found[0].value if len(found) == 1 else ""
    return value if isinstance(value, str) else ""


def to_pem(certificate: x509.Certificate) -> str:
    """Write a certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def to_datetime(at_ms: int) -> datetime:
    """Turn ms since 1970 into whole seconds of X.509."""
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def to_ms(at: datetime) -> int:
    """Turn a date of X.509 into ms since 1970."""
    return int(at.timestamp()) * 1000


def _builder(
    name: str, issuer: x509.Name, key: PublicKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
