"""CAP 1.2: the messages as an Atom feed (RFC 4287), newest first, and each as a document."""

import hashlib
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from lxml import etree

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path, whole
from cloud.feed.cap.base import CapEntry
from cloud.model.principal import Granted
from protocols.clock import iso
from protocols.errors import RefuseInput

ATOM = "http://www.w3.org/2005/Atom"
CAP_TYPE = "application/cap+xml"
LIMIT, LIMIT_MAX = 50, 500
DOCUMENT = ".xml"


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /cap."""
    routes, reader = APIRouter(prefix="/cap"), Depends(guard("feed.read"))
    cap = services.cap

    @routes.get("")
    async def feed(request: Request, granted: Annotated[Granted, reader]) -> Response:
        check_names(request.query_params, ("before", "limit"))
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        before = whole(request.query_params, "before", 0, low=0, high=2**53) or None
        found = await cap.entries(granted.scope, before, limit + 1)
        base = services.base_url or f"{request.url.scheme}://{request.url.netloc}"
        body = _atom(found[:limit], base, cap.sender, request, more=len(found) > limit)
        return _tagged(request, body, "application/atom+xml; charset=utf-8")

    @routes.get("/certificate.pem")
    async def certificate(_granted: Annotated[Granted, reader]) -> Response:
        return Response(await cap.certificate(), media_type="application/x-pem-file")

    @routes.get("/{message}")
    async def document(
        message: str, request: Request, granted: Annotated[Granted, reader]
    ) -> Response:
        if not message.endswith(DOCUMENT):
            raise RefuseInput("not_found", f"no document {message[:40]!r}")
        found = await cap.document(number_in_path(message.removesuffix(DOCUMENT)), granted.scope)
        if found is None:
            raise RefuseInput("not_found", f"no document {message[:40]!r}")
        return _tagged(request, found, f"{CAP_TYPE}; charset=utf-8")

    return routes


def _tagged(request: Request, body: bytes, media_type: str) -> Response:
    """Answer with a body, or that the caller has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    known = [
        one.strip().removeprefix("W/")
        for one in request.headers.get("if-none-match", "").split(",")
    ]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def _atom(
    entries: Sequence[CapEntry], base: str, sender: str, request: Request, *, more: bool
) -> bytes:
    root = etree.Element(f"{{{ATOM}}}feed", nsmap={None: ATOM})
    _add(root, "id", f"{base}/cap")
    _add(root, "title", "溯源 Suyuan CAP")
    _add(root, "updated", iso(entries[0].sent_at if entries else 0))
    _add(etree.SubElement(root, f"{{{ATOM}}}author"), "name", sender)
    query = f"?{request.url.query}" if request.url.query else ""
    _link(root, "self", f"{base}/cap{query}", "application/atom+xml")
    if more:
        limit = request.query_params.get("limit", str(LIMIT))
        after = f"{base}/cap?before={entries[-1].offset}&limit={limit}"
        _link(root, "next", after, "application/atom+xml")
    for one in entries:
        entry = etree.SubElement(root, f"{{{ATOM}}}entry")
        address = f"{base}/cap/{one.offset}{DOCUMENT}"
        _add(entry, "id", address)
        _add(entry, "title", f"{one.kind}: {one.title_zh} · {one.title}")
        _add(entry, "updated", iso(one.sent_at))
        _add(entry, "published", iso(one.sent_at))
        etree.SubElement(entry, f"{{{ATOM}}}category", term=one.kind)
        _link(entry, "alternate", address, CAP_TYPE)
        told = f"{one.identifier} {one.asset}"
        if one.references:
            told += f" → {' '.join(one.references)}"
        _add(entry, "summary", told)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{ATOM}}}{name}").text = text


def _link(parent: etree._Element, rel: str, href: str, type_: str) -> None:
    etree.SubElement(parent, f"{{{ATOM}}}link", rel=rel, href=href, type=type_)
