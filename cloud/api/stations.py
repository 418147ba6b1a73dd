"""Snapshots for the gateways of filling stations, which prove themselves and need no token."""

import asyncio
import base64
import binascii

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse

from cloud.api.base import Services, Snapshots
from cloud.api.guard import open_to_all
from cloud.api.parameters import check_names, flag, whole
from cloud.model.principal import Scope
from protocols.errors import RefuseInput
from protocols.gateway_request import AT_HEADER, CERTIFICATE_HEADER, SIGNATURE_HEADER, Proof
from protocols.limits import SEQ_MAX


def router(services: Services) -> APIRouter:
    """Build /api/v1/stations/{filler}/snapshot, and the files that its answer names."""
    routes = APIRouter(prefix="/api/v1/stations/{filler}/snapshot")
    proven = Depends(open_to_all("a gateway proves itself by its certificate"))
    named = Depends(open_to_all("its name is a hash that only the signed manifest tells"))

    @routes.get("", dependencies=[proven])
    async def offer(filler: str, request: Request) -> Response:
        check_names(request.query_params, ("have", "whole"))
        have = whole(request.query_params, "have", 0, low=0, high=SEQ_MAX)
        wants_whole = flag(request.query_params, "whole")
        gateway = await asyncio.to_thread(_gateway, services, request)
        own = Scope(organisations=frozenset({filler}))
        if not services.registry.admits_gateway(own, gateway):
            raise RefuseInput("forbidden", f"{gateway} is at no station of {filler[:64]!r}")
        book = _book(services)
        await services.cylinders.cases.note_snapshot(gateway, filler, have)
        signed = await asyncio.to_thread(book.offer, filler, have, whole=wants_whole)
        return Response(signed, media_type="application/json")

    @routes.get("/{sha256}", dependencies=[named])
    async def get_file(filler: str, sha256: str) -> Response:
        path = _book(services).file(filler, sha256)
        return FileResponse(path, media_type="application/octet-stream")

    return routes


def _book(services: Services) -> Snapshots:
    if services.snapshots is None:
        raise RefuseInput("not_found", "no cylinders are registered here")
    return services.snapshots


def _gateway(services: Services, request: Request) -> str:
    """Return the id of the gateway that asks; RefuseInput `no_authority`, `no_token`, …."""
    if services.trust is None:
        raise RefuseInput("no_authority", "no gateway was ever enrolled here")
    target = f"{request.url.path}?{request.url.query}"
    address = request.client.host if request.client else "?"
    return services.trust.recognise(_proof(request), target, address=address)


def _proof(request: Request) -> Proof:
    headers = request.headers
    try:
        return Proof(
            certificate=base64.b64decode(headers[CERTIFICATE_HEADER], validate=True),
            at=int(headers[AT_HEADER][:16]),
            signature=bytes.fromhex(headers[SIGNATURE_HEADER]),
        )
    except (KeyError, ValueError, binascii.Error):
        expected = f"{CERTIFICATE_HEADER}, {AT_HEADER} and {SIGNATURE_HEADER}"
        raise RefuseInput("no_token", f"send {expected} of an enrolled gateway") from None
