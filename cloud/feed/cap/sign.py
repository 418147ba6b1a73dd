"""The XML signature of a CAP document: enveloped, RSA-SHA256, exclusive canonical XML.

RSA (PKCS #1 1.5) of all that XML Signature 1.1 knows, since every reader has it and it signs the
same text the same way each time: a document fetched again is the same to the byte.
"""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from lxml import etree

DSIG = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256_URI = "http://www.w3.org/2001/04/xmlenc#sha256"
KEY_BITS = 2048
YEARS = 10


class CapSigner:
    """Signs with one key."""

    def __init__(self, pem: bytes) -> None:
        """Take a key and its certificate, both PEM, one after the other."""
        key = load_pem_private_key(pem, None)
        assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101  # as `new_key` makes them
        self._key, certificate = key, x509.load_pem_x509_certificate(pem)
        self.certificate = certificate.public_bytes(Encoding.PEM)
        self._der = certificate.public_bytes(Encoding.DER)

    def sign(self, document: etree._Element) -> bytes:
        """Add the signature to a document and write it."""
        digest = hashlib.sha256(_canonical(document)).digest()
        signature = etree.SubElement(document, _name("Signature"), nsmap={None: DSIG})
        info = _signed_info(signature, digest)
        signed = self._key.sign(_canonical(info), padding.PKCS1v15(), SHA256())
        _add(signature, "SignatureValue", base64.b64encode(signed).decode())
        data = etree.SubElement(etree.SubElement(signature, _name("KeyInfo")), _name("X509Data"))
        _add(data, "X509Certificate", base64.b64encode(self._der).decode())
        return bytes(etree.tostring(document, xml_declaration=True, encoding="UTF-8"))


def new_key(name: str, now_ms: int) -> bytes:
    """Make a key and a certificate that it signs itself; PEM of both."""
    key = rsa.generate_private_key(65_537, KEY_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=365 * YEARS),
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        **dict.fromkeys(
            (
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "key_cert_sign",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        ),
    )
    certificate = builder.add_extension(usage, critical=True).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _signed_info(signature: etree._Element, digest: bytes) -> etree._Element:
    info = etree.SubElement(signature, _name("SignedInfo"))
    etree.SubElement(info, _name("CanonicalizationMethod"), Algorithm=C14N)
    etree.SubElement(info, _name("SignatureMethod"), Algorithm=RSA_SHA256)
    reference = etree.SubElement(info, _name("Reference"), URI="")
    transforms = etree.SubElement(reference, _name("Transforms"))
    for one in (ENVELOPED, C14N):
        etree.SubElement(transforms, _name("Transform"), Algorithm=one)
    etree.SubElement(reference, _name("DigestMethod"), Algorithm=SHA256_URI)
    _add(reference, "DigestValue", base64.b64encode(digest).decode())
    return info


def _canonical(element: etree._Element) -> bytes:
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_comments=False))


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, _name(name)).text = text


def _name(name: str) -> str:
    return f"{{{DSIG}}}{name}"
