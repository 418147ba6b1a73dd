"""Snapshots that must not count: forged, from the future, truncated, of others, older, expired.

`FalseService` stands where the service was and offers one of them.
"""

import hashlib
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cloud.trust.signing import sign
from protocols.cylinders.manifest import Blob, Manifest
from protocols.signed import Signed, seal
from simulators.hall_story import Story
from tests.support.filling_halls import Issuer

DAY_MS = 86_400_000


class Offer(Struct, frozen=True, kw_only=True):
    """A manifest as it is sent, and the files beside it by their SHA-256."""

    about: str
    refused: str
    """The word of the refusal; empty: it is taken."""
    signed: bytes
    files: Mapping[str, bytes]


class Genuine(Struct, frozen=True):
    """A whole snapshot as the service issued it."""

    signed: Signed
    manifest: Manifest
    packed: bytes
    """The file as it travels."""


def genuine(state: Path, data: Path) -> Genuine:
    """Return what a gateway keeps, with its file from the service's folder."""
    kept = msgspec.json.decode((state / "snapshot" / "kept.json").read_bytes())
    signed = msgspec.json.decode(kept["issues"][0], type=Signed)
    manifest = msgspec.json.decode(signed.body, type=Manifest)
    assert manifest.file is not None, "a whole one"
    packed = (data / "snapshots" / manifest.filler / manifest.file.sha256).read_bytes()
    return Genuine(signed, manifest, packed)


def bad_offers(of: Genuine, story: Story, data: Path, now_ms: int, stranger: Path) -> list[Offer]:
    """Return what is refused whatever the gateway keeps.

    Args:
        of: what the service issued.
        story: which bottles there are.
        data: the service's folder, where its keys are.
        now_ms: what the gateway will take for now, ms since 1970.
        stranger: a folder for another's keys.

    """
    own, files = partial(_signed, data), _named(of.packed)
    later = _later(of.manifest, now_ms)
    longer = replace(later, number=of.manifest.number + 1)
    body = msgspec.json.encode(longer).decode()
    cut = of.packed[:-50]
    flipped = bytes([*of.packed[:-50], of.packed[-50] ^ 1, *of.packed[-49:]])
    future = replace(
        longer, issued_at=now_ms + DAY_MS, expires_at=now_ms + 9 * DAY_MS, number=longer.number + 1
    )
    short = replace(longer, file=_blob(cut))
    others = replace(longer, filler=story.other_filler)
    name = next(iter(files))
    whole = own(longer)
    return [
        _forged(story, stranger),
        Offer(
            about="changed after it was signed",
            refused="bad_signature",
            signed=msgspec.json.encode(replace(of.signed, body=body)),
            files=files,
        ),
        Offer(about="from the future", refused="from_future", signed=own(future), files=files),
        Offer(
            about="manifest broken off",
            refused="malformed",
            signed=whole[: len(whole) // 2],
            files=files,
        ),
        Offer(about="file cut off", refused="truncated", signed=own(short), files=_named(cut)),
        Offer(
            about="file changed on its way",
            refused="bad_hash",
            signed=whole,
            files={name: flipped},
        ),
        Offer(about="another filler's", refused="foreign_filler", signed=own(others), files=files),
    ]


def older(of: Genuine, data: Path, now_ms: int) -> Offer:
    """Return one that a gateway refuses that ever had a newer one."""
    first = replace(_later(of.manifest, now_ms), number=1)
    return Offer(
        about="older than what is kept",
        refused="rolled_back",
        signed=_signed(data, first),
        files=_named(of.packed),
    )


def expired(of: Genuine, data: Path, now_ms: int) -> Offer:
    """Return one that is taken, and by which nothing is filled."""
    past = replace(
        of.manifest,
        number=of.manifest.number + 3,
        issued_at=now_ms - 30 * DAY_MS,
        expires_at=now_ms - 28 * DAY_MS,
    )
    return Offer(
        about="expired when it came",
        refused="",
        signed=_signed(data, past),
        files=_named(of.packed),
    )


def _forged(story: Story, folder: Path) -> Offer:
    """Return a stranger's, by which all may be filled."""
    bottles = tuple(replace(one, registered=True, scrapped=False) for one in story.bottles)
    issuer = Issuer(replace(story, bottles=bottles), folder)
    signed = issuer.book.offer(story.filler, 0, whole=True)
    body = msgspec.json.decode(signed, type=Signed).body
    manifest = msgspec.json.decode(body, type=Manifest)
    assert manifest.file is not None
    packed = issuer.book.file(story.filler, manifest.file.sha256).read_bytes()
    return Offer(
        about="forged: a stranger's signature",
        refused="unknown_key",
        signed=signed,
        files=_named(packed),
    )


def _later(manifest: Manifest, now_ms: int) -> Manifest:
    """Return the same, issued now: were it taken, it would be fresh."""
    return replace(manifest, issued_at=now_ms, expires_at=now_ms + 2 * DAY_MS)


def _signed(data: Path, manifest: Manifest) -> bytes:
    return seal("snapshot", manifest, partial(sign, data))


def _blob(content: bytes) -> Blob:
    return Blob(hashlib.sha256(content).hexdigest(), len(content))


def _named(content: bytes) -> dict[str, bytes]:
    return {_blob(content).sha256: content}


class FalseService:
    """Answers at the service's address with one offer, until the block ends.

    Args:
        port: of HTTP, on this machine.
        offer: what it gives to whoever asks.

    """

    def __init__(self, port: int, offer: Offer) -> None:
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805  # the server's name for it
                path = handler.path.partition("?")[0]
                body = offer.signed
                if not path.endswith("/snapshot"):
                    body = offer.files.get(path.rpartition("/")[2], b"")
                else:
                    self.asked += 1
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
