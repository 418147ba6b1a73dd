"""What a caller is shown of a lineage: names, hidden steps, bounds; as JSON and as a sheet."""

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cloud.api.lineage_sheet import COLUMNS, sheet
from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, Scope
from cloud.trace.lineage.base import Bounds, Finding, Question, Shown
from cloud.trace.lineage.desk import LineageDesk
from cloud.trace.lineage.keeper import Keeper
from cloud.trace.store import SqlTraceStore
from protocols.errors import RefuseInput
from tests.support.shipped import shipped_schemes
from tests.support.trace_events import event_of

MILK, CHEESE, BOX, PALLET = "urn:x:milk", "urn:x:cheese:1", "urn:x:box:1", "urn:x:pallet:1"
OTHER = "urn:x:box:2"
W = Bounds()


def event(hour: int, type_: str, **more: Any) -> dict[str, Any]:
    time = f"2026-11-26T{hour:02}:00:00.000+08:00"
    return {"type": type_, "eventTime": time, "eventTimeZoneOffset": "+08:00", **more}


DAIRY = [
    event(
        6,
        "TransformationEvent",
        eventID="urn:x:e1",
        inputQuantityList=[{"epcClass": MILK, "quantity": 10.0, "uom": "LTR"}],
        outputEPCList=[CHEESE],
    ),
    event(7, "AggregationEvent", action="ADD", parentID=BOX, childEPCs=[CHEESE]),
]
CARRIER = [
    event(8, "AggregationEvent", action="ADD", parentID=PALLET, childEPCs=[BOX, OTHER]),
    event(9, "ObjectEvent", action="OBSERVE", epcList=[PALLET], bizStep="shipping"),
    event(12, "AggregationEvent", action="DELETE", parentID=PALLET),
]
SHOP = [event(15, "ObjectEvent", action="OBSERVE", epcList=[CHEESE], bizStep="retail_selling")]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The other database is asked in test_lineage_keeper.py."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
async def desk(store: SqlTraceStore, state: Database, tmp_path: Path) -> LineageDesk:
    for organisation, bodies in (("dairy", DAIRY), ("carrier", CARRIER), ("shop", SHOP)):
        events = [event_of(one) for one in bodies]
        await store.capture(events, organisation=organisation, recorded_at_us=1)
    keeper = Keeper(state, tmp_path / "lineage")
    keeper.open()
    return LineageDesk(state, keeper, shipped_schemes())


def firm(*names: str) -> Scope:
    return Scope(organisations=frozenset(names))


def ids(shown: Shown) -> dict[str | None, str]:
    return {node.id: node.kind for node in shown.nodes}


async def test_who_may_see_everything_sees_names_steps_and_quantities(desk: LineageDesk) -> None:
    shown = await desk.trace(Question((MILK,), "forward", None, W), scope=EVERYTHING)
    things = {MILK: "thing", CHEESE: "thing", BOX: "carrier", PALLET: "carrier"}
    assert ids(shown) == {**things, "urn:x:e1": "transformation"}
    [milk] = [link for link in shown.links if link.kind == "input"]
    assert (milk.quantity, milk.uom, milk.approximate) == (10.0, "LTR", ("class_level",))
    assert [step.captured_by for step in shown.steps] == ["dairy"] * 2 + ["carrier"] * 2 + ["shop"]
    assert shown.findings == (Finding("class_level", 1),)
    assert (shown.at_us, shown.cut.items, shown.cut.steps) == (None, 0, 0)


async def test_what_is_hidden_keeps_the_way(desk: LineageDesk) -> None:
    shown = await desk.trace(Question((CHEESE,), "back", None, W), scope=firm("shop"))
    assert [node.id for node in shown.nodes if node.id] == [CHEESE]
    hidden = [node for node in shown.nodes if node.hidden_at]
    assert {node.hidden_at for node in hidden} == {"dairy", "carrier"}
    assert all(node.time_us is None for node in hidden)
    way = {(link.source, link.target) for link in shown.links}
    cheese = next(n for n, node in enumerate(shown.nodes) if node.id == CHEESE)
    made = next(n for n, node in enumerate(shown.nodes) if node.kind == "transformation")
    assert (made, cheese) in way
    assert any(target == made for _, target in way)
    for link in shown.links:
        assert (link.event_id, link.since_us, link.quantity) == (None, None, None)
    text = msgspec.json.encode(shown).decode()
    for secret in (MILK, BOX, PALLET, "urn:x:e1", "LTR", "shipping", "packing"):
        assert secret not in text


async def test_sibling_on_the_pallet_is_not_reached(desk: LineageDesk) -> None:
    shown = await desk.trace(Question((CHEESE,), "forward", None, W), scope=EVERYTHING)
    assert OTHER not in ids(shown)
    whole = await desk.trace(Question((PALLET,), "forward", None, W), scope=EVERYTHING)
    assert {OTHER, BOX, CHEESE} < set(ids(whole))


@pytest.mark.parametrize("item", ["urn:x:nowhere", MILK])
async def test_unknown_and_invisible_items_are_refused_alike(desk: LineageDesk, item: str) -> None:
    with pytest.raises(RefuseInput, match="not_found: nothing known of"):
        await desk.trace(Question((item,), "back", None, W), scope=firm("shop"))


async def test_bounds_tell_what_they_cut(desk: LineageDesk) -> None:
    shown = await desk.trace(Question((MILK,), "forward", None, Bounds(items=2)), scope=EVERYTHING)
    assert (len([n for n in shown.nodes if n.kind != "transformation"]), shown.cut.items) == (2, 1)
    shown = await desk.trace(Question((MILK,), "forward", None, Bounds(depth=2)), scope=EVERYTHING)
    assert (PALLET in ids(shown), shown.cut.items) == (False, 1)


async def test_sheet_has_a_row_for_each_item_of_each_event(desk: LineageDesk) -> None:
    shown = await desk.trace(Question((MILK,), "forward", None, W), scope=EVERYTHING)
    rows = list(csv.reader(io.StringIO(sheet(shown).removeprefix("\ufeff"))))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1][:9] == [
        *("2026-11-25T22:00:00.000+00:00", "TransformationEvent", "", "", ""),
        *(MILK, "input", "10.0", "LTR"),
    ]
    times = [row[0] for row in rows[1:]]
    assert times == sorted(times)
    assert [row[3] for row in rows if row[5] == PALLET and row[3]] == ["shipping"]


async def test_sheet_holds_no_formulas(
    desk: LineageDesk, store: SqlTraceStore, tmp_path: Path
) -> None:
    evil = '=HYPERLINK("http://x")'
    body = event(16, "ObjectEvent", action="OBSERVE", epcList=[evil])
    await store.capture([event_of(body)], organisation="shop", recorded_at_us=1)
    text = sheet(await desk.trace(Question((evil,), "back", None, W), scope=EVERYTHING))
    assert "'=HYPERLINK" in text
