"""Open data as files: CSV and JSON, for everybody and every cache."""

import csv
import hashlib
import io
from collections.abc import Sequence
from email.utils import formatdate

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.guard import open_to_all
from cloud.api.parameters import check_names, whole
from cloud.model.data_rule import SUPPRESSED_BELOW
from cloud.model.open_data import OpenTable, OpenValue
from protocols.clock import iso
from protocols.errors import RefuseInput

LIMIT, LIMIT_MAX = 1_000, 10_000
CACHE = "public, max-age=300"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula, at the beginning of a text."""


def router(services: Services) -> APIRouter:
    """Build /open/{kind}.csv and /open/{kind}.json."""
    routes = APIRouter()
    everybody = Depends(open_to_all("only counts that the rules of data mark open leave by it"))

    @routes.get("/open/{kind}.csv", dependencies=[everybody])
    async def as_csv(request: Request, kind: str) -> Response:
        table, start, end = await _asked(request, kind)
        body = _csv(table, start, end)
        response = _answer(request, table, end, body, "text/csv; charset=utf-8; header=present")
        day = iso(table.made_at)[:10]
        response.headers["Content-Disposition"] = f'attachment; filename="{kind}-{day}.csv"'
        return response

    @routes.get("/open/{kind}.json", dependencies=[everybody])
    async def as_json(request: Request, kind: str) -> Response:
        table, start, end = await _asked(request, kind)
        return _answer(request, table, end, _json(table, start, end), "application/json")

    async def _asked(request: Request, kind: str) -> tuple[OpenTable, int, int]:
        query = request.query_params
        check_names(query, ("after", "limit"))
        table = await services.data.open.table(kind)
        if table is None:
            known = ", ".join(services.data.open.kinds)
            raise RefuseInput("not_found", f"expected one of {known}, found {kind[:40]!r}")
        after = whole(query, "after", 0, low=0, high=10**9)
        return table, after, after + whole(query, "limit", LIMIT, low=1, high=LIMIT_MAX)

    return routes


def _answer(request: Request, table: OpenTable, end: int, body: bytes, media: str) -> Response:
    """Build the answer, or say that what the caller has is still right."""
    links = [f'<{table.about.licence_url}>; rel="license"']
    if end < len(table.rows):
        url = request.url.include_query_params(after=end)
        links.append(f'<{url.path}?{url.query}>; rel="next"')
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {
        "ETag": tag,
        "Last-Modified": formatdate(table.made_at / 1000, usegmt=True),
        "Cache-Control": CACHE,
        "Link": ", ".join(links),
    }
    asked = request.headers.get("if-none-match", "")
    if tag in [one.strip().removeprefix("W/") for one in asked.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media, headers=headers)


def _json(table: OpenTable, start: int, end: int) -> bytes:
    about = table.about
    return msgspec.json.encode(
        {
            "kind": about.id,
            "title": about.title,
            "title_zh": about.title_zh,
            "licence": about.licence,
            "licence_url": about.licence_url,
            "made_at": iso(table.made_at),
            "suppressed_below": SUPPRESSED_BELOW,
            "complete": table.complete,
            "total": len(table.rows),
            "columns": table.columns,
            "rows": table.rows[start:end],
        }
    )


def _csv(table: OpenTable, start: int, end: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows(_plain(row) for row in table.rows[start:end])
    return text.getvalue().encode()


def _plain(row: Sequence[OpenValue]) -> list[OpenValue]:
    """Write what every spreadsheet reads as it is meant."""
    return [
        f"'{value}"
        if isinstance(value, str) and value.startswith(FORMULA)
        else str(value).lower()
        if isinstance(value, bool)
        else value
        for value in row
    ]
