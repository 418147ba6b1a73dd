"""What gates decided, found in the state database within what a caller may see."""

import re
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    exists,
    or_,
    select,
    true,
    tuple_,
)

from cloud.cylinders.base import WantedDecisions
from cloud.model.cylinder_fill import FillDecision
from cloud.model.cylinder_tables import cylinder
from cloud.model.fill_tables import cylinder_fill_step
from cloud.model.principal import Scope
from cloud.model.visible import sees_asset, sees_organisation
from protocols.errors import RefuseInput
from protocols.records import Fill

_STEP = cylinder_fill_step.c
_ORDER = (
    *(_STEP.observed_at, _STEP.gateway, _STEP.spool, _STEP.stream),
    *(_STEP.seq, _STEP.record_index),
)
_KEY = re.compile(
    r"([0-9]{1,15})~([!-}]{1,64})~([0-9a-f]{1,32})~([a-z]{1,8})~([0-9]{1,18})~([0-9]{1,9})"
)
_FILED = exists(select(cylinder.c.asset_id).where(cylinder.c.asset_id == _STEP.asset_id))
_RECORD = msgspec.json.Decoder(Fill)


def find_decisions(
    connection: Connection, scope: Scope, wanted: WantedDecisions
) -> list[FillDecision]:
    """Return decisions, the latest first; whoever sees a filling sees them likewise."""
    query = select(cylinder_fill_step, _FILED.label("known"))
    query = query.where(_STEP.decision.is_not(None), seen_at_gates(scope, cylinder_fill_step))
    query = _of(query, wanted).order_by(*(one.desc() for one in _ORDER)).limit(wanted.limit)
    return [_decision(row) for row in connection.execute(query).mappings()]


def seen_at_gates(scope: Scope, table: Table) -> ColumnElement[bool]:
    """Return what holds for rows of gates that a caller may see.

    It is what concerns the cylinders that they see, and what a filler did that is theirs or of
    their office: also where nobody knows the cylinder.
    """
    if scope.everything:
        return true()
    of_cylinder, filler = sees_asset(scope, table.c.asset_id), table.c.filler
    return or_(of_cylinder, and_(filler != "", sees_organisation(scope, filler)))


def _of(query: Select[Any], wanted: WantedDecisions) -> Select[Any]:
    for name in ("asset_id", "filler", "gateway", "gate", "decision"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(_STEP[name] == value)
    if wanted.refused:
        query = query.where(_STEP.decision != "fill")
    if wanted.reason is not None:
        query = query.where(_STEP.body.contains(f'"reason":"{wanted.reason}"', autoescape=True))
    if wanted.since is not None:
        query = query.where(_STEP.observed_at >= wanted.since)
    if wanted.before is not None:
        last = _read_key(wanted.before)
        query = query.where(_STEP.observed_at <= last[0], tuple_(*_ORDER) < tuple_(*last))
    return query


def _read_key(text: str) -> tuple[int, str, str, str, int, int]:
    match = _KEY.fullmatch(text)
    if match is None:
        raise RefuseInput("bad_request", f"before: expected as in Link, found {text[:40]!r}")
    observed_at, gateway, spool, stream, seq, index = match.groups()
    return int(observed_at), gateway, spool, stream, int(seq), int(index)


def _decision(row: Any) -> FillDecision:
    record = _RECORD.decode(row["body"])
    of_record = ("gate", "number", "gas", "operator", "rules_version", "snapshot_version")
    of_row = ("gateway", "asset_id", "known", "filler", "decision", "observed_at", "received_at")
    return FillDecision(
        key="~".join(str(row[one.name]) for one in _ORDER),
        reasons=tuple(record.reasons),
        judged_on=record.judged_on,
        time_source=record.time_source,
        checks=record.checks,
        codes=tuple(record.codes),
        time_unknown=row["time_unknown"],
        **{name: getattr(record, name) for name in of_record},
        **{name: row[name] for name in of_row},
    )
