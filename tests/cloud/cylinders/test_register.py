"""One cylinder, one code; the file, its history, and what changed since."""

import pytest
from sqlalchemy import func, select

from cloud.cylinders.base import Wanted
from cloud.model.cylinder import FurtherCode
from cloud.model.cylinder_tables import cylinder_change
from protocols.cylinders.base import Cylinder, MarkedDate
from protocols.errors import RefuseInput
from tests.support.cylinders import CODE, Yard, code_of, file_of
from tests.support.firms import DISTRICT

TAG = FurtherCode("tag_uid", "04A1B2C3D4E5F6")


async def test_registered_cylinder_is_an_asset_with_its_facts(yard: Yard) -> None:
    file = file_of(codes=(TAG,), inspected_on="2025-06", last_filled_on="2026-01-31")
    record, outcome = await yard.cylinders.register(yard.filler(), CODE, file, DISTRICT)
    assert (outcome, record.state, record.district) == ("registered", "in_use", DISTRICT)
    asset = yard.registry.peek(CODE)
    assert asset is not None
    assert (asset.kind, asset.category) == ("cylinder", "special_equipment")
    assert asset.parties == {"filler": "gas-a"}
    facts = await yard.cylinders.facts(CODE)
    assert facts is not None
    assert facts == Cylinder(
        code=CODE,
        kind="lpg_household",
        gas="lpg",
        standard="GB 5842-2006",
        manufactured_on=MarkedDate(2024, 3),
        inspected_on=MarkedDate(2025, 6),
        last_filled_on=facts.last_filled_on,
        filler="gas-a",
        tare_kg=16.5,
        water_capacity_l=35.5,
        allowable_fill_kg=14.9,
        tag_uids=("04A1B2C3D4E5F6",),
    )
    assert str(facts.last_filled_on) == "2026-01-31"
    assert await yard.cylinders.facts("cylinder:nobody") is None


async def test_the_same_file_again_changes_nothing(yard: Yard) -> None:
    for expected in ("registered", "unchanged", "unchanged"):
        _, outcome = await yard.cylinders.register(yard.filler(), CODE, file_of(codes=(TAG,)))
        assert outcome == expected
    history = await yard.cylinders.history(CODE, yard.filler().scope)
    assert [one.what for one in history] == ["registered"]


async def test_history_tells_what_was_before(yard: Yard) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(codes=(TAG,)))
    yard.clock.advance(60_000)
    await yard.cylinders.register(yard.filler(), CODE, file_of(tare_kg=16.9))
    newest, _ = await yard.cylinders.history(CODE, yard.filler().scope)
    assert (newest.what, newest.by, newest.organisation) == ("changed", "account:7", "gas-a")
    tag = {"scheme": "tag_uid", "value": TAG.value}
    assert newest.before == {"tare_kg": 16.5, "codes": [tag]}
    assert newest.after == {"tare_kg": 16.9, "codes": []}
    assert newest.recorded_at == yard.clock.wall_ms()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"codes": (TAG,)}, "code_taken"),
        ({"codes": (FurtherCode("cylinder", CODE.partition(":")[2]),)}, "code_taken"),
        ({"serial_number": "000000"}, "registered_twice"),
        ({"vehicle": "LFV2A21K"}, "bad_request"),
        ({"manufactured_on": "2024-02-30"}, "bad_request"),
        ({"inspected_on": "2023-12"}, "bad_request"),
        ({"codes": (FurtherCode("tag_uid", "04a1"),)}, "bad_request"),
        ({"gas": "mixture"}, "bad_request"),
        ({"components": ("argon",)}, "bad_request"),
        ({"filler": "gas-b"}, "forbidden"),
        ({"filler": ""}, "forbidden"),
    ],
)
async def test_file_that_cannot_be_is_refused(
    yard: Yard, fields: dict[str, object], reason: str
) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(codes=(TAG,)))
    with pytest.raises(RefuseInput) as caught:
        await yard.cylinders.register(yard.filler(), code_of(1), file_of(1, **fields))
    assert caught.value.reason == reason
    assert await yard.cylinders.facts(code_of(1)) is None
    assert yard.registry.peek(code_of(1)) is None


async def test_who_is_registered_twice_has_a_finding(yard: Yard) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    with pytest.raises(RefuseInput) as caught:
        await yard.cylinders.register(yard.filler("gas-b"), code_of(1), file_of(filler="gas-b"))
    assert CODE not in str(caught.value)  # whose it is, is none of gas-b's business
    asset = await yard.registry.get(CODE)
    assert asset is not None
    assert [(one.reason, one.detail) for one in asset.findings] == [
        ("registered_twice", f"as {code_of(1)}")
    ]


async def test_same_number_of_another_year_is_another_cylinder(yard: Yard) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    other = file_of(manufactured_on="2023-03")
    _, outcome = await yard.cylinders.register(yard.filler(), code_of(1), other)
    assert outcome == "registered"


@pytest.mark.parametrize("filler", ["shop", "body-a", "nobody"])
async def test_only_filling_stations_have_cylinders(yard: Yard, filler: str) -> None:
    with pytest.raises(RefuseInput, match="expected an active filling_station"):
        await yard.cylinders.register(
            yard.root("cylinders.write"), CODE, file_of(filler=filler), DISTRICT
        )


async def test_others_do_not_even_see_it(yard: Yard) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(), "龙潭区")
    stranger = yard.filler("gas-b")
    for call in (
        yard.cylinders.get(CODE, stranger.scope),
        yard.cylinders.history(CODE, stranger.scope),
        yard.cylinders.register(stranger, CODE, file_of(filler="gas-b")),
        yard.cylinders.get(CODE, yard.office("cylinders.read").scope),
    ):
        with pytest.raises(RefuseInput) as caught:
            await call
        assert caught.value.reason == "not_found"


async def test_filler_cannot_write_inspections_after_registration(yard: Yard) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(inspected_on="2024-06"))
    later = file_of(inspected_on="2026-01", inspection_due_on="2099-01")
    await yard.cylinders.register(yard.filler(), CODE, later)
    facts = await yard.cylinders.facts(CODE)
    assert facts is not None
    assert (facts.inspected_on, facts.inspection_due_on) == (MarkedDate(2024, 6), None)


async def test_changes_come_in_order_without_holes(yard: Yard) -> None:
    for number in range(5):
        await yard.cylinders.register(yard.filler(), code_of(number), file_of(number))
    await yard.cylinders.register(yard.filler(), code_of(1), file_of(1, tare_kg=17.0))
    seen, cursor, more = [], 0, True
    while more:
        page = await yard.cylinders.changed_since(cursor, "gas-a", 2)
        seen += [one.code for one in page.cylinders]
        cursor, more = page.cursor, page.more
    assert seen == [code_of(n) for n in (0, 2, 3, 4, 1)]
    again = await yard.cylinders.changed_since(cursor, "gas-a")
    assert (again.cylinders, again.cursor, again.more) == ((), cursor, False)
    numbers = yard.database.read_now(
        lambda c: c.execute(
            select(
                func.count(), func.min(cylinder_change.c.change), func.max(cylinder_change.c.change)
            )
        ).one()
    )
    assert tuple(numbers) == (6, 1, 6)


async def test_transferred_cylinder_leaves_one_snapshot_and_comes_into_the_other(
    yard: Yard,
) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    before = (await yard.cylinders.changed_since(0, "gas-a")).cursor
    await yard.cylinders.transfer(yard.filler(), CODE, "gas-b", "sold")
    old = await yard.cylinders.changed_since(before, "gas-a")
    assert (old.cylinders, old.gone) == ((), (CODE,))
    new = await yard.cylinders.changed_since(before, "gas-b")
    assert ([one.code for one in new.cylinders], new.gone) == ([CODE], ())
    with pytest.raises(RefuseInput, match="not_found"):
        await yard.cylinders.get(CODE, yard.filler().scope)
    await yard.cylinders.transfer(yard.filler("gas-b"), CODE, "gas-a", "back")
    back = await yard.cylinders.changed_since(old.cursor, "gas-a")
    assert ([one.code for one in back.cylinders], back.gone) == ([CODE], ())


async def test_filler_changes_by_a_transfer_alone(yard: Yard) -> None:
    root = yard.root("cylinders.write")
    await yard.cylinders.register(root, CODE, file_of(), DISTRICT)
    with pytest.raises(RefuseInput, match="until it is transferred"):
        await yard.cylinders.register(root, CODE, file_of(filler="gas-b"))
    assert yard.registry.peek(CODE).parties == {"filler": "gas-a"}  # type: ignore[union-attr]


async def test_cylinder_is_found_by_any_of_its_codes(yard: Yard) -> None:
    scope = yard.filler().scope
    await yard.cylinders.register(yard.filler(), CODE, file_of(codes=(TAG,)), DISTRICT)
    await yard.cylinders.register(yard.filler(), code_of(1), file_of(1))
    for text in (CODE, CODE.partition(":")[2], TAG.value, "000000"):
        found = await yard.cylinders.find(scope, Wanted(text=text))
        assert [one.asset_id for one in found] == [CODE], text
    found = await yard.cylinders.find(scope, Wanted(limit=1))
    rest = await yard.cylinders.find(scope, Wanted(after=found[0].asset_id))
    assert {found[0].asset_id, rest[0].asset_id} == {CODE, code_of(1)}
    for wanted, count in (
        (Wanted(district=DISTRICT), 1),
        (Wanted(state="in_use"), 2),
        (Wanted(state="scrapped"), 0),
        (Wanted(state="blocked"), 0),
        (Wanted(filler="gas-b"), 0),
        (Wanted(kind="lpg_household", gas="lpg"), 2),
    ):
        assert len(await yard.cylinders.find(scope, wanted)) == count, wanted
    assert await yard.cylinders.find(yard.filler("gas-b").scope, Wanted()) == []
