"""What must not go whatever its age: things, gateways, organisations and accounts on hold."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, Table, not_, or_

from cloud.model.data_rule import SubjectKind

Holds = Mapping[str, Sequence[str]]
"""Ids on hold, by kind of subject."""
KINDS = ("asset", "gateway", "organisation", "account")


def read_holds(subjects: Collection[str]) -> Holds:
    """Sort subjects such as `asset:elevator:3110…`, `gateway:gw-1`, `account:12` by kind."""
    found: dict[str, list[str]] = {}
    for subject in subjects:
        kind, _, name = subject.partition(":")
        found.setdefault(kind, []).append(name)
    return found


def not_held(
    table: Table, subjects: Mapping[str, SubjectKind], holds: Holds
) -> Iterator[ColumnElement[bool]]:
    """Say of each column that names a subject that it names none on hold."""
    for name, how in subjects.items():
        column = table.c[name]
        kind = "asset" if how.endswith("_in_json") else how
        ids = holds.get(kind, ())
        if not ids:
            continue
        if how == "asset_in_json":
            yield from (not_(_holds(column, '"asset":' + _json(one))) for one in ids)
        elif how == "code_in_json":
            yield from (not_(_holds(column, _code(one))) for one in ids)
        else:
            wanted = [int(one) for one in ids if one.isdigit()] if kind == "account" else ids
            yield or_(column.is_(None), column.not_in(wanted))


def _holds(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return column.contains(text, autoescape=True)


def _code(asset_id: str) -> str:
    """Return how `cloud.scans` writes the code of an asset."""
    scheme, _, code = asset_id.partition(":")
    return f'{{"scheme":{_json(scheme)},"value":{_json(code)}}}'


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
