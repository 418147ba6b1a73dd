"""All that is kept of an organisation as one ZIP file, made while it is sent.

What it needs of memory does not grow with what it holds: a page of rows is read, written and sent
before the next one is read. No transaction is held for longer than a page, so a slow receiver
keeps nobody waiting; what is changed meanwhile may stand in one file of a table in its old form
and in the other in its new one.
"""

import csv
import io
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.organisation import Organisation
from cloud.organisations.listings import LISTINGS, After, Listing, Row
from protocols.clock import Clock, iso
from protocols.errors import RefuseInput

EXPORTS_MAX = 8
"""Under way at a time, and one for each organisation; a further one is refused."""
AGAIN_AFTER_S = 60
PART_ROWS_MAX = 500_000
PART_BYTES_MAX = 512 * 1024 * 1024
"""A larger table goes on in a further file: spreadsheets and old ZIP readers have bounds, too."""
README = Path(__file__).parent / "readme"
LANGUAGES = ("zh", "en")
_FORMULA = frozenset("=+-@＝＋－＠")


class Export:
    """Makes exports."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._under_way: set[str] = set()

    async def open(self, one: Organisation) -> AsyncIterator[bytes]:
        """Begin, and return the file part by part.

        Raises:
            RefuseInput: `too_many_exports`; `detail` is the seconds to wait.

        """
        parts = self._parts(one)
        first = await anext(parts)  # begun: from here on it ends by itself even if nobody reads
        return _chained(first, parts)

    async def _parts(self, one: Organisation) -> AsyncGenerator[bytes]:
        if one.id in self._under_way or len(self._under_way) >= EXPORTS_MAX:
            raise RefuseInput("too_many_exports", str(AGAIN_AFTER_S))
        self._under_way.add(one.id)
        archive = _Archive(self._clock.wall_ms())
        try:
            for listing in LISTINGS:
                for form in (_lines, _table):
                    writer = _Writer(archive, listing, form, one.id)
                    while writer.more:
                        yield await self._database.read(writer.page)
            yield archive.end(one)
        finally:
            archive.drop()
            self._under_way.discard(one.id)


class _Sink:
    """Collects what the ZIP writer gives out, until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take some."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: all is here."""

    def close(self) -> None:
        """Do nothing: it is taken from to the end."""

    def taken(self) -> bytes:
        """Give out what came in since the last time."""
        data, self._parts = b"".join(self._parts), []
        return data


class _Archive:
    """A ZIP file under way, and how many rows are in each of its files."""

    def __init__(self, now_ms: int) -> None:
        self.sink = _Sink()
        self._now_ms = now_ms
        self._zip = zipfile.ZipFile(self.sink, "w")
        self.rows: dict[str, int] = {}

    def file(self, name: str) -> IO[bytes]:
        """Begin a file; the one before it must be closed."""
        self.rows[name] = 0
        moment = datetime.fromtimestamp(self._now_ms // 1000, UTC)
        info = zipfile.ZipInfo(name, moment.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        file: IO[bytes] = self._zip.open(info, "w")
        return file

    def end(self, one: Organisation) -> bytes:
        """Write what tells of the files, and the directory."""
        counts = "\n".join(f"{name}  {rows}" for name, rows in self.rows.items())
        for language in LANGUAGES:
            text = (README / f"{language}.txt").read_text(encoding="utf-8")
            filled = text.format(id=one.id, at=iso(self._now_ms), counts=counts)
            with self.file(f"README.{language}.txt") as file:
                file.write(filled.encode("utf-8-sig"))
        self._zip.close()
        return self.sink.taken()

    def drop(self) -> None:
        """Let go of it even where a file is half written: nobody reads it any more."""
        self._zip.fp = None


class _Form(msgspec.Struct, frozen=True):
    """How rows are written."""

    suffix: str
    head: Callable[[Sequence[str]], bytes]
    rows: Callable[[Sequence[Row]], bytes]


class _Writer:
    """Writes a table in one form, into as many files as it needs."""

    def __init__(self, archive: _Archive, listing: Listing, form: _Form, whose: str) -> None:
        self._archive, self._listing, self._form, self._whose = archive, listing, form, whose
        self._after: After = ()
        self._file: IO[bytes] | None = None
        self._name, self._number, self._bytes = "", 0, 0
        self.more = True

    def page(self, connection: Connection) -> bytes:
        """Read and write one page; returns what is ready to be sent."""
        rows, after = self._listing.page(connection, self._whose, self._after)
        if self._file is None:
            self._begin()
        self._write(self._form.rows(rows))
        self._archive.rows[self._name] += len(rows)
        self.more, self._after = after is not None, after or ()
        full = self._archive.rows[self._name] >= PART_ROWS_MAX or self._bytes >= PART_BYTES_MAX
        if self._file is not None and (full or not self.more):
            self._file.close()
            self._file = None
        return self._archive.sink.taken()

    def _begin(self) -> None:
        self._number, self._bytes = self._number + 1, 0
        number = f"-{self._number}" if self._number > 1 else ""
        self._name = f"{self._listing.name}{number}.{self._form.suffix}"
        self._file = self._archive.file(self._name)
        self._write(self._form.head(tuple(self._listing.columns)))

    def _write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            self._bytes += len(data)


async def _chained(first: bytes, parts: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(parts):
        yield first
        async for part in parts:
            if part:
                yield part


def _no_head(_names: Sequence[str]) -> bytes:
    return b""


def _csv_head(names: Sequence[str]) -> bytes:
    return b"\xef\xbb\xbf" + _csv([names])  # the mark by which spreadsheets know UTF-8


def _json_rows(rows: Sequence[Row]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _csv_rows(rows: Sequence[Row]) -> bytes:
    return _csv([[cell(value) for value in row.values()] for row in rows])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def cell(value: Any) -> str:
    """Write a value into a cell of a spreadsheet, never as a formula (OWASP, CSV injection)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text.replace("\0", "\ufffd")
    begins = text.lstrip()[:1]
    return f"'{text}" if begins in _FORMULA or text[:1] in ("\t", "\r", "\n") else text


_lines = _Form("jsonl", _no_head, _json_rows)
_table = _Form("csv", _csv_head, _csv_rows)
