"""The folder `identity` of a state folder.

`cert.pem` is written last and read first: without it nobody is enrolled. The key that belongs to it
is `key.pem`, or still `next-key.pem` when the power went between the two steps of a change.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Meta

from protocols.border import load_toml
from protocols.durable import PRIVATE, sync_folder, write_durably
from protocols.enrolment import Enrolled
from protocols.errors import Fault, FixConfiguration, RefuseInput

FOLDER = "identity"
KEY, NEXT_KEY, CERTIFICATE, CA = "key.pem", "next-key.pem", "cert.pem", "ca.pem"
UPLINK, ANCHORS = "uplink.toml", "anchors.json"
_URL = re.compile(r'[^\s"\\]{1,300}')

Text = Annotated[str, Meta(min_length=1, max_length=300)]


class UplinkFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`uplink.toml`: where this gateway belongs."""

    schema: Literal[1]
    gateway_id: Text
    broker: Text
    """`mqtts://host:port`."""
    server: Text
    """Where it was enrolled, and where its certificate is renewed."""


class IdentityFolder:
    """Reads and writes the files; all changes survive a power cut at any step."""

    def __init__(self, state: Path) -> None:
        self.path = state / FOLDER

    def exists(self) -> bool:
        """Tell whether this gateway was enrolled."""
        return (self.path / CERTIFICATE).exists()

    def leftovers(self) -> bool:
        """Tell whether this gateway was ever enrolled, whatever is left of it."""
        return any((self.path / name).exists() for name in (KEY, CERTIFICATE, UPLINK))

    def uplink(self) -> UplinkFile:
        """Read `uplink.toml`; FixConfiguration when it is missing or damaged."""
        return load_toml(self.path / UPLINK, UplinkFile)

    def file(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.path / name)

    def certificate(self) -> x509.Certificate:
        """Read the certificate.

        Raises:
            FixConfiguration: it is missing or damaged.

        """
        try:
            return x509.load_pem_x509_certificate((self.path / CERTIFICATE).read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(self.path / CERTIFICATE, error) from error

    def authority(self) -> x509.Certificate:
        """Read the authority's certificate; FixConfiguration as above."""
        try:
            return x509.load_pem_x509_certificate((self.path / CA).read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(self.path / CA, error) from error

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Read the present key; FixConfiguration as above."""
        try:
            return _read_key(self.path / KEY)
        except (OSError, ValueError) as error:
            raise _damaged(self.path / KEY, error) from error

    def next_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the key of the certificate to come; made and on disk before anyone hears of it.

        One that an earlier try left is used again: an answer that got lost costs nothing.
        """
        file = self.path / NEXT_KEY
        try:
            return _read_key(file)
        except (OSError, ValueError):
            key = ec.generate_private_key(ec.SECP256R1())
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_durably(file, data, PRIVATE)
        return key

    def take(self, given: Enrolled, *, server: str) -> None:
        """Store what belongs to the next key; the certificate last, then the key takes its place.

        Raises:
            RefuseInput: `bad_answer`, what was given does not fit; nothing is changed.

        """
        check(given, self.next_key())
        self._write_uplink(given, server)
        write_durably(self.path / CA, given.ca.encode())
        anchors = msgspec.json.encode({"schema": 1, "keys": given.anchors})
        write_durably(self.path / ANCHORS, anchors + b"\n")
        write_durably(self.path / CERTIFICATE, given.certificate.encode())
        self._promote()

    def settle(self) -> None:
        """Finish a change that a power cut broke off between certificate and key."""
        try:
            certificate = self.certificate()
            waiting = _read_key(self.path / NEXT_KEY)
        except (FixConfiguration, OSError, ValueError):
            return
        if certificate.public_key() == waiting.public_key():
            self._promote()

    def _promote(self) -> None:
        (self.path / NEXT_KEY).replace(self.path / KEY)
        sync_folder(self.path)

    def _write_uplink(self, given: Enrolled, server: str) -> None:
        text = (
            "schema = 1\n"
            f'gateway_id = "{given.gateway_id}"\n'
            f'broker = "{given.broker}"\n'
            f'server = "{server}"\n'
        )
        write_durably(self.path / UPLINK, text.encode())


def make_csr(key: ec.EllipticCurvePrivateKey, gateway_id: str) -> str:
    """Ask for a certificate: PKCS #10, PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway_id)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def common_name(certificate: x509.Certificate) -> str:
    """Return whose certificate it is, empty when it does not say."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def check(given: Enrolled, key: ec.EllipticCurvePrivateKey) -> None:
    """Make sure that a certificate is of this key and of the authority that came with it.

    Raises:
        RefuseInput: `bad_answer`.

    """
    try:
        certificate = x509.load_pem_x509_certificate(given.certificate.encode())
        authority = x509.load_pem_x509_certificate(given.ca.encode())
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise RefuseInput("bad_answer", f"no certificate of its authority: {error}") from None
    if certificate.public_key() != key.public_key():
        raise RefuseInput("bad_answer", "a certificate of another key")
    if common_name(certificate) != given.gateway_id:
        raise RefuseInput("bad_answer", f"a certificate of another name than {given.gateway_id}")
    _check_texts(given.broker, given.anchors)


def _check_texts(broker: str, anchors: Sequence[str]) -> None:
    if not _URL.fullmatch(broker) or not broker.startswith("mqtts://"):
        raise RefuseInput("bad_answer", f"expected a broker mqtts://…, found {broker[:80]!r}")
    if not 1 <= len(anchors) <= 2:
        raise RefuseInput("bad_answer", f"expected 1 or 2 anchors, found {len(anchors)}")


def _read_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an EC key")  # noqa: TRY004  # the content, not a type
    return key


def _damaged(file: Path, error: Exception) -> FixConfiguration:
    found = error.strerror if isinstance(error, OSError) else "damaged bytes"
    return FixConfiguration([Fault(str(file), "file", "as enrolment left it", found or "an error")])
