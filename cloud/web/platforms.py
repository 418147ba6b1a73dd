"""Enterprise platforms of lifts as people see them, and what their dialects do not have."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.platform import NewPlatform, Platform
from cloud.platforms.base import Noting
from cloud.web import once
from cloud.web.visit import SignedIn, Visit
from protocols.catalog.points import load_codes
from protocols.errors import RefuseInput

UNKNOWN_SHOWN = 200


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /platforms and /dialects."""
    routes = APIRouter()
    reader, writer = Depends(signed_in("platforms.read")), Depends(signed_in("platforms.write"))
    _add_looks(routes, services, reader)
    _add_changes(routes, services, writer)
    return routes


def _add_looks(routes: APIRouter, services: Services, reader: Any) -> None:
    @routes.get("/platforms")
    async def show_platforms(visit: Annotated[Visit, reader]) -> Response:
        return await _list_page(services, visit)

    @routes.get("/dialects")
    async def show_dialects(visit: Annotated[Visit, reader]) -> Response:
        known = sorted(services.platforms.dialects.values(), key=lambda one: one.name)
        return visit.render(
            "dialects.html",
            head=services.feed.head,
            unknown=await services.platforms.unknown(visit.scope, UNKNOWN_SHOWN),
            dialects=known,
            canonical=load_codes("elevator"),
        )


def _add_changes(routes: APIRouter, services: Services, writer: Any) -> None:
    platforms = services.platforms

    @routes.post("/platforms")
    async def register(visit: Annotated[Visit, writer]) -> Response:
        form = await visit.checked_form()
        try:
            new = _new(form)
            made, secret = await platforms.register(
                new, visit.granted, _note(services, visit, "registered")
            )
        except RefuseInput as error:
            return await _list_page(services, visit, form, error)
        return once.lead_to(visit, f"/platforms/{made.id}/secret", {"secret": secret})

    @routes.post("/platforms/{platform_id}/rotate")
    async def rotate(visit: Annotated[Visit, writer], platform_id: str) -> Response:
        await visit.checked_form()
        try:
            made, secret = await platforms.rotate(
                platform_id, visit.granted, _note(services, visit, "rotated")
            )
        except RefuseInput as error:
            return await _list_page(services, visit, None, error)
        return once.lead_to(visit, f"/platforms/{made.id}/secret", {"secret": secret})

    @routes.post("/platforms/{platform_id}/revoke")
    async def revoke(visit: Annotated[Visit, writer], platform_id: str) -> Response:
        await visit.checked_form()
        try:
            await platforms.revoke(platform_id, visit.granted, _note(services, visit, "revoked"))
        except RefuseInput as error:
            return await _list_page(services, visit, None, error)
        return RedirectResponse("/platforms", status_code=303)

    @routes.get("/platforms/{platform_id}/secret")
    async def show_secret(visit: Annotated[Visit, writer], platform_id: str) -> Response:
        shown = once.content_of(visit)
        if shown is None:
            return once.shown_already(visit, "/platforms")
        platform = await platforms.get(platform_id, visit.scope)
        return once.show(visit, "platform_secret.html", platform=platform, secret=shown["secret"])


async def _list_page(
    services: Services,
    visit: Visit,
    form: Mapping[str, str] | None = None,
    error: RefuseInput | None = None,
) -> Response:
    found = await services.platforms.find(visit.scope)
    return visit.render(
        "platforms.html",
        status=422 if error else 200,
        head=services.feed.head,
        platforms=[(one, _offset_text(one)) for one in found],
        dialects=sorted(services.platforms.dialects.values(), key=lambda one: one.name),
        whole=visit.scope_of("platforms.write").everything,
        kept={"id": "", "name": "", "organisation": "", "dialect": "", **(form or {})},
        wrong=_wrong(visit, error) if error else "",
    )


def _wrong(visit: Visit, error: RefuseInput) -> str:
    text = visit.t.find(f"wrong_platform.{error.reason}", "")
    return text or visit.t("platforms.wrong", detail=error.detail)


def _offset_text(platform: Platform) -> str:
    """Write a clock's offset as hours, minutes and seconds with its sign; empty when unknown."""
    offset = platform.clock_offset
    if offset is None:
        return ""
    seconds = round(abs(offset.median_ms) / 1000)
    sign = "−" if offset.median_ms < 0 and seconds else "+" if seconds else ""
    hours, rest = divmod(seconds, 3600)
    return f"{sign}{hours}:{rest // 60:02}:{rest % 60:02}"


def _new(form: Mapping[str, str]) -> NewPlatform:
    dialect, _, version = form.get("dialect", "").partition("@")
    given = {
        "id": form.get("id", "").strip(),
        "name": form.get("name", "").strip(),
        "dialect": dialect,
        "dialect_version": version,
        "organisation": form.get("organisation", "").strip() or None,
    }
    try:
        return msgspec.convert(given, NewPlatform)
    except msgspec.ValidationError as error:
        raise RefuseInput("bad_request", str(error)[:200]) from None


def _note(services: Services, visit: Visit, what: str) -> Noting:
    granted = visit.granted
    return lambda subject: services.noted(granted, subject, what=what)
