"""Segments in files: written whole, checked when opened, read where they lie."""

import mmap
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from cloud.trace.lineage.base import Column
from cloud.trace.lineage.segment import Segment

_MAGIC = b"suyuan lineage 1\n"
_ALIGNED = 64


class FileColumn(Struct, frozen=True, forbid_unknown_fields=True):
    """A column of a file."""

    name: str
    type: str
    start: int
    count: int
    crc32: int


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """The beginning of a file."""

    first: int
    end: int
    key: str
    """Of the event end - 1, in hexadecimal: a file of another repository is told by it."""
    columns: Sequence[FileColumn]


class DamagedFile(Exception):
    """What was written is not what is there: make it anew."""


def write_segment(path: Path, segment: Segment, key: bytes) -> None:
    """Write a segment, whole or not at all; on return it is durable."""
    columns, start = [], 0
    for name, values in segment.columns.items():
        crc32 = zlib.crc32(np.ascontiguousarray(values).view(np.uint8).data)
        columns.append(FileColumn(name, values.dtype.str, start, len(values), crc32))
        start += -(-values.nbytes // _ALIGNED) * _ALIGNED
    header = msgspec.json.encode(Header(segment.first, segment.end, key.hex(), columns))
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(_MAGIC + b"%08x%08x\n" % (len(header), zlib.crc32(header)) + header)
        base = file.tell() + -file.tell() % _ALIGNED
        for column, values in zip(columns, segment.columns.values(), strict=True):
            file.seek(base + column.start)
            np.ascontiguousarray(values).tofile(file)
        file.truncate(base + start)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_segment(path: Path) -> tuple[Segment, bytes]:
    """Map a segment; return it and the key of its last event.

    Raises:
        DamagedFile: it is not a whole file of this kind.

    """
    try:
        with path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise DamagedFile(f"{path.name}: {error}") from error
    try:
        header, base = _header(whole)
        columns = {one.name: _column(whole, base, one) for one in header.columns}
        return Segment(header.first, header.end, columns), bytes.fromhex(header.key)
    except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise DamagedFile(f"{path.name}: {error}") from error


def _header(whole: mmap.mmap) -> tuple[Header, int]:
    start = len(_MAGIC)
    words = whole[start : start + 17]
    if whole[:start] != _MAGIC or len(words) != 17:
        raise ValueError("expected a lineage segment")
    text = whole[start + 17 : start + 17 + int(words[:8], 16)]
    if zlib.crc32(text) != int(words[8:16], 16):
        raise ValueError("header: wrong checksum")
    end = start + 17 + len(text)
    return msgspec.json.decode(text, type=Header), end + -end % _ALIGNED


def _column(whole: mmap.mmap, base: int, column: FileColumn) -> Column:
    values: Column = np.frombuffer(
        whole, dtype=np.dtype(column.type), count=column.count, offset=base + column.start
    )
    if zlib.crc32(values.view(np.uint8).data) != column.crc32:
        raise ValueError(f"column {column.name}: wrong checksum")
    return values
