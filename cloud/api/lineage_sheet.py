"""A lineage as one sheet that can be sorted: a row for each item of each event on the way."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

from cloud.trace.lineage.base import Named, Shown, ShownStep

COLUMNS = (
    *("event_time", "event_type", "action", "business_step", "disposition", "item", "role"),
    *("quantity", "unit", "traced_as", "links_from_start", "read_point", "business_location"),
    *("captured_by", "event_id", "hidden_at"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def sheet(shown: Shown) -> str:
    """Return CSV (RFC 4180) with a byte order mark, which spreadsheets need to read Chinese.

    Cells that an event lacks are empty. What a spreadsheet would take for a formula begins with an
    apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for step in shown.steps:
        writer.writerows(_rows(shown, step))
    return "\ufeff" + text.getvalue()


def _rows(shown: Shown, step: ShownStep) -> Iterator[list[str]]:
    for one in step.items or (None,):
        yield [_safe(cell) for cell in _row(shown, step, one)]


def _row(shown: Shown, step: ShownStep, one: Named | None) -> list[str | float | None]:
    when = _time(step.time_us)
    said = [when, _word(step.type), step.action, _word(step.biz_step), _word(step.disposition)]
    places = [step.read_point, step.biz_location, step.captured_by, step.event_id, step.hidden_at]
    if one is None:
        return [*said, *[None] * 6, *places]
    node = shown.nodes[one.node]
    return [*said, node.id, one.role, one.quantity, one.uom, node.kind, node.depth, *places]


def _time(time_us: int | None) -> str | None:
    if time_us is None:
        return None
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds")


def _word(word: str | None) -> str | None:
    """Return a standard word bare, as people know it."""
    if word is not None and word.startswith("https://ref.gs1.org/cbv/"):
        return word.rpartition("-")[2]
    return word


def _safe(cell: str | float | None) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(_FORMULA) else text
