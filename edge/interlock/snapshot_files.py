"""Snapshot files on disk: opened only when their hash is the one that was signed.

All raise RefuseInput: `truncated`, `bad_hash`, `malformed`, `unknown_schema`.
"""

import hashlib
import mmap
import os
import zlib
from pathlib import Path

from protocols.cylinders.manifest import FILE_BYTES_MAX, Blob
from protocols.cylinders.snapshot import Layer
from protocols.durable import sync_folder
from protocols.errors import RefuseInput

_BLOCK = 1 << 20


def open_whole(path: Path, blob: Blob) -> Layer:
    """Open a whole file where it lies."""
    try:
        with path.open("rb") as file:
            _check_size(os.fstat(file.fileno()).st_size, blob)
            _check_hash(hashlib.file_digest(file, "sha256").hexdigest(), blob)
            data = mmap.mmap(file.fileno(), blob.size, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise RefuseInput("truncated", f"{path.name}: {error}"[:200]) from None
    return Layer(data, blob.size)


def open_increment(path: Path, blob: Blob) -> Layer:
    """Open an increment as it travelled."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise RefuseInput("truncated", f"{path.name}: {error}"[:200]) from None
    _check_size(len(packed), blob)
    _check_hash(hashlib.sha256(packed).hexdigest(), blob)
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, FILE_BYTES_MAX)
    except zlib.error as error:
        raise RefuseInput("malformed", str(error)) from None
    return Layer(data, len(data))


def unpack_whole(packed: Path, blob: Blob, path: Path, state: Blob) -> None:
    """Unpack a fetched whole file to its place; when refused nothing is there. OSError: disk."""
    with packed.open("rb") as file:
        _check_size(os.fstat(file.fileno()).st_size, blob)
        _check_hash(hashlib.file_digest(file, "sha256").hexdigest(), blob)
    draft = path.with_name(f".{path.name}.new")
    try:
        with packed.open("rb") as file, draft.open("wb") as out:
            unpacker, size = zlib.decompressobj(), 0
            while size <= state.size and (block := file.read(_BLOCK)):
                while block:
                    data = unpacker.decompress(block, _BLOCK)
                    size += len(data)
                    out.write(data)
                    block = unpacker.unconsumed_tail if size <= state.size else b""
            out.flush()
            os.fsync(out.fileno())
        _check_size(size, state)
        draft.replace(path)
        sync_folder(path.parent)
    except zlib.error as error:
        raise RefuseInput("malformed", str(error)) from None
    finally:
        draft.unlink(missing_ok=True)


def _check_size(size: int, blob: Blob) -> None:
    if size != blob.size:
        raise RefuseInput("truncated", f"expected {blob.size} bytes, found {size}")


def _check_hash(found: str, blob: Blob) -> None:
    if found != blob.sha256:
        raise RefuseInput("bad_hash", f"expected {blob.sha256}, found {found}")


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
