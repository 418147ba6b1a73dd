"""The HTTP side put together."""

from fastapi import FastAPI

from cloud.access.base import Access
from cloud.api import (
    accounts,
    alarm_figures,
    alarms,
    assets,
    audit,
    calls,
    cap,
    cylinder_cases,
    cylinder_fills,
    cylinder_imports,
    cylinder_notices,
    cylinder_records,
    cylinder_reports,
    cylinders,
    data_rules,
    devices,
    enrolment,
    feed,
    gateways,
    handheld,
    health,
    incidents,
    lift_bacnet,
    lift_imports,
    lift_records,
    lifts,
    lineage,
    links,
    me,
    oauth2,
    open_data,
    organisations,
    partners,
    platforms,
    problems,
    readings,
    receivers,
    remote,
    rescue_figures,
    rescue_units,
    resolver,
    rollouts,
    scans,
    stations,
)
from cloud.api.base import Health, Services
from cloud.api.cookies import HostCookies
from cloud.api.desk import routes as desk
from cloud.api.epcis import routes as epcis
from cloud.api.epcis.border import EpcisBorder
from cloud.api.guard import check_guarded, guard_of
from cloud.api.limits import BodyLimit, SecurityHeaders
from cloud.api.rates import RateLimit


def create_app(services: Services) -> FastAPI:
    """Build the application: the API, and whatever `services.mounts` adds (the pages)."""
    app = _new()
    app.add_middleware(HostCookies, base_url=services.base_url)
    app.add_middleware(RateLimit, rates=services.rates, clock=services.clock)
    app.add_middleware(EpcisBorder)
    app.add_middleware(SecurityHeaders, map_sources=services.desk.map_sources)
    guard = guard_of(services.access, services.base_url)
    resources = (health, assets, readings, gateways, remote, rollouts, scans, enrolment, alarms)
    app.include_router(alarm_figures.router(services, guard))
    app.include_router(accounts.keys_router(services, guard))
    app.include_router(desk.router(services, guard))
    for resource in (*resources, feed, receivers, cap, audit, organisations, accounts, me, devices):
        app.include_router(resource.router(services, guard))
    things = (cylinders, cylinder_cases, cylinder_fills, cylinder_imports)
    records = (cylinder_notices, cylinder_records, cylinder_reports)
    of_lifts = (lifts, lift_records, lift_imports, platforms, lift_bacnet)
    for resource in (incidents, calls, rescue_units, rescue_figures):
        app.include_router(resource.router(services, guard))
    for resource in (data_rules, lineage, links, partners, handheld, *things, *records, *of_lifts):
        app.include_router(resource.router(services, guard))
    app.include_router(oauth2.router(services))
    app.include_router(resolver.router(services))
    app.include_router(rollouts.files(services))
    app.include_router(stations.router(services))
    for part in epcis.routers(services, guard):
        app.include_router(part)
    app.include_router(open_data.router(services))
    for mount in services.mounts:
        mount(app, services)
    check_guarded(app)
    return app


def create_health_app(process: Health, access: Access) -> FastAPI:
    """Build the application of a process that serves nobody: its health and its figures."""
    app = _new()
    app.add_middleware(SecurityHeaders)
    app.include_router(health.router(process, guard_of(access)))
    return app


def _new() -> FastAPI:
    app = FastAPI(title="Suyuan", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.add_middleware(BodyLimit)
    return app
