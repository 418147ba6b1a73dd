"""The HTTP side put together."""

from fastapi import FastAPI

from cloud.api import alarms, assets, feed, gateways, health, problems, readings
from cloud.api.base import Services
from cloud.api.guard import caller_of
from cloud.api.limits import BodyLimit, SecurityHeaders


def create_app(services: Services) -> FastAPI:
    """Build the application: the API, and whatever `services.mounts` adds (the pages)."""
    app = FastAPI(title="Suyuan", docs_url=None, redoc_url=None, openapi_url=None)
    caller = caller_of(services.access)
    for resource in (health, assets, readings, gateways, alarms, feed):
        app.include_router(resource.router(services, caller))
    problems.install(app)
    for mount in services.mounts:
        mount(app, services)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    return app
