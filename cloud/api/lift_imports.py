"""Files of many lifts: taken at once, settled row by row beside the call."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.cylinder_imports import form_of
from cloud.api.guard import Guard
from cloud.api.parameters import check_names, number_in_path, whole
from cloud.api.render import answer, page, timed_fields
from cloud.model.principal import Granted

LIMIT, LIMIT_MAX, ID_MAX = 100, 1_000, 10**15


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/lift-imports."""
    routes = APIRouter(prefix="/api/v1/lift-imports")
    writer, imports = Depends(guard("lifts.write")), services.lifts.imports

    @routes.post("")
    async def take(request: Request, granted: Annotated[Granted, writer]) -> Response:
        form = form_of(request.headers.get("content-type", ""))
        noted = services.noted(granted, "lifts", what="import", form=form)
        one = await imports.take(granted, form, await request.body(), also=[noted])
        response = answer(timed_fields(one), status=202)
        response.headers["Location"] = f"/api/v1/lift-imports/{one.id}"
        return response

    @routes.get("")
    async def list_imports(request: Request, granted: Annotated[Granted, writer]) -> Response:
        check_names(request.query_params, ("before", "limit"))
        limit = whole(request.query_params, "limit", LIMIT, low=1, high=LIMIT_MAX)
        before = whole(request.query_params, "before", ID_MAX, low=1, high=ID_MAX)
        found = await imports.find(granted, before=before, limit=limit + 1)
        some = found[:limit]
        more = {"before": some[-1].id} if len(found) > limit else {}
        return page([timed_fields(one) for one in some], request=request, next_page=more)

    @routes.get("/{import_id}")
    async def get_import(
        import_id: str, request: Request, granted: Annotated[Granted, writer]
    ) -> Response:
        check_names(request.query_params, ("after_line",))
        after = whole(request.query_params, "after_line", 0, low=0, high=ID_MAX)
        one = await imports.get(granted, number_in_path(import_id), after_line=after)
        return answer(timed_fields(one))

    return routes
