"""The page of lineages: a picture, its folds, what it must never show."""

from typing import Any

import httpx
import pytest

from cloud.trace.lineage.base import Bounds, Shown, ShownCut, ShownLink, ShownNode
from cloud.web.lineage_picture import BOXES_MAX, FAN, GAP_X, WIDTH, draw
from tests.support.http_services import World
from tests.support.trace_events import event_of

LOT, BOXES = "urn:x:salt", 12


def event(hour: int, type_: str, **more: Any) -> dict[str, Any]:
    time = f"2026-11-26T{hour:02}:00:00.000+08:00"
    return {"type": type_, "eventTime": time, "eventTimeZoneOffset": "+08:00", **more}


def fan(count: int) -> list[dict[str, Any]]:
    boxes = [f"urn:x:box:{n}" for n in range(count)]
    lot = [{"epcClass": LOT, "quantity": 5.0, "uom": "KGM"}]
    return [
        event(6, "TransformationEvent", inputQuantityList=lot, outputEPCList=boxes),
        event(7, "AggregationEvent", action="ADD", parentID="urn:x:pallet", childEPCs=boxes),
        event(9, "ObjectEvent", action="OBSERVE", epcList=["urn:x:pallet"], bizStep="shipping"),
        event(9, "ObjectEvent", action="OBSERVE", epcList=["<script>alert(1)</script>"]),
    ]


@pytest.fixture
async def salt(world: World) -> None:
    events = [event_of(one) for one in fan(BOXES)]
    await world.services.trace.store.capture(events, organisation="firm-a", recorded_at_us=1)


async def test_page_shows_a_fan_folded_and_unfolds_it(
    operator: httpx.AsyncClient, salt: None
) -> None:
    page = (await operator.get(f"/trace?item={LOT}&direction=forward")).text
    assert f"{BOXES} ×" in page
    assert page.count("<rect") == 5  # salt, processing, the fan and what is behind it, pallet
    number = page.split("open=")[1].split('"')[0]
    page = (await operator.get(f"/trace?item={LOT}&direction=forward&open={number}")).text
    assert page.count("<rect") == 3 + BOXES
    assert "按品类或批次记录" in page
    assert "shipping" in page
    assert "style=" not in page
    assert "<script>" not in page


async def test_page_is_empty_before_anybody_asked(operator: httpx.AsyncClient) -> None:
    page = await operator.get("/trace")
    assert page.status_code == 200
    assert "<svg" not in page.text


async def test_unknown_code_is_told(operator: httpx.AsyncClient) -> None:
    page = await operator.get("/trace?item=urn:x:nothing")
    assert page.status_code == 404
    assert "没有此编码的记录" in page.text


async def test_code_from_outside_is_never_markup(operator: httpx.AsyncClient, salt: None) -> None:
    page = await operator.get("/trace", params={"item": "<script>alert(1)</script>"})
    assert page.status_code == 200
    assert "<script>alert" not in page.text


async def test_lineage_comes_as_json_and_as_a_sheet(
    operator: httpx.AsyncClient, salt: None
) -> None:
    answer = await operator.get("/api/v1/lineage", params={"item": LOT, "direction": "forward"})
    found = answer.json()
    assert (len(found["nodes"]), found["cut"]["items"]) == (BOXES + 3, 0)
    asked = {"item": LOT, "direction": "forward", "format": "csv"}
    answer = await operator.get("/api/v1/lineage", params=asked)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(answer.text.splitlines()) == 1 + (1 + BOXES) + (1 + BOXES) + 1


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"item": LOT, "direction": "up"},
        {"item": LOT, "items": "0"},
        {"item": LOT, "depth": "x"},
        {"item": LOT, "at": "yesterday"},
        {"item": LOT, "format": "pdf"},
        {"item": LOT, "more": "1"},
        {"item": "x" * 2_001},
    ],
)
async def test_bad_questions_are_refused(
    operator: httpx.AsyncClient, asked: dict[str, str]
) -> None:
    answer = await operator.get("/api/v1/lineage", params=asked)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def shown(nodes: list[ShownNode], links: list[ShownLink]) -> Shown:
    return Shown(
        start=("a",),
        direction="back",
        at_us=None,
        bounds=Bounds(),
        nodes=nodes,
        links=links,
        steps=(),
        findings=(),
        cut=ShownCut(items=0, beyond=0, links=0, steps=0),
    )


def test_start_of_a_trace_back_stands_on_the_right() -> None:
    nodes = [
        ShownNode(kind="thing", depth=0, id="a"),
        ShownNode(kind="thing", depth=1, id="b"),
        ShownNode(kind="transformation", depth=1, id="t"),
    ]
    links = [
        ShownLink(kind="output", source=2, target=0),
        ShownLink(kind="input", source=1, target=2),
    ]
    picture = draw(shown(nodes, links), ())
    x = {box.node.id: box.x for box in picture.boxes}
    assert x["b"] < x["t"] < x["a"]
    assert [box.is_start for box in picture.boxes] == [True, False, False]
    assert len(picture.lines) == 2


def test_few_alike_are_not_folded_and_too_many_are_left_out() -> None:
    first = ShownNode(kind="thing", depth=0, id="a")
    some = [ShownNode(kind="carrier", depth=1, id=f"c{n}") for n in range(FAN)]
    links = [ShownLink(kind="aggregation", source=0, target=n + 1) for n in range(FAN)]
    assert len(draw(shown([first, *some], links), ()).boxes) == FAN + 1
    many = [ShownNode(kind="carrier", depth=1, id=f"c{n}") for n in range(BOXES_MAX + 3)]
    links = [ShownLink(kind="aggregation", source=0, target=n + 1) for n in range(len(many))]
    assert len(draw(shown([first, *many], links), ()).boxes) == 2
    picture = draw(shown([first, *many], links), (1,))
    assert (len(picture.boxes), picture.left_out) == (BOXES_MAX, 4)


def test_what_leads_somewhere_stands_before_it_even_on_a_longer_way() -> None:
    """The lot c went into both t1 and, made into b by t2, into it again."""
    nodes = [
        ShownNode(kind="thing", depth=0, id="a"),
        ShownNode(kind="thing", depth=1, id="b"),
        ShownNode(kind="thing", depth=1, id="c"),
        ShownNode(kind="transformation", depth=1, id="t1"),
        ShownNode(kind="transformation", depth=2, id="t2"),
    ]
    ends = [("output", 3, 0), ("input", 1, 3), ("input", 2, 3), ("output", 4, 1), ("input", 2, 4)]
    links = [ShownLink(kind=kind, source=a, target=b) for kind, a, b in ends]  # type: ignore[arg-type]
    x = {box.node.id: box.x for box in draw(shown(nodes, links), ()).boxes}
    assert x["c"] < x["t2"] < x["b"] < x["t1"] < x["a"]


def test_a_cylinder_filled_again_is_drawn_once() -> None:
    nodes = [
        ShownNode(kind="thing", depth=0, id="a"),
        ShownNode(kind="transformation", depth=1, id="t"),
    ]
    ends = ((1, 0, "output"), (0, 1, "input"))
    links = [ShownLink(kind=kind, source=a, target=b) for a, b, kind in ends]  # type: ignore[arg-type]
    picture = draw(shown(nodes, links), ())
    assert (len(picture.boxes), picture.width) == (2, 2 * (WIDTH + GAP_X))


@pytest.mark.parametrize("text", ["(01)06901234567892(21)1A", "0106901234567892211A"])
async def test_item_is_found_by_what_was_scanned(
    operator: httpx.AsyncClient, world: World, text: str
) -> None:
    item = "https://id.gs1.org/01/06901234567892/21/1A"
    lift = "urn:suyuan:id:elevator:31101099920240017"
    store = world.services.trace.store
    seen = event(9, "ObjectEvent", action="OBSERVE", epcList=[item, lift])
    await store.capture([event_of(seen)], organisation="firm-a", recorded_at_us=1)
    for asked, id_ in ((text, item), ("31101099920240017", lift)):
        answer = await operator.get("/api/v1/lineage", params={"item": asked})
        assert answer.json()["start"] == [id_], answer.text
    answer = await operator.get("/api/v1/lineage", params={"item": "06901234567892"})
    assert answer.status_code == 404


async def test_code_of_two_things_is_asked_back(operator: httpx.AsyncClient, world: World) -> None:
    code, store = "81234567890123456789", world.services.trace.store
    drug, older = (
        f"urn:suyuan:id:{one}:{code}" for one in ("drug_trace", "electronic_supervision")
    )
    seen = event(9, "ObjectEvent", action="OBSERVE", epcList=[drug])
    await store.capture([event_of(seen)], organisation="firm-a", recorded_at_us=1)
    found = await operator.get("/api/v1/lineage", params={"item": code})
    assert found.json()["start"] == [drug]
    seen = event(10, "ObjectEvent", action="OBSERVE", epcList=[older])
    await store.capture([event_of(seen)], organisation="firm-a", recorded_at_us=2)
    asked_back = await operator.get("/api/v1/lineage", params={"item": code})
    assert asked_back.status_code == 400
    assert all(one in asked_back.json()["detail"] for one in (drug, older))
    page = await operator.get("/trace", params={"item": code})
    assert "此编码可能对应多个对象" in page.text
    assert page.text.count('<p><a href="/trace?item=urn%3Asuyuan%3Aid%3A') == 2
