"""Receivers of the feed: how each is doing, and what a person can do about it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse

from cloud.api.base import Services
from cloud.model.alarm import SEVERITIES
from cloud.model.receiver import (
    FeedEvent,
    FeedFilter,
    Receiver,
    ReceiverBody,
    ReceiverKind,
    ReceiverMade,
    ReceiverOptions,
)
from cloud.web import once
from cloud.web.refused import refused_text
from cloud.web.visit import SignedIn, Visit
from protocols.errors import RefuseInput, RetryLater

PATH, SUBJECT = "/receivers", "receivers"
STATUS_OF = {"not_found": 404, "wrong_state": 409}
FIELDS: tuple[str, ...] = (
    "name",
    "kind",
    "address",
    "alerts",
    "districts",
    "drills",
    "username",
    "language",
)
FIELDS += ("signing", "resend_s", "mails_an_hour")
OPTIONS = ("language", "username", "signing", "resend_s", "mails_an_hour")
T = TypeVar("T")
Work = Callable[[], Awaitable[Receiver | ReceiverMade | None]]


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /receivers."""
    routes = APIRouter()
    reader, writer = Depends(signed_in("receivers.read")), Depends(signed_in("receivers.write"))
    receivers = services.receivers

    @routes.get(PATH)
    async def show_all(visit: Annotated[Visit, reader]) -> Response:
        return await _list(services, visit)

    @routes.post(PATH)
    async def add(visit: Annotated[Visit, writer]) -> Response:
        given = await _given(visit)

        async def work() -> ReceiverMade:
            body = _body(given)
            noted = services.noted(visit.granted, SUBJECT, kind=body.kind)
            return await receivers.add(visit.granted, body, also=[noted])

        return await _do(services, visit, work, given=given)

    @routes.get(f"{PATH}/{{receiver_id}}")
    async def show(visit: Annotated[Visit, reader], receiver_id: str) -> Response:
        return await _one(services, visit, _number(receiver_id))

    @routes.get(f"{PATH}/{{receiver_id}}/secret")
    async def secret(visit: Annotated[Visit, writer], receiver_id: str) -> Response:
        content, number = once.content_of(visit), _number(receiver_id)
        if content is None:
            return once.shown_already(visit, f"{PATH}/{number}")
        one = await receivers.get(visit.granted, number)
        return once.show(visit, "receiver_secret.html", one=one, secret=content["secret"])

    @routes.post(f"{PATH}/{{receiver_id}}/change")
    async def change(visit: Annotated[Visit, writer], receiver_id: str) -> Response:
        given, number = await _given(visit), _number(receiver_id)

        async def work() -> Receiver:
            body = _body(given)
            noted = services.noted(visit.granted, SUBJECT, receiver=number)
            return await receivers.change(visit.granted, number, body, also=[noted])

        return await _do(services, visit, work, number=number, given=given)

    _steps(routes, services, writer)
    return routes


def _steps(routes: APIRouter, services: Services, writer: Any) -> None:
    receivers = services.receivers

    @routes.post(f"{PATH}/{{receiver_id}}/test")
    async def test(visit: Annotated[Visit, writer], receiver_id: str) -> Response:
        await visit.checked_form()
        number = _number(receiver_id)
        noted = services.noted(visit.granted, SUBJECT, receiver=number, what="test")
        try:
            outcome = await receivers.test(visit.granted, number, also=[noted])
        except (RefuseInput, RetryLater) as error:
            return await _refused(services, visit, error, number)
        detail = outcome.detail
        told = visit.t("receivers.tested_badly", detail=detail)
        told = visit.t("receivers.tested") if outcome.ok else told
        return await _one(services, visit, number, told=told, well=outcome.ok)

    @routes.post(f"{PATH}/{{receiver_id}}/secret")
    async def rotate(visit: Annotated[Visit, writer], receiver_id: str) -> Response:
        await visit.checked_form()
        number = _number(receiver_id)
        noted = services.noted(visit.granted, SUBJECT, receiver=number, what="secret")
        work = lambda: receivers.rotate(visit.granted, number, also=[noted])  # noqa: E731
        return await _do(services, visit, work, number=number)

    @routes.post(f"{PATH}/{{receiver_id}}/pause")
    async def pause(visit: Annotated[Visit, writer], receiver_id: str) -> Response:
        await visit.checked_form()
        number = _number(receiver_id)
        noted = services.noted(visit.granted, SUBJECT, receiver=number, what="pause")
        work = lambda: receivers.pause(visit.granted, number, also=[noted])  # noqa: E731
        return await _do(services, visit, work, number=number)

    @routes.post(f"{PATH}/{{receiver_id}}/resume")
    async def resume(visit: Annotated[Visit, writer], receiver_id: str) -> Response:
        number, skip = _number(receiver_id), bool((await visit.checked_form()).get("skip"))
        what = "skip" if skip else "resume"
        noted = services.noted(visit.granted, SUBJECT, receiver=number, what=what)
        work = lambda: receivers.resume(visit.granted, number, skip=skip, also=[noted])  # noqa: E731
        return await _do(services, visit, work, number=number)

    @routes.post(f"{PATH}/{{receiver_id}}/remove")
    async def remove(visit: Annotated[Visit, writer], receiver_id: str) -> Response:
        await visit.checked_form()
        number = _number(receiver_id)
        noted = services.noted(visit.granted, SUBJECT, receiver=number, what="delete")
        work = lambda: receivers.remove(visit.granted, number, also=[noted])  # noqa: E731
        return await _do(services, visit, work, number=number)


async def _do(
    services: Services,
    visit: Visit,
    work: Work,
    *,
    number: int | None = None,
    given: Mapping[str, Any] | None = None,
) -> Response:
    """Do what a form asks for and lead on; a secret is shown on a page of its own, once."""
    try:
        done = await work()
    except (RefuseInput, RetryLater) as error:
        return await _refused(services, visit, error, number, given)
    if isinstance(done, ReceiverMade):
        path = f"{PATH}/{done.receiver.id}"
        if done.secret:
            return once.lead_to(visit, f"{path}/secret", {"secret": done.secret})
        return RedirectResponse(path, status_code=303)
    return RedirectResponse(f"{PATH}/{done.id}" if done else PATH, status_code=303)


async def _refused(
    services: Services,
    visit: Visit,
    error: RefuseInput | RetryLater,
    number: int | None,
    given: Mapping[str, Any] | None = None,
) -> Response:
    if isinstance(error, RetryLater):
        status, told = 503, visit.t("wrong_receiver.later")
    else:
        status = STATUS_OF.get(error.reason, 400)
        told = refused_text(error, visit.t, about="wrong_receiver")
    if number is None or status == 404:
        return await _list(services, visit, status=status, error=told, given=given)
    return await _one(services, visit, number, status=status, told=told, given=given)


async def _list(
    services: Services,
    visit: Visit,
    *,
    status: int = 200,
    error: str = "",
    given: Mapping[str, Any] | None = None,
) -> Response:
    found = sorted(await services.receivers.find(visit.granted), key=_trouble)
    await services.shown(visit.granted, *found)
    values = {"all": found, "error": error, "many": visit.scope.everything}
    values |= _choices(given or {"kind": "webhook"})
    may_write = visit.may("receivers.write")
    return visit.render("receivers.html", status=status, may_write=may_write, **values)


async def _one(
    services: Services,
    visit: Visit,
    number: int,
    *,
    status: int = 200,
    told: str = "",
    well: bool = False,
    given: Mapping[str, Any] | None = None,
) -> Response:
    try:
        one = await services.receivers.get(visit.granted, number)
    except RefuseInput:
        return visit.render("not_found.html", status=404)
    await services.shown(visit.granted, one)
    may_write = visit.may("receivers.write")
    values = {"one": one, "told": told, "well": well, "may_write": may_write}
    return visit.render(
        "receiver.html", status=status, **values, **_choices(given or _as_given(one))
    )


def _trouble(one: Receiver) -> int:
    """Return what stands first in a list: what was stopped, then what fails."""
    return 0 if one.state == "stopped" else 1 if one.health.attempts else 2


def _choices(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form offers, and what stands in it."""
    defaults = {**dict.fromkeys(FIELDS, ""), "events": (), "severities": ()}
    options = msgspec.structs.asdict(ReceiverOptions())
    return {
        "given": {**defaults, **options, **given},
        "kinds": get_args(ReceiverKind),
        "events": get_args(FeedEvent),
        "severities": SEVERITIES,
    }


def _as_given(one: Receiver) -> dict[str, Any]:
    """Return a receiver as its form would give it."""
    wanted = one.filter
    return {
        **msgspec.structs.asdict(one.options),
        "name": one.name,
        "kind": one.kind,
        "address": one.address,
        "events": wanted.events,
        "severities": wanted.severities,
        "alerts": " ".join(wanted.alerts),
        "districts": " ".join(wanted.districts),
        "drills": "on" if wanted.drills else "",
    }


async def _given(visit: Visit) -> dict[str, Any]:
    form = await visit.checked_form()
    given: dict[str, Any] = {name: form.get(name, "").strip() for name in (*FIELDS, "password")}
    for name in ("events", "severities"):
        given[name] = await visit.ticked(name)
    return given


def _body(given: Mapping[str, Any]) -> ReceiverBody:
    """Read a form; RefuseInput `bad_request`, with the part of it that is wrong."""
    lists = {name: tuple(given[name].split()) for name in ("alerts", "districts")}
    wanted = {"events": given["events"], "severities": given["severities"], **lists}
    numbers = {name: given[name] for name in OPTIONS if given[name]}
    parts: dict[str, Any] = {
        "filter": _part("filter", {**wanted, "drills": bool(given["drills"])}, FeedFilter),
        "options": _part("options", numbers, ReceiverOptions),
    }
    whole = {"name": given["name"], "kind": given["kind"], "address": given["address"]}
    for name, text in whole.items():
        sample = {"name": "x", "kind": "webhook", "address": "", name: text}
        _part(name, sample, ReceiverBody)
    password = given["password"] or None
    _part("password", {"name": "x", "kind": "cap", "password": password}, ReceiverBody)
    return ReceiverBody(**whole, **parts, password=password)


def _part(name: str, fields: Mapping[str, Any], type_: type[T]) -> T:
    try:
        return msgspec.convert(fields, type_, strict=False)
    except msgspec.ValidationError as error:
        raise RefuseInput("bad_request", f"{name}: {str(error)[:100]}") from None


def _number(text: str) -> int:
    return int(text[:16]) if text.isascii() and text.isdigit() else 0
