"""The audit, for those who hold others to account."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, whole
from cloud.api.render import page, timed_fields
from cloud.model.audited import AuditQuery
from cloud.model.principal import Granted, Scope
from protocols.clock import parse_time
from protocols.errors import RefuseInput

LIMIT, LIMIT_MAX = 100, 1_000
SEQ_MAX = 10**15
TEXT_CHARS_MAX = 128
NAMES = ("subject", "by", "organisation", "call", "from", "to", "before", "limit")
SHOWN = {"audit": ["account.name"]}
"""Who did what is personal: the look at it is noted as any other."""


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/audit."""
    routes = APIRouter(prefix="/api/v1/audit")

    @routes.get("")
    async def list_entries(
        request: Request, granted: Annotated[Granted, Depends(guard("audit.read"))]
    ) -> Response:
        query = _query(request.query_params, granted.scope)
        await services.audit.look(granted, SHOWN)
        found = await services.audit.find(query)
        return page(
            [timed_fields(one) for one in found.entries],
            request=request,
            next_page={"before": found.next_seq} if found.next_seq else {},
        )

    return routes


def _query(asked: QueryParams, scope: Scope) -> AuditQuery:
    check_names(asked, NAMES)
    return AuditQuery(
        scope=scope,
        subject=_text(asked, "subject"),
        by=_text(asked, "by"),
        organisation=_text(asked, "organisation"),
        call=_text(asked, "call"),
        from_ms=_time(asked, "from"),
        to_ms=_time(asked, "to"),
        before_seq=whole(asked, "before", 0, low=0, high=SEQ_MAX) or None,
        limit=whole(asked, "limit", LIMIT, low=1, high=LIMIT_MAX),
    )


def _text(asked: QueryParams, name: str) -> str | None:
    text = asked.get(name) or None
    if text is not None and (len(text) > TEXT_CHARS_MAX or not text.isprintable()):
        expected = f"at most {TEXT_CHARS_MAX} printable characters"
        raise RefuseInput("bad_request", f"{name}: expected {expected}, found {text[:40]!r}")
    return text


def _time(asked: QueryParams, name: str) -> int | None:
    text = asked.get(name) or None
    return None if text is None else parse_time(text)
