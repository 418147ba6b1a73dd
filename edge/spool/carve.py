"""Reads rows out of the pages of a damaged SQLite file, whatever else of it is broken.

Only leaves are looked at, so a lost root or schema loses nothing but itself. Formats: "Database
File Format" and "WAL-mode File Format" of the SQLite documentation.
"""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from edge.spool.wal import FRAME_HEADER, HEADER, salts

Field = int | float | bytes | str | None
Fields = list[Field]

_LEAF = 13
SALTS_LOOKED_AT = 64
"""So many frames of the log are enough to see which run they belong to."""
_WHOLE_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def carve(file: Path, wal: Path, page_bytes: int) -> Iterator[tuple[int, Fields]]:
    """Yield (rowid, fields) of every row that can be made out, older versions of a row first.

    `page_bytes` is believed when the file does not tell. What a row holds must be checked by the
    reader: a page may be damaged in the middle, or no longer be in use.
    """
    with ExitStack() as stack:
        data, log = _Bytes(file, stack), _Bytes(wal, stack)
        page_bytes = _page_bytes(data, page_bytes)
        images = list(_frames(log, page_bytes))
        frames = dict(images)
        free = _free_pages(data, page_bytes)

        def page(number: int) -> bytes:
            if number in frames:
                return log[frames[number] : frames[number] + page_bytes]
            return data[(number - 1) * page_bytes : number * page_bytes]

        pages = _Pages(page_bytes, page)
        for number in range(1, len(data) // page_bytes + 1):
            if number not in free:
                image = data[(number - 1) * page_bytes : number * page_bytes]
                yield from pages.rows(number, image)
        for number, at in images:
            yield from pages.rows(number, log[at : at + page_bytes])


class _Bytes:
    """A file read part by part: it may be as large as the memory, and have unreadable sectors."""

    def __init__(self, file: Path, stack: ExitStack) -> None:
        self._size, self._number = 0, -1
        if file.is_file():
            source = stack.enter_context(file.open("rb"))
            self._number, self._size = source.fileno(), os.fstat(source.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """Read a part; what cannot be read is zeros, in which there is no row."""
        start, end, _ = part.indices(self._size)
        if end <= start:
            return b""
        try:
            return os.pread(self._number, end - start, start)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return bytes(end - start)


def _page_bytes(data: _Bytes, believed: int) -> int:
    told = int.from_bytes(data[16:18], "big")
    return told if told in {512, 1024, 2048, 4096, 8192, 16384, 32768} else believed


def _frames(log: _Bytes, page_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (page number, place of its image) of the frames of the log, damaged ones or not.

    A commit that was under way is among them: whole batches too, under keys that nobody else has.
    """
    size = FRAME_HEADER + page_bytes
    mine = salts(log[: HEADER + SALTS_LOOKED_AT * size], page_bytes)
    for start in range(HEADER, len(log) - size + 1, size):
        if log[start + 8 : start + 16] == mine:
            yield int.from_bytes(log[start : start + 4], "big"), start + FRAME_HEADER


def _free_pages(data: _Bytes, page_bytes: int) -> set[int]:
    """List the pages that hold nothing any more; none when that cannot be told."""
    pages: set[int] = set()
    if len(data) < page_bytes or data[:16] != b"SQLite format 3\0":
        return pages
    trunk = int.from_bytes(data[32:36], "big")
    while trunk and trunk not in pages:
        start = (trunk - 1) * page_bytes
        if start + page_bytes > len(data):
            return set()
        page = data[start : start + page_bytes]
        following, count = struct.unpack_from(">II", page)
        if count > page_bytes // 4 - 2:
            return set()
        pages.add(trunk)
        pages.update(struct.unpack_from(f">{count}I", page, 8))
        trunk = following
    return pages


class _Pages:
    def __init__(self, page_bytes: int, page: Callable[[int], bytes]) -> None:
        self._bytes, self._page = page_bytes, page

    def rows(self, number: int, image: bytes) -> Iterator[tuple[int, Fields]]:
        head = 100 if number == 1 else 0
        if len(image) < self._bytes or image[head] != _LEAF:
            return
        count = int.from_bytes(image[head + 3 : head + 5], "big")
        for index in range(min(count, self._bytes // 4)):
            at = head + 8 + 2 * index
            start = int.from_bytes(image[at : at + 2], "big")
            try:
                yield self._row(image, start)
            except (IndexError, ValueError, struct.error):
                continue  # damaged in the middle; its neighbours may be whole

    def _row(self, image: bytes, start: int) -> tuple[int, Fields]:
        size, start = _varint(image, start)
        rowid, start = _varint(image, start)
        return rowid, _fields(self._payload(image, start, size))

    def _payload(self, image: bytes, start: int, size: int) -> bytes:
        usable = self._bytes
        if size > 1 << 24:
            raise ValueError("longer than any row of a spool")
        if size <= usable - 35:
            return image[start : start + size]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= usable - 35 else least
        parts, left = [image[start : start + local]], size - local
        following = int.from_bytes(image[start + local : start + local + 4], "big")
        while left > 0:
            page = self._page(following)
            if not following or len(page) < usable:
                raise ValueError("the chain of pages is broken")
            parts.append(page[4 : 4 + min(left, usable - 4)])
            left -= usable - 4
            following = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _fields(payload: bytes) -> Fields:
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    fields: Fields = []
    at = end
    for kind in kinds:
        size = _WHOLE_BYTES.get(kind, 8 if kind == 7 else max(0, (kind - 12) // 2))
        raw = payload[at : at + size]
        if len(raw) < size:
            raise ValueError("a row is cut")
        fields.append(_field(kind, raw))
        at += size
    return fields


def _field(kind: int, raw: bytes) -> Field:
    if kind == 0:
        return None
    if kind in _WHOLE_BYTES:
        return int.from_bytes(raw, "big", signed=True)
    if kind == 7:
        return float(struct.unpack(">d", raw)[0])
    if kind in {8, 9}:
        return kind - 8
    return raw.decode() if kind % 2 else raw


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            value = value << 8 | byte
            break
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at + index + 1
