"""Alive, ready, and the service's own figures."""

from collections.abc import Callable

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Health
from cloud.api.problems import problem
from cloud.api.render import answer


def router(services: Health, caller: Callable[[Request], str]) -> APIRouter:
    """Build /healthz and /readyz, which need no token, and /metrics."""
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> Response:
        return answer({"status": "ok"})

    @routes.get("/readyz")
    async def readyz() -> Response:
        ready, why = services.ready()
        return answer({"status": "ready"}) if ready else problem(503, "not_ready", why)

    @routes.get("/metrics", dependencies=[Depends(caller)])
    async def metrics() -> Response:
        return Response(services.metrics(), media_type="text/plain; version=0.0.4")

    return routes
