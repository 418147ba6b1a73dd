"""Who is told of the work lists of cylinders: added, tried and removed by whoever may."""

from collections.abc import Awaitable, Callable
from typing import Annotated, get_args

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.cylinder_notice import Channel, Language, NoticeToBody, check_notice_to
from cloud.web.refused import refused_text
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput, RetryLater

PATH = "/cylinder-notices"
STATUS_OF = {"not_found": 404, "wrong_state": 409}
FIELDS = ("channel", "address", "language")


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /cylinder-notices."""
    routes, keeper = APIRouter(), Depends(signed_in("notices.write"))
    addresses = services.cylinders.addresses

    @routes.get(PATH)
    async def show(visit: Annotated[Visit, keeper]) -> Response:
        return await _page(services, visit)

    @routes.post(PATH)
    async def add(visit: Annotated[Visit, keeper]) -> Response:
        form = await visit.checked_form()

        async def work() -> None:
            body = _body(form)
            noted = services.noted(visit.granted, "cylinder-notices", channel=body.channel)
            await addresses.add(visit.granted, body, also=[noted])

        return await _do(services, visit, work, form)

    @routes.post(f"{PATH}/{{address_id}}/test")
    async def test(visit: Annotated[Visit, keeper], address_id: str) -> Response:
        form, number = await visit.checked_form(), _number(address_id)
        noted = services.noted(visit.granted, "cylinder-notices", address=number, what="test")
        return await _do(
            services, visit, lambda: addresses.test(visit.granted, number, also=[noted]), form
        )

    @routes.post(f"{PATH}/{{address_id}}/remove")
    async def remove(visit: Annotated[Visit, keeper], address_id: str) -> Response:
        form, number = await visit.checked_form(), _number(address_id)
        noted = services.noted(visit.granted, "cylinder-notices", address=number)
        return await _do(
            services, visit, lambda: addresses.remove(visit.granted, number, also=[noted]), form
        )

    return routes


async def _do(
    services: Services, visit: Visit, work: Callable[[], Awaitable[None]], form: dict[str, str]
) -> Response:
    """Do what a form asks for and lead back; what is refused stands above what was given."""
    try:
        await work()
    except RefuseInput as error:
        told = refused_text(error, visit.t, about="wrong_notice")
        status = STATUS_OF.get(error.reason, 400)
        return await _page(services, visit, status=status, error=told, given=form)
    except RetryLater:
        told = visit.t("wrong_notice.later")
        return await _page(services, visit, status=503, error=told, given=form)
    return RedirectResponse(PATH, status_code=303)


async def _page(
    services: Services,
    visit: Visit,
    *,
    status: int = 200,
    error: str = "",
    given: dict[str, str] | None = None,
) -> Response:
    found = await services.cylinders.addresses.find(visit.granted)
    await services.shown(visit.granted, *found)
    return visit.render(
        "cylinder_notices.html",
        status=status,
        addresses=found,
        error=error,
        given={name: (given or {}).get(name, "") for name in FIELDS},
        channels=get_args(Channel),
        languages=get_args(Language),
        many=visit.scope.everything,
    )


def _body(form: dict[str, str]) -> NoticeToBody:
    """Read a form; RefuseInput `bad_request`, with the field."""
    given = {name: form.get(name, "").strip() for name in (*FIELDS, "secret")}
    for name in FIELDS:
        try:
            whole = {"channel": "mail", "address": "a@b.c", name: given[name]}
            msgspec.convert(whole, NoticeToBody)
        except msgspec.ValidationError:
            raise RefuseInput("bad_request", f"{name}: expected another") from None
    secret = given.pop("secret")
    try:
        body = msgspec.convert({**given, **({"secret": secret} if secret else {})}, NoticeToBody)
    except msgspec.ValidationError:
        raise RefuseInput("bad_request", "secret: expected 16 to 128 characters") from None
    check_notice_to(body)
    return body


def _number(text: str) -> int:
    return int(text[:16]) if text.isascii() and text.isdigit() else 0
