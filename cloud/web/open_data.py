"""What is open, for everybody to take along."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.model.data_rule import SUPPRESSED_BELOW
from cloud.web.visit import Visit


def router(services: Services, anyone: Callable[[Request], Visit]) -> APIRouter:
    """Build /open."""
    routes = APIRouter()

    @routes.get("/open")
    async def show(visit: Annotated[Visit, Depends(anyone)]) -> Response:
        kinds = [
            {
                "about": one,
                "title": visit.t.of(one, "title"),
                "cells": [visit.t.of(cell, "title") for cell in one.cell],
                "means": [visit.t.of(mean, "title") for mean in one.mean],
            }
            for one in services.data.open.kinds.values()
        ]
        return visit.render(
            "open.html", head=services.feed.head, kinds=kinds, bound=SUPPRESSED_BELOW
        )

    return routes
