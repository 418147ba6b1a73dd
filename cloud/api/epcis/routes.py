"""The binding put together."""

from fastapi import APIRouter

from cloud.api.base import Services
from cloud.api.epcis import (
    capture,
    discovery,
    events,
    live,
    queries,
    resources,
    subscriptions,
    tokens_given,
)
from cloud.api.epcis.arrivals import Arrivals
from cloud.api.guard import Guard


def routers(services: Services, guard: Guard) -> list[APIRouter]:
    """Build all that is below /epcis."""
    arrivals = Arrivals()
    return [
        discovery.router(guard),
        capture.router(services, guard, arrivals),
        events.router(services, guard, arrivals),
        resources.router(services, guard),
        queries.router(services, guard),
        live.router(services, guard),
        subscriptions.router(services, guard),
        tokens_given.router(services, guard),
    ]
