"""Giving back a token that is no longer needed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.epcis.pages import named_in_path
from cloud.api.guard import Guard
from cloud.model.principal import Granted


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /epcis/nextPageToken."""
    routes = APIRouter(prefix="/epcis/nextPageToken")
    reader = Depends(guard("trace.read"))

    @routes.delete("/{token}")
    async def spend(request: Request, granted: Annotated[Granted, reader]) -> Response:
        token = named_in_path(request, "token")
        await services.trace.pages.spend(token, granted.principal.id)
        return Response(status_code=204)

    return routes
