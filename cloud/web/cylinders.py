"""Gas cylinders: the list, the file of one with all its dates and its history, and its steps."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from msgspec import Struct
from starlette.datastructures import QueryParams

from cloud.api.base import Services
from cloud.cylinders.base import Wanted, WantedFills
from cloud.model.cylinder import SCHEME, Change, CylinderRecord, FurtherCode, Step
from cloud.web.cylinder_words import CylinderWords, organisation_names
from cloud.web.refused import refused_text
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit
from protocols.cylinders.base import State
from protocols.errors import RefuseInput

SHOWN, HISTORY, FILLS = 50, 50, 20
STATES: tuple[State, ...] = get_args(State)
STEPS: Mapping[State, tuple[Step, ...]] = {
    "in_use": ("lose", "take-out"),
    "out_of_use": ("put-back", "lose"),
    "lost": ("find",),
}
"""What a page offers in each state."""
CALLS: Mapping[Step, str] = {
    "lose": "cylinders.report",
    "find": "cylinders.report",
    "take-out": "cylinders.write",
    "put-back": "cylinders.write",
}
STATUS_OF = {"not_found": 404, "wrong_state": 409, "forbidden": 403}
MARKS = (
    *("standard", "maker", "maker_licence", "serial_number", "working_pressure_mpa"),
    *("test_pressure_mpa", "water_capacity_l", "tare_kg", "allowable_fill_kg"),
)
REASON_CHARS_MAX = 500
WORDS = ("cylinder_state", "cylinder_cause", "cylinder_how", "inspection_kind", "inspection_result")
"""Families of texts in which a value of the history may have one."""


class ChangeView(Struct, frozen=True):
    """One entry of the history, in words."""

    change: Change
    what: str
    fields: list[tuple[str, str, str]]
    """Title, before and after of each."""


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /cylinders, the file of one, and what is done there."""
    routes = APIRouter()
    _add_reading(routes, services, Depends(signed_in("cylinders.read")))
    _add_steps(routes, services, signed_in)
    _add_blocks(routes, services, signed_in)
    return routes


def _add_reading(routes: APIRouter, services: Services, visitor: Any) -> None:
    @routes.get("/cylinders")
    async def show_list(visit: Annotated[Visit, visitor]) -> Response:
        query = visit.request.query_params
        wanted = _wanted(query)
        found = await services.cylinders.cylinders.find(visit.scope, wanted)
        await services.shown(visit.granted, *found[:SHOWN])
        return visit.render(
            "cylinders.html",
            cylinders=found[:SHOWN],
            next_page=_next_page(query, found),
            wanted=wanted,
            states=STATES,
            filler_names=_names(services, found),
            words=CylinderWords(services.cylinders.cylinders.rules, visit.t.language),
            own=not (visit.scope.everything or visit.scope.remits),
            today=_today(visit),
        )

    @routes.get("/cylinders/{code}")
    async def show_one(visit: Annotated[Visit, visitor], code: str) -> Response:
        return await _page(services, visit, code)


def _add_steps(routes: APIRouter, services: Services, signed_in: SignedIn) -> None:
    def add(step: Step, call: str) -> None:
        @routes.post(f"/cylinders/{{code}}/{step}")
        async def take(visit: Annotated[Visit, Depends(signed_in(call))], code: str) -> Response:
            async def work(asset_id: str, reason: str) -> None:
                noted = services.noted(visit.granted, f"asset:{asset_id}", step=step)
                await services.cylinders.cylinders.take_step(
                    visit.granted, asset_id, step, reason, also=[noted]
                )

            return await _do(services, visit, code, work)

    for step, call in CALLS.items():
        add(step, call)


def _add_blocks(routes: APIRouter, services: Services, signed_in: SignedIn) -> None:
    office, resolver = signed_in("cylinders.block"), signed_in("cylinders.resolve")
    cylinders = services.cylinders.cylinders

    @routes.post("/cylinders/{code}/block")
    async def block(visit: Annotated[Visit, Depends(office)], code: str) -> Response:
        async def work(asset_id: str, reason: str) -> None:
            noted = services.noted(visit.granted, f"asset:{asset_id}", what="block")
            await cylinders.block(visit.granted, asset_id, reason, also=[noted])

        return await _do(services, visit, code, work)

    @routes.post("/cylinders/{code}/blocks/{block_id}/lift")
    async def lift(
        visit: Annotated[Visit, Depends(resolver)], code: str, block_id: str
    ) -> Response:
        number = int(block_id) if block_id.isascii() and block_id.isdigit() else 0

        async def work(asset_id: str, reason: str) -> None:
            noted = services.noted(visit.granted, f"asset:{asset_id}", what="lift", block=number)
            await cylinders.lift(visit.granted, asset_id, number, reason, also=[noted])

        return await _do(services, visit, code, work)


async def _do(services: Services, visit: Visit, code: str, work: Any) -> Response:
    """Do what a form asks for, with its reason, and lead back to the page."""
    reason = (await visit.checked_form()).get("reason", "").strip()[:REASON_CHARS_MAX]
    try:
        if not reason:
            raise RefuseInput("bad_request", "reason: expected one, found none")
        await work(f"{SCHEME}:{code}", reason)
    except RefuseInput as error:
        status = STATUS_OF.get(error.reason, 400)
        told = refused_text(error, visit.t, about="wrong_cylinder")
        return await _page(services, visit, code, status=status, error=told)
    return RedirectResponse(f"/cylinders/{code}", status_code=303)


async def _page(
    services: Services, visit: Visit, code: str, *, status: int = 200, error: str = ""
) -> Response:
    scope, asset_id = visit.scope_of("cylinders.read"), f"{SCHEME}:{code}"
    desks = services.cylinders
    try:
        one = await desks.cylinders.get(asset_id, scope)
        inspections = await desks.inspections.of(asset_id, scope)
        fills = await desks.fills.find(scope, WantedFills(asset_id=asset_id, limit=FILLS))
        history = await desks.cylinders.history(asset_id, scope, limit=HISTORY + 1)
    except RefuseInput:
        return visit.render("not_found.html", status=404)
    asset = await services.registry.get(asset_id)
    words = CylinderWords(desks.cylinders.rules, visit.t.language)
    await services.shown(visit.granted, one, *fills)
    return visit.render(
        "cylinder.html",
        status=status,
        one=one,
        code=code,
        marks=MARKS,
        words=words,
        inspections=inspections,
        fills=fills,
        history=[_change_view(change, visit.t, words) for change in history[:HISTORY]],
        more=len(history) > HISTORY,
        findings=asset.findings if asset else [],
        names=_names(
            services, [one], {each.body for each in inspections} | {each.filler for each in fills}
        ),
        steps=[step for step in STEPS.get(one.state, ()) if visit.may(CALLS[step])],
        today=_today(visit),
        error=error,
    )


def _change_view(change: Change, t: Texts, words: CylinderWords) -> ChangeView:
    def told(name: str, value: object) -> str:
        match name, value:
            case "kind", str(kind):
                return words.kind(kind) or "—"
            case "gas", str(gas):
                return words.gas(gas) or "—"
            case "components", list(gases):
                return ", ".join(words.gas(str(one)) for one in gases) or "—"
            case _:
                return _told(value, t)

    names = [*change.before, *(name for name in change.after if name not in change.before)]
    return ChangeView(
        change=change,
        what=t.find(f"cylinder_change.{change.what}", change.what),
        fields=[
            (
                t.find(f"cylinder_field.{name}", name),
                told(name, change.before.get(name)),
                told(name, change.after.get(name)),
            )
            for name in names
        ],
    )


def _told(value: object, t: Texts) -> str:
    """Return a value of the history in words."""
    match value:
        case None | "" | []:
            return "—"
        case bool():
            return t("cylinders.yes") if value else t("cylinders.no")
        case str():
            return _word(value, t)
        case list():
            return ", ".join(_told(one, t) for one in value)
        case {"scheme": str(scheme), "value": str(code)}:
            return str(FurtherCode(scheme, code))
        case {"title": str(title)}:
            return title
        case dict():
            told = [f"{name} {_told(one, t)}" for name, one in value.items() if one]
            return ", ".join(told) or "—"
        case _:
            return str(value)


def _word(text: str, t: Texts) -> str:
    """Return a word of the history in the page's language; what is no such word stays."""
    for family in WORDS:
        if (found := t.find(f"{family}.{text}", "")) != "":
            return found
    return text


def _names(
    services: Services, found: Sequence[CylinderRecord], more: set[str] | None = None
) -> dict[str, str]:
    """Return names of the fillers and further organisations, by id."""
    ids = {one.file.filler for one in found} | (more or set())
    return organisation_names(services, ids)


def _today(visit: Visit) -> str:
    """Return the local day, to be held against dates as stamps have them."""
    now = datetime.fromtimestamp(visit.now_ms / 1_000, UTC)
    return now.astimezone(visit.zone).date().isoformat()


def _wanted(query: QueryParams) -> Wanted:
    """Read what a page asks for; what cannot be is left out."""
    state = query.get("state")
    texts = {name: query.get(name, "").strip()[:128] or None for name in ("text", "district")}
    return Wanted(
        text=texts["text"],
        district=texts["district"],
        filler=query.get("filler", "").strip()[:32] or None,
        state=state if state in STATES else None,
        after=query.get("after", "")[:97],
        limit=SHOWN + 1,
    )


def _next_page(query: QueryParams, found: Sequence[CylinderRecord]) -> str | None:
    if len(found) <= SHOWN:
        return None
    kept = [(name, value) for name, value in query.multi_items() if name != "after"]
    return "/cylinders?" + urlencode([*kept, ("after", found[SHOWN - 1].asset_id)])
