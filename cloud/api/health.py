"""Alive, ready, and the service's own figures."""

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Health
from cloud.api.guard import Guard, open_to_all
from cloud.api.problems import problem
from cloud.api.render import answer


def router(services: Health, guard: Guard) -> APIRouter:
    """Build /healthz and /readyz, which need no token, and /metrics."""
    routes = APIRouter()
    everybody = [Depends(open_to_all("whoever watches the process has no account"))]

    @routes.get("/healthz", dependencies=everybody)
    async def healthz() -> Response:
        return answer({"status": "ok"})

    @routes.get("/readyz", dependencies=everybody)
    async def readyz() -> Response:
        ready, why = services.ready()
        return answer({"status": "ready"}) if ready else problem(503, "not_ready", why)

    @routes.get("/metrics", dependencies=[Depends(guard("metrics.read", whole=True))])
    async def metrics() -> Response:
        return Response(services.metrics(), media_type="text/plain; version=0.0.4")

    return routes
