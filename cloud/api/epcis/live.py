"""Subscriptions over a WebSocket at a named query's events (EPCIS 2.0, section 8.2.7.4)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, WebSocket
from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocketDisconnect

from cloud.api.base import Services
from cloud.api.epcis.negotiate import (
    IN_ADDRESS,
    JSON,
    asked_by,
    cbv_xml_format,
    choose_media,
    epc_format,
)
from cloud.api.epcis.pages import named_in_path
from cloud.api.epcis.queries import owner_of
from cloud.api.epcis.subscriptions import initial_us, schedule_of
from cloud.api.guard import Guard
from cloud.api.sockets import Places
from cloud.model.granting import grant
from cloud.model.principal import Granted, Scope
from cloud.trace.base import Live
from cloud.trace.query.base import QueryFault
from protocols.clock import iso
from protocols.errors import RefuseInput

SCHEDULE = ("second", "minute", "hour", "dayOfMonth", "month", "dayOfWeek")
CONTROLS = (*SCHEDULE, "stream", "reportIfEmpty", "initialRecordTime")
GONE, NOT_TAKEN, NOT_ALLOWED = 1000, 1003, 1008
"""Close codes (RFC 6455, 7.4.1)."""
REASON_BYTES_MAX = 123
"""Of a close frame (RFC 6455, 5.5)."""


class Asked(Struct, frozen=True):
    """What the address of a WebSocket asks for."""

    schedule: Mapping[str, str]
    """Empty: events as they come."""
    report_if_empty: bool
    initial_us: int | None


def router(services: Services, guard: Guard) -> APIRouter:
    """Build the WebSocket at /epcis/queries/{queryName}/events."""
    routes = APIRouter(prefix="/epcis/queries")
    may = guard("trace.subscribe")
    places = Places(services.sockets)

    @routes.websocket("/{queryName}/events")
    async def follow(socket: WebSocket, granted: Annotated[Granted, Depends(may)]) -> None:
        with places.taken(_of_one(granted)):
            live = await _begin(services, socket, granted, may)
            await services.note(granted, "epcis:subscriptions", way="websocket")
            least = iso(live.subscription.min_record_us // 1000).encode()
            await socket.accept(headers=[(b"gs1-query-min-record-time", least)])
            await _serve(socket, live)

    return routes


def read_controls(query: QueryParams) -> Asked:
    """Read the controls of a subscription in an address.

    Raises:
        RefuseInput: `bad_subscription`, `bad_time`.

    """
    counts = Counter(name for name, _ in query.multi_items())
    for name, count in counts.items():
        if name not in CONTROLS and name.lower() not in IN_ADDRESS:
            raise _bad(", ".join((*CONTROLS, *IN_ADDRESS)), name)
        if count > 1:
            raise _bad(f"{name} once", f"{count} times")
    schedule = {name: query[name] for name in SCHEDULE if name in query}
    return Asked(
        schedule_of(_yes_or_no(query, "stream"), schedule or None),
        _yes_or_no(query, "reportIfEmpty"),
        initial_us(query.get("initialRecordTime")),
    )


async def _begin(
    services: Services,
    socket: WebSocket,
    granted: Granted,
    may: Callable[[WebSocket], Granted],
) -> Live:
    asked, headers = read_controls(socket.query_params), asked_by(socket)
    choose_media(headers.get("accept", ""), JSON)
    cbv_xml_format(headers)  # means nothing in JSON, but a wrong one is told

    def rights() -> Scope:
        return grant(may(socket).principal, "trace.read").scope

    rights()
    return await services.trace.live.begin(
        owner_of(granted),
        named_in_path(socket, "queryName"),
        principal=granted.principal.id,
        account=granted.principal.account,
        schedule=asked.schedule,
        report_if_empty=asked.report_if_empty,
        initial_us=asked.initial_us,
        epc_format=epc_format(headers),
        document_bytes=services.sockets.document_bytes,
        rights=rights,
    )


async def _serve(socket: WebSocket, live: Live) -> None:
    """Send until either side ends it."""
    tasks = [asyncio.create_task(_send(socket, live)), asyncio.create_task(_listen(socket))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, _Over):
            with suppress(WebSocketDisconnect):
                await socket.close(error.code, error.reason)
            return
        if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
            raise error


class _Over(Exception):
    """We end it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")


async def _send(socket: WebSocket, live: Live) -> None:
    try:
        async with aclosing(live.documents()) as documents:
            async for document in documents:
                await socket.send_text(document.decode())
    except RefuseInput as error:
        code = GONE if error.reason == "not_found" else NOT_ALLOWED
        raise _Over(code, str(error)) from None
    except QueryFault as error:
        raise _Over(NOT_ALLOWED, str(error)) from None


async def _listen(socket: WebSocket) -> None:
    message = await socket.receive()
    if message["type"] == "websocket.receive":
        raise _Over(NOT_TAKEN, "a subscriber has nothing to say")


def _of_one(granted: Granted) -> str:
    principal = granted.principal
    return principal.id if principal.account is None else f"account:{principal.account}"


def _yes_or_no(query: QueryParams, name: str) -> bool:
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise _bad(f"{name}: true or false", text)
    return text == "true"


def _bad(expected: str, found: str) -> RefuseInput:
    return RefuseInput("bad_subscription", f"expected {expected}; found {found[:40]!r}")
