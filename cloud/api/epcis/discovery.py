"""What can be asked where: OPTIONS everywhere, and the top-level resources."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud.api.epcis.negotiate import (
    CBV_MIN,
    CBV_VERSION,
    EPCIS_MIN,
    EPCIS_VERSION,
)
from cloud.api.epcis.pages import collection
from cloud.api.guard import Guard
from cloud.model.principal import Granted

TOP_LEVEL = (
    *("capture", "queries", "events", "eventTypes", "epcs"),
    *("bizSteps", "bizLocations", "readPoints", "dispositions"),
)
VERSIONS = {
    "GS1-EPCIS-Min": EPCIS_MIN,
    "GS1-EPCIS-Max": EPCIS_VERSION,
    "GS1-CBV-Min": CBV_MIN,
    "GS1-CBV-Max": CBV_VERSION,
}
FORMATS = {"GS1-EPC-Format": "No_Preference", "GS1-CBV-XML-Format": "No_Preference"}
"""As a server announces them: every one is written."""


def router(guard: Guard) -> APIRouter:
    """Build /epcis itself."""
    routes = APIRouter(prefix="/epcis")
    reader = Depends(guard("trace.read"))
    offer(routes, "", reader, "GET")

    @routes.get("")
    def list_top_level(_granted: Annotated[Granted, reader]) -> Response:
        return collection(TOP_LEVEL)

    return routes


def offer(
    routes: APIRouter,
    path: str,
    who: object,
    *methods: str,
    more: Mapping[str, str] | None = None,
) -> None:
    """Answer OPTIONS at `path`: the methods there, versions and formats.

    Args:
        routes: to add it to.
        path: of the resource, below the prefix of `routes`.
        who: the dependency that guards the resource.
        methods: other than OPTIONS.
        more: headers of this resource alone.

    """
    headers = {"Allow": ", ".join(("OPTIONS", *methods)), **VERSIONS, **FORMATS, **(more or {})}

    @routes.options(path, dependencies=[who])  # type: ignore[list-item]  # what Depends returns
    def discover() -> Response:
        return Response(status_code=204, headers=headers)
