"""The rules of data, their terms, and what was last done about them."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.api.render import answer, timed_fields
from cloud.model.data_rule import DataRule
from cloud.model.principal import Granted
from cloud.model.retention import RetentionRun
from protocols.clock import iso

RUNS = 30


def router(services: Services, guard: Guard) -> APIRouter:
    """Build /api/v1/data-rules."""
    routes = APIRouter(prefix="/api/v1/data-rules")

    @routes.get("")
    async def read(
        _granted: Annotated[Granted, Depends(guard("rules_of_data.read", whole=True))],
    ) -> Response:
        runs = await services.data.runs(RUNS)
        rules = [_fields(services, rule) for rule in services.data.rules.rules]
        return answer({"rules": rules, "runs": [_run_fields(run) for run in runs]})

    return routes


def _run_fields(run: RetentionRun) -> dict[str, Any]:
    """Return a run as JSON-ready fields; one that did not end has no end."""
    fields = timed_fields(run)
    fields["report"] = [
        msgspec.structs.asdict(one) | {"before": iso(one.before)} for one in run.report
    ]
    return fields if run.ended_at else fields | {"ended_at": None}


def _fields(services: Services, rule: DataRule) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(rule)
    for step, shown in zip(rule.step, fields["step"], strict=True):
        shown["days"] = services.data.rules.days(step)
    return fields
