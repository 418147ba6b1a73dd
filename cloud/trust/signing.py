"""The keys that sign configuration and releases: Ed25519, one, or two while they change."""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from protocols.durable import write_durably
from protocols.errors import StopService

KEYS_MAX = 2
"""A gateway trusts two at a time, so that there is always one that both sides know."""
RETIRED = "retired.txt"
"""Public keys that signed before, one a line."""


def anchors(data_dir: Path) -> tuple[bytes, ...]:
    """Return the raw public keys, 1 or 2; makes the first key if there is none.

    Raises:
        StopService: a key file is damaged.

    """
    return tuple(key.public_key().public_bytes_raw() for key in _keys(data_dir))


def sign(data_dir: Path, message: bytes) -> Sequence[tuple[bytes, bytes]]:
    """Sign by every key: (raw public key, signature) of each."""
    return [(key.public_key().public_bytes_raw(), key.sign(message)) for key in _keys(data_dir)]


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature by a raw public key is good."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def known_keys(data_dir: Path) -> frozenset[bytes]:
    """Return the raw public keys that are ours, or were: what they signed stays proven.

    Raises:
        StopService: a key file is damaged, or the list of retired keys is.

    """
    return frozenset((*anchors(data_dir), *_retired(data_dir)))


def add_key(data_dir: Path) -> bytes:
    """Make the second key and return its public one; both sign from now on.

    Raises:
        StopService: there are two already.

    """
    names = [path.name for path in _files(data_dir)]
    if len(names) >= KEYS_MAX:
        raise StopService(f"there are two keys already: retire {names[0]} first")
    return _make(data_dir, "signing-2.pem" if "signing-1.pem" in names else "signing-1.pem")


def retire_key(data_dir: Path, name: str) -> None:
    """Forget a key, once every gateway trusts the other.

    Raises:
        StopService: there is no such key, or it is the only one.

    """
    files = _files(data_dir)
    if len(files) < KEYS_MAX or name not in [path.name for path in files]:
        known = ", ".join(path.name for path in files)
        raise StopService(f"expected one of two keys, found {name!r} among {known or 'none'}")
    file = _folder(data_dir) / name
    gone = {*_retired(data_dir), _load(file).public_key().public_bytes_raw()}
    text = "".join(f"{key.hex()}\n" for key in sorted(gone))
    write_durably(_folder(data_dir) / RETIRED, text.encode())
    file.unlink()


def _retired(data_dir: Path) -> list[bytes]:
    file = _folder(data_dir) / RETIRED
    if not file.exists():
        return []
    try:
        return [bytes.fromhex(line) for line in file.read_text("ascii").split()]
    except (OSError, ValueError) as error:
        raise StopService(f"{file}: expected public keys in hexadecimal: {error}") from error


def _folder(data_dir: Path) -> Path:
    return data_dir / "ca" / "signing"


def _files(data_dir: Path) -> list[Path]:
    return sorted(_folder(data_dir).glob("signing-*.pem"))[:KEYS_MAX]


def _keys(data_dir: Path) -> list[Ed25519PrivateKey]:
    if not _files(data_dir):
        _make(data_dir, "signing-1.pem")
    return [_load(path) for path in _files(data_dir)]


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise StopService(f"{path}: expected an Ed25519 key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StopService(f"{path}: expected an Ed25519 key in PEM, found another kind")
    return key


def _make(data_dir: Path, name: str) -> bytes:
    """Make a key; of several processes that do so at once one wins."""
    key = Ed25519PrivateKey.generate()
    folder = _folder(data_dir)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f".{name}.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, folder / name)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _load(folder / name).public_key().public_bytes_raw()
