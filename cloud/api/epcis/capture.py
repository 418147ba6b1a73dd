"""Capture: documents as jobs (EPCIS 2.0, section 8.2.5)."""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.epcis.arrivals import Arrivals
from cloud.api.epcis.discovery import offer
from cloud.api.epcis.exceptions import PREFIX
from cloud.api.epcis.negotiate import JSON_OR_XML, given_media
from cloud.api.epcis.pages import Pages, answer, named_in_path, no_parameters_but
from cloud.api.guard import Guard
from cloud.api.limits import CAPTURE_BYTES_MAX
from cloud.model.principal import Granted
from cloud.trace.base import Behaviour, Job
from protocols.clock import iso
from protocols.errors import RefuseInput, RetryLater

BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
HEADER = "GS1-Capture-Error-Behaviour"


def router(services: Services, guard: Guard, arrivals: Arrivals) -> APIRouter:
    """Build /epcis/capture and its jobs."""
    routes = APIRouter(prefix="/epcis/capture")
    pages = Pages(services.trace.pages)
    sender = Depends(guard("trace.capture"))
    limits = {
        "GS1-EPCIS-Capture-Limit": str(services.trace.capture_events_max),
        "GS1-EPCIS-Capture-File-Size-Limit": str(CAPTURE_BYTES_MAX),
    }
    offer(routes, "", sender, "POST", "GET", more={**limits, HEADER: "all"})
    offer(routes, "/{captureID}", sender, "GET")

    @routes.post("")
    async def capture(request: Request, granted: Annotated[Granted, sender]) -> Response:
        media = given_media(request.headers.get("content-type", ""), JSON_OR_XML)
        behaviour = _behaviour(request)
        async with arrivals.whole(request, granted.principal.id) as document:
            note = services.noted(granted, "epcis:capture", behaviour=behaviour)
            job = await _take(services, granted, document, media, behaviour, [note])
        where = f"/epcis/capture/{job.capture_id}"
        return Response(status_code=202, headers={"Location": where, HEADER: behaviour, **limits})

    @routes.get("")
    async def list_jobs(request: Request, granted: Annotated[Granted, sender]) -> Response:
        no_parameters_but(request, "perPage", "nextPageToken")
        wanted = await pages.wanted(request, granted)
        jobs = services.trace.captures.jobs
        found = await jobs(scope=granted.scope, before=wanted.place, limit=wanted.size + 1)
        shown = found[: wanted.size]
        response = answer([job_fields(job) for _, job in shown])
        pages.lead_on(request, response, wanted, shown[-1][0] if len(found) > wanted.size else None)
        return response

    @routes.get("/{captureID}")
    async def get_job(request: Request, granted: Annotated[Granted, sender]) -> Response:
        name = named_in_path(request, "captureID")
        job = await services.trace.captures.job(name, scope=granted.scope)
        return answer(job_fields(job))

    return routes


async def _take(
    services: Services,
    granted: Granted,
    document: bytes,
    media: str,
    behaviour: Behaviour,
    also: Sequence[Any],
) -> Job:
    try:
        return await services.trace.captures.take(
            document,
            media_type=media,
            behaviour=behaviour,
            by=granted.by,
            organisation=granted.principal.organisation or "",
            also=also,
        )
    except RefuseInput as error:
        if error.reason == "too_many_jobs":
            raise RetryLater("too many captures wait, send it again later") from error
        raise


def _behaviour(request: Request) -> Behaviour:
    text = request.headers.get(HEADER, "rollback").strip()
    for one in BEHAVIOURS:
        if one == text:
            return one
    raise RefuseInput("bad_request", f"{HEADER}: expected rollback or proceed, found {text[:40]!r}")


def job_fields(job: Job) -> dict[str, Any]:
    """Return a job as the standard writes it, its counts and warnings beside."""
    errors = [one for one in job.faults if one.get("severity", "error") == "error"]
    fields: dict[str, Any] = {
        "captureID": job.capture_id,
        "createdAt": iso(job.created_at_ms),
        "running": job.running,
        "success": job.success,
        "captureErrorBehaviour": job.behaviour,
        "errors": [fault_fields(one) for one in errors],
        "warnings": [fault_fields(one) for one in job.faults if one not in errors],
        "stored": job.stored,
        "duplicates": job.duplicates,
        "refused": job.refused,
    }
    if job.ended_at_ms is not None:
        fields["finishedAt"] = iso(job.ended_at_ms)
    return fields


def fault_fields(fault: dict[str, Any]) -> dict[str, Any]:
    """Return a fault of a document as problem details."""
    detail = "{pointer}: expected {expected}, found {found}".format_map(fault)
    title = "Not what the standard asks for"
    return {
        "type": f"{PREFIX}ValidationException",
        "title": title,
        "status": 400,
        "detail": detail,
        **fault,
    }
