"""Fetches wheels and other large files: bounded, resumed where it broke off, checked by hash."""

import hashlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from protocols.errors import RefuseInput, RetryLater
from protocols.signed import RELEASE_BYTES_MAX, Release

TIMEOUT_S = 30.0
WITHIN_S = 3600.0
"""What is not here by then is given up; what was fetched stays for the next try."""
WAIT_FIRST_S, WAIT_MAX_S = 0.5, 60.0
BLOCK = 64 * 1024
SPACE = 4
"""So many times the size of its wheels a release takes, installed."""


def fetch(
    release: Release,
    url: str,
    folder: Path,
    *,
    within_s: float = WITHIN_S,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch what is not there yet; blocking.

    Raises:
        RefuseInput: `bad_url`, `too_large`, `disk`, `fetch`, `bad_hash`.

    """
    if not url.startswith(("http://", "https://")):
        raise RefuseInput("bad_url", f"expected http:// or https://, found {url[:80]!r}")
    total = sum(wheel.size for wheel in release.wheels)
    if total > RELEASE_BYTES_MAX:
        raise RefuseInput("too_large", f"{total} bytes")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < SPACE * total:
            raise RefuseInput("disk", f"{free} bytes are free, {SPACE * total} are needed")
        deadline = time.monotonic() + within_s
        for wheel in release.wheels:
            one = _Wanted(f"{url}/{wheel.name}", folder / wheel.name, wheel.size, wheel.sha256)
            _fetch_one(one, deadline, sleep)
    except OSError as error:
        raise RefuseInput("disk", str(error)[:200]) from None


def fetch_file(
    url: str,
    path: Path,
    *,
    size: int,
    sha256: str,
    within_s: float = WITHIN_S,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch one file; blocking.

    Raises:
        RefuseInput: `disk`, `fetch`, `bad_hash`.

    """
    try:
        _fetch_one(_Wanted(url, path, size, sha256), time.monotonic() + within_s, sleep)
    except OSError as error:
        raise RefuseInput("disk", str(error)[:200]) from None


class _Wanted(NamedTuple):
    """A file to be fetched."""

    url: str
    path: Path
    size: int
    sha256: str


def _fetch_one(wanted: _Wanted, deadline: float, sleep: Callable[[float], None]) -> None:
    path, part = wanted.path, wanted.path.with_name(f"{wanted.path.name}.part")
    if path.exists() and _digest(path) == wanted.sha256:
        return
    wait_s, spoiled = WAIT_FIRST_S, 0
    while True:
        try:
            _go_on(wanted.url, part, wanted.size)
        except RetryLater as error:
            if time.monotonic() + wait_s > deadline:
                raise RefuseInput("fetch", str(error)[:200]) from None
            sleep(wait_s)
            wait_s = min(WAIT_MAX_S, 2 * wait_s)
            continue
        if _digest(part) == wanted.sha256:
            part.rename(path)
            return
        part.unlink()
        spoiled += 1
        if spoiled > 1:  # once it may have been a part of an older file
            raise RefuseInput("bad_hash", path.name)


def _go_on(url: str, part: Path, size: int) -> None:
    """Fetch the rest of a file.

    Raises:
        RetryLater: it broke off, or there was no answer.

    """
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"})  # noqa: S310
    context = ssl._create_unverified_context()  # noqa: S323, SLF001  # the signed hash is the proof
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310
            mode = "ab" if answer.status == http.HTTPStatus.PARTIAL_CONTENT else "wb"
            have = have if mode == "ab" else 0
            with part.open(mode) as file:
                while have < size and (block := answer.read(min(BLOCK, size - have))):
                    file.write(block)
                    have += len(block)
                file.flush()
                os.fsync(file.fileno())
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        raise RetryLater(f"{url}: {error}") from None
    if have < size:
        raise RetryLater(f"{url}: broke off after {have} of {size} bytes")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
