"""Issues station snapshots: a whole one, then increments; unchanged, only a new term.

    DATA/snapshots/FILLER/book.json     what was issued; changed by one rename
    DATA/snapshots/FILLER/SHA256.base   the whole file of the newest state, not packed
    DATA/snapshots/FILLER/SHA256        files as they travel

Files are complete before the book names them, and removed after it no longer does.

A number rises with every issue and is never behind the seconds since 1970, so that gateways go on
with a service that was restored from an older copy. One process issues.
"""

import hashlib
import logging
import os
import re
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from cloud.cylinders.facts import Changes
from protocols.clock import Clock
from protocols.cylinders.base import Cylinder, State, StationPermits
from protocols.cylinders.book import RuleBook, book_bytes
from protocols.cylinders.columns import row_of
from protocols.cylinders.manifest import Blob, Manifest
from protocols.cylinders.snapshot import HOUR_MS, Layer
from protocols.cylinders.snapshot_merge import merge
from protocols.cylinders.snapshot_write import Write, Written, write_increment, write_whole
from protocols.durable import sync_folder, write_durably
from protocols.errors import RefuseInput
from protocols.signed import Sign, seal

log = logging.getLogger(__name__)

ISSUE_EACH_S = 600.0
"""Not oftener, however many gateways ask."""
CHAIN_MAX = 300
"""Increments that are kept; a gateway that is behind them takes a whole one."""
WHOLES_MAX = 2
"""Packed whole files that are kept: one is perhaps being fetched when the next is made."""
LEVEL = 6
_FILLER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


Changed = Callable[[str, int], Changes]
"""(filler, cursor) -> what changed since, 0: all; there are further answers while there is more.

Blocking. What changes meanwhile comes in a later answer, though it was in an earlier one."""


PermitsOf = Callable[[str], StationPermits | None]
"""Filler -> what it may fill now; None: it is no filling unit. Blocking."""


class _Link(Struct, frozen=True):
    """An increment that was issued."""

    previous: int
    number: int
    signed: str
    sha256: str


class _Whole(Struct, frozen=True):
    """A whole one that was issued."""

    number: int
    signed: str
    sha256: str


class _Book(Struct, frozen=True, kw_only=True):
    """`book.json`."""

    schema: Literal[1] = 1
    cursor: int
    number: int
    """Of the newest issue."""
    issued_at: int
    """Of the newest issue, ms since 1970."""
    content: int
    """Number of the newest issue with a file: `base` is its state."""
    base: Blob
    cylinders: int
    denied: int
    rules_version: str
    newest: str = ""
    """The newest issue, signed, unless it is a whole one: that is signed when somebody asks."""
    chain: tuple[_Link, ...] = ()
    wholes: tuple[_Whole, ...] = ()
    """Oldest first."""


class SnapshotBook:
    """Of all fillers; blocking, from any thread."""

    def __init__(
        self,
        folder: Path,
        changed: Changed,
        clock: Clock,
        *,
        sign: Sign,
        rules: Callable[[], RuleBook],
        permits: PermitsOf,
        issue_each_s: float = ISSUE_EACH_S,
    ) -> None:
        """Make a book; see the module for the folder."""
        self._permits = permits
        self._folder, self._changed, self._clock = folder, changed, clock
        self._sign, self._rules, self._each_ms = sign, rules, issue_each_s * 1000
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def offer(self, filler: str, have: int, *, whole: bool = False) -> bytes:
        """Return the signed manifest of what a gateway should take next.

        Args:
            filler: whose station it is in.
            have: number of the newest state that it ever had, 0: none.
            whole: it has that no longer, or cannot go on from there.

        Raises:
            RefuseInput: `not_found`: no filler can have this name.

        """
        self._of(filler)
        with self._turns[filler]:
            return self._offer(filler, have, whole).encode()

    def file(self, filler: str, sha256: str) -> Path:
        """Return the path of a file that a manifest names. RefuseInput `not_found`."""
        path = self._of(filler) / sha256
        if not _SHA256.fullmatch(sha256) or not path.is_file():
            raise RefuseInput("not_found", f"no snapshot file {sha256[:64]!r}")
        return path

    def _of(self, filler: str) -> Path:
        if not _FILLER.fullmatch(filler):
            raise RefuseInput("not_found", f"no filler {filler[:64]!r}")
        return self._folder / filler

    def _offer(self, filler: str, have: int, whole: bool) -> str:
        book, rules = self._read(filler), self._rules()
        if book is None:
            book = self._begin(filler, rules)
        elif self._clock.wall_ms() - book.issued_at >= self._each_ms:
            book = self._go_on(filler, book, rules)
        if have > book.content:  # this service was restored from an older copy
            number = self._number(book.number)
            book = msgspec.structs.replace(
                book, number=number, content=number, newest="", chain=(), wholes=()
            )
        if not whole:
            if have == book.content and book.newest:
                return book.newest
            for link in book.chain:
                if link.previous == have and self._sound(filler, link.sha256):
                    return link.signed
        return self._whole(filler, book, rules, have)

    def _begin(self, filler: str, rules: RuleBook) -> _Book:
        read = _Reading(self._pages(filler, 0))
        self._of(filler).mkdir(parents=True, exist_ok=True)
        told = book_bytes(rules)
        written = self._write_base(
            filler,
            lambda out: write_whole(out, read.each_once(), read.denied, told),
        )
        number = self._number(0)
        book = _Book(
            cursor=read.cursor,
            number=number,
            issued_at=self._clock.wall_ms(),
            content=number,
            base=written.blob,
            cylinders=written.cylinders,
            denied=written.denied,
            rules_version=rules.version,
        )
        return self._keep(filler, book)

    def _pages(self, filler: str, cursor: int) -> Iterator[Changes]:
        more = True
        while more:
            page = self._changed(filler, cursor)
            yield page
            cursor, more = page.cursor, page.more

    def _go_on(self, filler: str, book: _Book, rules: RuleBook) -> _Book:
        """Issue what changed, or that nothing did."""
        data = self._base_file(filler, book)
        base = Layer(data, len(data))
        news = _news(self._pages(filler, book.cursor), base)
        after = msgspec.structs.replace(
            book,
            cursor=news.cursor,
            number=self._number(book.number),
            issued_at=self._clock.wall_ms(),
            rules_version=rules.version,
        )
        other_rules = None if rules.version == book.rules_version else book_bytes(rules)
        if not any((news.cylinders, news.gone, news.denied, news.admitted, other_rules)):
            signed = self._signed(filler, after, rules, book.content, None)
            return self._keep(filler, msgspec.structs.replace(after, newest=signed))
        plain = bytearray()
        write_increment(
            plain.extend,
            news.cylinders,
            news.denied,
            gone=news.gone,
            admitted=news.admitted,
            rules=other_rules,
        )
        file = self._write_packed(filler, zlib.compress(bytes(plain), 9))
        layers = [base, Layer(bytes(plain), len(plain))]
        written = self._write_base(filler, lambda out: merge(out, layers))
        after = msgspec.structs.replace(
            after,
            content=after.number,
            base=written.blob,
            cylinders=written.cylinders,
            denied=written.denied,
        )
        signed = self._signed(filler, after, rules, book.content, file)
        link = _Link(book.content, after.number, signed, file.sha256)
        chain = (*book.chain, link)[-CHAIN_MAX:]
        return self._keep(filler, msgspec.structs.replace(after, newest=signed, chain=chain))

    def _whole(self, filler: str, book: _Book, rules: RuleBook, least: int) -> str:
        """Return a whole one from which the chain leads to the newest state.

        An earlier one will do, if a gateway may take it: it may have fetched half of it already.
        """
        from_here = {book.content, *(link.previous for link in book.chain)}
        for whole in book.wholes:
            fits = whole.number in from_here and whole.number >= least
            if fits and self._sound(filler, whole.sha256):
                return whole.signed
        file = self._write_packed(filler, zlib.compress(self._base_file(filler, book), LEVEL))
        as_of = msgspec.structs.replace(book, number=book.content)
        signed = self._signed(filler, as_of, rules, None, file)
        others = [one for one in book.wholes if one.number != book.content]
        wholes = (*others, _Whole(book.content, signed, file.sha256))[-WHOLES_MAX:]
        newest = book.newest or signed
        self._keep(filler, msgspec.structs.replace(book, wholes=wholes, newest=newest))
        return signed

    def _signed(
        self, filler: str, book: _Book, rules: RuleBook, previous: int | None, file: Blob | None
    ) -> str:
        manifest = Manifest(
            filler=filler,
            number=book.number,
            previous=previous,
            issued_at=book.issued_at,
            expires_at=book.issued_at + rules.snapshot.term_h * HOUR_MS,
            rules_version=book.rules_version,
            cylinders=book.cylinders,
            denied=book.denied,
            file=file,
            state=book.base,
            permits=self._permits(filler),
        )
        return seal("snapshot", manifest, self._sign).decode()

    def _base_file(self, filler: str, book: _Book) -> bytes:
        return (self._of(filler) / f"{book.base.sha256}.base").read_bytes()

    def _number(self, last: int) -> int:
        return max(last + 1, self._clock.wall_ms() // 1000)

    def _read(self, filler: str) -> _Book | None:
        """Return what was issued; None: nothing, or its base is not what it was."""
        folder = self._of(filler)
        try:
            book = msgspec.json.decode((folder / "book.json").read_bytes(), type=_Book)
            with (folder / f"{book.base.sha256}.base").open("rb") as base:
                if hashlib.file_digest(base, "sha256").hexdigest() == book.base.sha256:
                    return book
            log.error("%s: the base is damaged: a whole one is issued", folder)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.error("%s: %s: a whole one is issued", folder, error)  # noqa: TRY400
        return None

    def _sound(self, filler: str, sha256: str) -> bool:
        """Tell whether a file is still what it was."""
        try:
            with (self._of(filler) / sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def _keep(self, filler: str, book: _Book) -> _Book:
        folder = self._of(filler)
        write_durably(folder / "book.json", msgspec.json.encode(book))
        used = {"book.json", f"{book.base.sha256}.base"}
        used |= {one.sha256 for one in book.chain} | {one.sha256 for one in book.wholes}
        for path in folder.iterdir():
            if path.name not in used:
                path.unlink(missing_ok=True)
        return book

    def _write_packed(self, filler: str, packed: bytes) -> Blob:
        blob = Blob(_sha256(packed), len(packed))
        write_durably(self._of(filler) / blob.sha256, packed)
        return blob

    def _write_base(self, filler: str, write: Callable[[Write], Written]) -> Written:
        draft = self._of(filler) / ".base.new"
        with draft.open("wb") as out:
            written = write(out.write)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(draft.with_name(f"{written.blob.sha256}.base"))
        sync_folder(draft.parent)
        return written


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Reading:
    """Reads all pages as one stream of cylinders, for which there may be no room in memory."""

    def __init__(self, pages: Iterable[Changes]) -> None:
        self._pages = pages
        self.denied: dict[str, State] = {}
        self.cursor = 0
        """When all was read: from where on nothing was missed."""

    def each_once(self) -> Iterator[Cylinder]:
        """Yield every cylinder; one that changes meanwhile as it was."""
        seen, first, missed = set[str](), None, False
        for page in self._pages:
            first = page.cursor if first is None else first
            for one in page.cylinders:
                if one.code in seen:
                    missed = True
                else:
                    seen.add(one.code)
                    yield one
            missed = missed or not seen.isdisjoint(page.gone)
            self.denied.update(page.denied)
            for code in page.admitted:
                self.denied.pop(code, None)
            self.cursor = first if missed else page.cursor


def _news(pages: Iterable[Changes], base: Layer) -> Changes:
    """Return all pages as one, without what a base says already: much bears on nothing here."""
    cylinders: dict[str, Cylinder | None] = {}
    denied: dict[str, State | None] = {}
    cursor = 0
    for page in pages:
        cylinders |= dict.fromkeys(page.gone)
        cylinders |= {one.code: _in_order(one) for one in page.cylinders}
        denied |= dict.fromkeys(page.admitted)
        denied |= page.denied
        cursor = page.cursor
    new = {code: one for code, one in cylinders.items() if base.cylinder(row_of(code)) != one}
    shut = {code: state for code, state in denied.items() if base.denied(row_of(code)) != state}
    return Changes(
        cylinders=tuple(one for one in new.values() if one is not None),
        gone=tuple(code for code, one in new.items() if one is None),
        denied={code: state for code, state in shut.items() if state is not None},
        admitted=tuple(code for code, state in shut.items() if state is None),
        cursor=cursor,
        more=False,
    )


def _in_order(cylinder: Cylinder) -> Cylinder:
    """Return a cylinder as it is read back."""
    return msgspec.structs.replace(cylinder, tag_uids=tuple(sorted(set(cylinder.tag_uids))))
