"""The durable feed as server-sent events."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names
from cloud.model.principal import Granted, Scope
from protocols.errors import RefuseInput, RetryLater

LISTENERS_MAX = 1_000
"""Open streams; a further one is answered 503."""

PERSONAL = ("alarm.acknowledged_by", "alarm.shelved_by", "alarm.shelve_reason")
"""What items tell of people."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/feed."""
    routes = APIRouter(prefix="/api/v1")
    listeners = 0

    @routes.get("/feed")
    async def feed(
        request: Request, granted: Annotated[Granted, Depends(guard("feed.read"))]
    ) -> StreamingResponse:
        after = resume_after(request)
        if listeners >= LISTENERS_MAX:
            raise RetryLater("too many listeners")
        await services.audit.look(granted, {"feed": PERSONAL})
        return StreamingResponse(
            counted(services.stream(after, _admission(services, granted.scope))),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def counted(lines: AsyncIterator[str]) -> AsyncIterator[str]:
        nonlocal listeners
        listeners += 1
        try:
            async for line in lines:
                yield line
        finally:
            listeners -= 1

    return routes


def _admission(services: Services, scope: Scope) -> Callable[[str], bool] | None:
    """Return what tells of an asset whether this reader may hear of it; None: of all, unasked."""
    return None if scope.everything else services.admission(scope)


def resume_after(request: Request) -> int | None:
    """Return the offset to resume after; None: live only.

    A browser that reconnects repeats the address it began with, so Last-Event-ID counts first.

    Raises:
        RefuseInput: `bad_request`.

    """
    check_names(request.query_params, ("after",))
    text = request.headers.get("last-event-id") or request.query_params.get("after") or None
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RefuseInput("bad_request", f"expected an offset of the feed, found {text[:40]!r}")
    return int(text)
