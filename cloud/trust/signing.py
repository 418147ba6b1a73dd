"""The keys that configuration is signed with: Ed25519, one, or two while one takes over."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from cloud.trust.files import PRIVATE, write_whole
from protocols.errors import StopService


def anchors(data_dir: Path) -> tuple[bytes, ...]:
    """Return the raw public keys (32 bytes each) of `ca/signing/`; the first key is made here."""
    folder = data_dir / "ca" / "signing"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = sorted(folder.glob("signing-*.pem"))
    if not files:
        key = ed25519.Ed25519PrivateKey.generate()
        data = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        files = [folder / "signing-1.pem"]
        write_whole(files[0], data, PRIVATE)
    return tuple(_public(one) for one in files[-2:])


def _public(file: Path) -> bytes:
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise StopService(f"{file}: expected an Ed25519 key")
    return key.public_key().public_bytes_raw()
