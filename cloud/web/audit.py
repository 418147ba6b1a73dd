"""The audit as a page: who did what, and who looked at what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.model.audited import AuditQuery
from cloud.model.permissions import load_calls
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput

SHOWN = 50
TEXT_CHARS_MAX = 128
FILTERS = ("subject", "by", "organisation", "call", "from", "to")
LOOK = {"audit": ["account.name"]}


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /audit; its filters stand in the address."""
    routes = APIRouter()
    visitor = Depends(signed_in("audit.read"))

    @routes.get("/audit")
    async def audit(visit: Annotated[Visit, visitor]) -> Response:
        asked = _asked(visit)
        query = AuditQuery(
            scope=visit.scope,
            subject=asked.get("subject"),
            by=asked.get("by"),
            organisation=asked.get("organisation"),
            call=asked.get("call"),
            from_ms=_moment(asked.get("from"), visit.zone),
            to_ms=_moment(asked.get("to"), visit.zone),
            before_seq=_number(visit.request.query_params.get("before", "")),
            limit=SHOWN,
        )
        await services.audit.look(visit.granted, LOOK)
        found = await services.audit.find(query)
        return visit.render(
            "audit.html",
            head=services.feed.head,
            asked={name: asked.get(name, "") for name in FILTERS},
            is_filtered=bool(asked),
            entries=found.entries,
            calls=_calls(visit.t),
            address=_address(asked),
            older=_address(asked, before=found.next_seq) if found.next_seq else None,
            next_seq=found.next_seq,
            is_first=query.before_seq is None,
        )

    return routes


def _asked(visit: Visit) -> dict[str, str]:
    """Return the filters that were filled in."""
    given = {name: visit.request.query_params.get(name, "").strip() for name in FILTERS}
    if any(len(text) > TEXT_CHARS_MAX or not text.isprintable() for text in given.values()):
        raise RefuseInput("bad_request", f"a filter has at most {TEXT_CHARS_MAX} characters")
    return {name: text for name, text in given.items() if text}


def _address(asked: Mapping[str, str], **more: Any) -> str:
    return "/audit?" + urlencode({**asked, **more})


def _moment(text: str | None, zone: ZoneInfo) -> int | None:
    """Read what a browser's field for date and time gives, in the zone of the pages."""
    if text is None:
        return None
    try:
        return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)
    except (ValueError, OverflowError):
        expected = "a time such as 2026-01-31T08:00"
        raise RefuseInput("bad_request", f"expected {expected}, found {text!r}") from None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def _calls(t: Texts) -> dict[str, str]:
    """Return the title of every call."""
    calls = load_calls().values()
    return {call.id: call.title_zh if t.language == "zh" else call.title for call in calls}
