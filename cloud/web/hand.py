"""The page for phones: a shell that anybody may load, installable, and what it needs offline.

What it shows comes over /api/v1/handheld, by the token of whoever was let in on the phone.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.web.texts import LANGUAGES, load_texts
from cloud.web.visit import STATIC, Visit

FAMILY = "hand."
SCRIPTS = ("app.js", "camera.js", "db.js", "people.js", "screens.js", "sync.js", "ui.js", "work.js")
FILES = (
    "vendor/zxing.min.js",
    "hand/hand.css",
    "hand/icon.svg",
    "hand/icon-192.png",
    "hand/icon-512.png",
    *(f"hand/{name}" for name in SCRIPTS),
)
"""What the page loads, below /static; kept on the phone."""


def router(_services: Services, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build /hand and what belongs to it."""
    routes = APIRouter(prefix="/hand")
    visitor = Depends(anyone)

    @routes.get("")
    async def show(visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("hand.html")

    @routes.get("/manifest.webmanifest")
    async def manifest(visit: Annotated[Visit, visitor]) -> Response:
        return Response(
            msgspec.json.encode(_manifest(visit)), media_type="application/manifest+json"
        )

    @routes.get("/words.json")
    async def words(_visit: Annotated[Visit, visitor]) -> Response:
        return Response(_words(), media_type="application/json")

    @routes.get("/worker.js")
    async def worker(_visit: Annotated[Visit, visitor]) -> Response:
        headers = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/hand"}
        return Response(_worker(), media_type="text/javascript", headers=headers)

    return routes


def _manifest(visit: Visit) -> dict[str, object]:
    return {
        "id": "/hand",
        "name": visit.t("hand.title"),
        "short_name": visit.t("hand.short"),
        "lang": "zh-CN" if visit.t.language == "zh" else "en",
        "start_url": "/hand",
        "scope": "/hand",
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#0b1118",
        "theme_color": "#0b1118",
        "icons": [
            {"src": "/static/hand/icon.svg", "sizes": "any", "type": "image/svg+xml"},
            *(
                {
                    "src": f"/static/hand/icon-{size}.png",
                    "sizes": f"{size}x{size}",
                    "type": "image/png",
                    "purpose": "any maskable",
                }
                for size in (192, 512)
            ),
        ],
    }


@lru_cache(maxsize=1)
def _words() -> bytes:
    """Return the page's words in every language: it changes between them without the service."""
    found = {}
    for language in LANGUAGES:
        t = load_texts(language)
        keys = sorted(key for key in t.keys() if key.startswith(FAMILY))  # noqa: SIM118
        found[language] = {key.removeprefix(FAMILY): t(key) for key in keys}
    return msgspec.json.encode(found)


@lru_cache(maxsize=1)
def _worker() -> bytes:
    """Return the service worker with the list of what it keeps, named by the content of all."""
    digest = hashlib.sha256(_words())
    template = STATIC.parent / "templates" / "hand.html"
    for path in (template, *(STATIC / name for name in FILES), STATIC / "hand" / "worker.js"):
        digest.update(path.read_bytes())
    kept = ["/hand", "/hand/words.json", "/hand/manifest.webmanifest"]
    kept += [f"/static/{name}" for name in FILES]
    head = f"const VERSION = {digest.hexdigest()[:16]!r};\nconst KEPT = ".encode()
    return head + msgspec.json.encode(kept) + b";\n" + (STATIC / "hand" / "worker.js").read_bytes()
