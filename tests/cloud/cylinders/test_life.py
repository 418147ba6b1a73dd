"""Inspections, blocks, vehicles, permits and the end of a cylinder."""

from typing import Any

import pytest

from cloud.cylinders.base import Wanted
from cloud.model.cylinder import FurtherCode
from cloud.model.cylinder_records import InspectionReport, PermitBody, VehicleFile
from protocols.cylinders.base import Cylinder, MarkedDate, Vehicle
from protocols.errors import RefuseInput
from tests.support.cylinders import CODE, Yard, code_of, file_of
from tests.support.firms import DISTRICT

TAG, OTHER_TAG = FurtherCode("tag_uid", "04A1B2C3"), FurtherCode("tag_uid", "04FFFFFF")
TODAY = "2026-03-01"


@pytest.fixture
async def yard(yard: Yard) -> Yard:
    """With one cylinder of gas-a, and a body that may inspect its kind; it is 1 March 2026."""
    yard.clock.set_wall(1_772_323_200_000)
    await approve(yard)
    await yard.cylinders.register(yard.filler(), CODE, file_of(codes=(TAG,)), DISTRICT)
    return yard


async def approve(yard: Yard, **fields: Any) -> None:
    given: dict[str, Any] = {
        "items": ("lpg_household",),
        "valid_from": "2024-01-01",
        "valid_until": "2027-12-31",
    }
    body = PermitBody(**{**given, **fields})
    root = yard.root("permits.write")
    await yard.permits.put(root, "body-a", "inspection", "TS-1", body)


async def inspect(yard: Yard, on: str = "2026-02-01", **fields: Any) -> Cylinder:
    report = InspectionReport(**{"inspected_on": on, "result": "passed", **fields})
    await yard.inspections.record(yard.inspector(), CODE, report, "body-a")
    return await facts(yard)


async def facts(yard: Yard, code: str = CODE) -> Cylinder:
    found = await yard.cylinders.facts(code)
    assert found is not None
    return found


async def test_passed_inspection_tells_the_next_and_wants_purging(yard: Yard) -> None:
    found = await inspect(yard, next_due_on="2030-02")
    assert (found.inspected_on, found.inspection_due_on) == (
        MarkedDate(2026, 2, 1),
        MarkedDate(2030, 2),
    )
    assert not found.purged
    await yard.cylinders.take_step(yard.filler(), CODE, "purge", "evacuated")
    assert (await facts(yard)).purged
    older = await inspect(yard, "2025-02-01", next_due_on="2029-02")  # sent late: nothing newer
    assert older.inspected_on == MarkedDate(2026, 2, 1)
    assert older.purged


async def test_failed_inspection_blocks_until_one_is_passed(yard: Yard) -> None:
    failed = await inspect(yard, result="failed", findings=("corrosion",))
    assert (failed.state, failed.inspected_on) == ("blocked", None)
    record = await yard.cylinders.get(CODE, yard.filler().scope)
    assert [one.cause for one in record.blocks] == ["inspection_failed"]
    passed = await inspect(yard, "2026-02-20")
    assert passed.state == "in_use"


async def test_withdrawn_inspection_counts_no_more(yard: Yard) -> None:
    await inspect(yard, next_due_on="2030-02")
    scope = yard.inspector().scope
    [one] = await yard.inspections.of(CODE, scope)
    await yard.inspections.withdraw(yard.inspector(), CODE, one.id, "wrong cylinder")
    assert (await facts(yard)).inspected_on is None
    [one] = await yard.inspections.of(CODE, scope)
    assert (one.withdrawn_by, one.withdrawn_reason) == ("account:7", "wrong cylinder")
    with pytest.raises(RefuseInput, match="is withdrawn"):
        await yard.inspections.withdraw(yard.inspector(), CODE, one.id, "again")
    await inspect(yard)  # the day is free again


async def test_only_the_body_itself_or_an_office_withdraws(yard: Yard) -> None:
    await inspect(yard)
    other = yard.inspector("body-b")
    with pytest.raises(RefuseInput, match="its own body"):
        await yard.inspections.withdraw(other, CODE, 1, "not mine")


async def test_stamp_of_registration_is_the_first_inspection(yard: Yard) -> None:
    other = file_of(1, inspected_on="2025-06", inspection_due_on="2029-06")
    await yard.cylinders.register(yard.filler(), code_of(1), other, DISTRICT)
    [one] = await yard.inspections.of(code_of(1), yard.inspector().scope)
    assert (one.kind, one.inspected_on, one.body) == ("as_registered", "2025-06", "")
    report = InspectionReport(inspected_on="2026-01-05", result="passed")
    await yard.inspections.record(yard.inspector(), code_of(1), report, "body-a")
    newest, _ = await yard.inspections.of(code_of(1), yard.inspector().scope)
    await yard.inspections.withdraw(yard.inspector(), code_of(1), newest.id, "wrong one")
    found = await facts(yard, code_of(1))
    assert (found.inspected_on, found.inspection_due_on) == (
        MarkedDate(2025, 6),
        MarkedDate(2029, 6),
    )


async def test_life_is_extended_once(yard: Yard) -> None:
    extended = await inspect(yard, kind="assessment", life_extended=True)
    assert extended.life_extended
    assert extended.inspected_on is None  # an assessment is no periodic inspection
    with pytest.raises(RefuseInput, match="granted once before"):
        await inspect(yard, "2026-02-15", life_extended=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"inspected_on": "2026-03-02"}, "today at the latest"),
        ({"inspected_on": "2024-02-28"}, "when it was made"),
        ({"inspected_on": "2026-02-30"}, "expected a day"),
        ({"next_due_on": "2026-01"}, "after the inspection"),
        ({"next_due_on": "2026-13"}, "a day of the calendar"),
        ({"result": "failed", "life_extended": True}, "a passed inspection"),
    ],
)
async def test_inspection_that_cannot_be_is_refused(
    yard: Yard, fields: dict[str, Any], expected: str
) -> None:
    with pytest.raises(RefuseInput, match=expected):
        await inspect(yard, **{"on": "2026-02-01", **_renamed(fields)})
    assert await yard.inspections.of(CODE, yard.inspector().scope) == []


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"on" if name == "inspected_on" else name: value for name, value in fields.items()}


async def test_same_inspection_twice_is_refused(yard: Yard) -> None:
    await inspect(yard)
    with pytest.raises(RefuseInput, match="already_there"):
        await inspect(yard)


@pytest.mark.parametrize(
    "approval",
    [
        {"items": ("steel_seamless",)},
        {"valid_until": "2026-01-31"},
        {"valid_from": "2026-02-02"},
        {"state": "suspended", "reason": "audit"},
    ],
)
async def test_body_inspects_only_within_its_approval(yard: Yard, approval: dict[str, Any]) -> None:
    await approve(yard, **approval)
    with pytest.raises(RefuseInput, match="expected an approval for lpg_household"):
        await inspect(yard)


async def test_filler_is_no_inspection_body(yard: Yard) -> None:
    report = InspectionReport(inspected_on="2026-02-01", result="passed")
    with pytest.raises(RefuseInput, match="expected an active inspection_body"):
        await yard.inspections.record(yard.root("cylinders.inspect"), CODE, report, "gas-a")


async def test_codes_that_disagree_block_until_a_person_says_why(yard: Yard) -> None:
    await yard.cylinders.register(
        yard.filler(), code_of(1), file_of(1, codes=(OTHER_TAG,)), DISTRICT
    )
    filler = yard.filler(call="cylinders.report")
    stamp = FurtherCode(*CODE.split(":"))
    told, blocked = await yard.cylinders.read_together(filler, [stamp, TAG])
    assert (told, blocked) == ([CODE], [])
    told, blocked = await yard.cylinders.read_together(filler, [stamp, OTHER_TAG])
    assert sorted(told) == sorted(blocked) == sorted([CODE, code_of(1)])
    assert (await facts(yard)).state == "blocked"
    asset = await yard.registry.get(CODE)
    assert asset is not None
    assert [one.reason for one in asset.findings] == ["codes_disagree"]
    assert str(OTHER_TAG) in asset.findings[0].detail
    await yard.cylinders.read_together(filler, [stamp, OTHER_TAG])  # read again: blocked once
    record = await yard.cylinders.get(CODE, filler.scope)
    [block] = record.blocks
    lifter = yard.filler(call="cylinders.resolve")
    after = await yard.cylinders.lift(lifter, CODE, block.id, "tags were swapped, put right")
    assert (after.state, after.blocks[0].lifted_reason) == (
        "in_use",
        "tags were swapped, put right",
    )
    with pytest.raises(RefuseInput, match="is lifted"):
        await yard.cylinders.lift(lifter, CODE, block.id, "again")
    history = await yard.cylinders.history(CODE, filler.scope)
    assert [one.what for one in history] == ["unblocked", "blocked", "registered"]


async def test_nobody_blocks_a_stranger_by_a_code(yard: Yard) -> None:
    theirs = yard.filler("gas-b", "cylinders.report")
    await yard.cylinders.register(
        yard.filler("gas-b"), code_of(1), file_of(1, filler="gas-b", codes=(OTHER_TAG,))
    )
    told, blocked = await yard.cylinders.read_together(theirs, [TAG, OTHER_TAG])
    assert (told, blocked) == ([code_of(1)], [code_of(1)])  # nor is CODE told of
    assert (await facts(yard)).state == "in_use"
    for code in (CODE, code_of(1)):
        asset = await yard.registry.get(code)
        assert asset is not None
        assert [one.reason for one in asset.findings] == ["codes_disagree"]
    stranger = yard.filler("gas-b", "cylinders.report")
    told, blocked = await yard.cylinders.read_together(
        stranger, [TAG, FurtherCode(*CODE.split(":"))]
    )
    assert (told, blocked) == ([], [])


async def test_what_an_office_blocks_an_office_lifts(yard: Yard) -> None:
    office = yard.office("cylinders.block")
    record = await yard.cylinders.block(office, CODE, "recall of its valve")
    assert record.state == "blocked"
    with pytest.raises(RefuseInput, match="blocked by an authority"):
        await yard.cylinders.block(office, CODE, "once more")
    with pytest.raises(RefuseInput, match="whoever may block"):
        await yard.cylinders.lift(yard.filler(call="cylinders.resolve"), CODE, 1, "we looked")
    lifted = await yard.cylinders.lift(yard.office("cylinders.resolve"), CODE, 1, "replaced")
    assert lifted.state == "in_use"


async def test_scrapped_is_for_ever_and_its_codes_are_never_used_again(yard: Yard) -> None:
    scrapper = yard.filler(call="cylinders.scrap")
    record = await yard.cylinders.scrap(scrapper, CODE, "crushed", TODAY, "王五", "burnt")
    assert (record.state, record.scrapped_how, record.scrapped_on, record.scrapped_by) == (
        "scrapped",
        "crushed",
        TODAY,
        "王五",
    )
    assert (await facts(yard)).state == "scrapped"
    assert (await facts(yard)).tag_uids == ()
    file, new = file_of(codes=(TAG,)), file_of(1, codes=(TAG,))
    write, report = yard.filler(), yard.filler(call="cylinders.report")
    for call in (
        yard.cylinders.register(write, CODE, file),
        yard.cylinders.register(write, code_of(1), new),
        yard.cylinders.register(write, code_of(1), file_of()),
        yard.cylinders.take_step(report, CODE, "lose", "gone"),
        yard.cylinders.transfer(write, CODE, "gas-b", "sold"),
        yard.cylinders.scrap(scrapper, CODE, "cut", TODAY, "王五", "again"),
        yard.cylinders.block(yard.office("cylinders.block"), CODE, "why"),
        inspect(yard),
    ):
        with pytest.raises(RefuseInput) as caught:
            await call
        assert caught.value.reason in ("wrong_state", "code_taken", "registered_twice")
    history = await yard.cylinders.history(CODE, write.scope)
    assert "王五" not in str(history)  # the file says who, and forgets it after its term
    told, blocked = await yard.cylinders.read_together(report, [TAG])
    assert (told, blocked) == ([CODE], [])
    assert len(await yard.cylinders.find(write.scope, Wanted(state="scrapped"))) == 1


async def test_lost_is_found_and_taken_out_is_put_back(yard: Yard) -> None:
    report, write = yard.filler(call="cylinders.report"), yard.filler()
    for step, state in (
        ("lose", "lost"),
        ("find", "in_use"),
        ("take-out", "out_of_use"),
        ("put-back", "in_use"),
    ):
        granted = report if step in ("lose", "find") else write
        record = await yard.cylinders.take_step(granted, CODE, step, "why")  # type: ignore[arg-type]
        assert record.state == state
        assert (await facts(yard)).state == state
    for step in ("find", "put-back", "purge"):
        with pytest.raises(RefuseInput, match="wrong_state"):
            await yard.cylinders.take_step(write, CODE, step, "why")  # type: ignore[arg-type]


async def test_change_of_a_vehicle_is_a_change_of_its_tanks(yard: Yard) -> None:
    root, file = yard.root("cylinders.write"), VehicleFile(plate="吉B12345", taxi=True)
    _, new = await yard.vehicles.put(root, "LFV2A21K", file)
    assert new
    tank = file_of(1, vehicle="LFV2A21K", kind="vehicle_cng_steel", gas="cng", use_registration="")
    await yard.cylinders.register(root, code_of(1), tank, DISTRICT)
    found = await facts(yard, code_of(1))
    assert found.vehicle == Vehicle(taxi=True)
    assert not found.use_registered
    cursor = (await yard.cylinders.changed_since(0, "gas-b", vehicles=True)).cursor
    later = VehicleFile(
        plate="吉B12345",
        taxi=True,
        use_registration="U-1",
        certificate_valid_until="2027-01",
        scrapped_on="2026-02-01",
    )
    _, new = await yard.vehicles.put(root, "LFV2A21K", later)
    assert not new
    page = await yard.cylinders.changed_since(cursor, "gas-b", vehicles=True)
    [found] = page.cylinders
    assert found.use_registered
    assert found.vehicle == Vehicle(
        taxi=True,
        use_registered=True,
        certificate_valid_until=MarkedDate(2027, 1),
        scrapped=True,
    )
    assert (await yard.cylinders.changed_since(cursor, "gas-b")).cylinders == ()
    history = await yard.cylinders.history(code_of(1), root.scope)
    assert history[0].what == "vehicle_changed"
    assert "吉B" not in str(history)


async def test_vehicle_of_somebody_else_is_not_there(yard: Yard) -> None:
    await yard.vehicles.put(yard.filler(), "V-1", VehicleFile(plate="吉B12345"))
    read = yard.filler("gas-b", "cylinders.read")
    with pytest.raises(RefuseInput, match="not_found"):
        await yard.vehicles.get("V-1", read.scope)
    with pytest.raises(RefuseInput, match="not_found"):
        await yard.vehicles.put(yard.filler("gas-b"), "V-1", VehicleFile(plate="吉B1"))
    assert (await yard.vehicles.get("V-1", yard.office("cylinders.read").scope)).plate == "吉B12345"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"valid_until": "2023-12-31"}, "2024-01-01 or later"),
        ({"valid_from": "2024-02-30"}, "a day"),
        ({"state": "revoked"}, "why it is revoked"),
    ],
)
async def test_permit_that_cannot_be_is_refused(
    yard: Yard, fields: dict[str, Any], expected: str
) -> None:
    with pytest.raises(RefuseInput, match=expected):
        await approve(yard, **fields)


async def test_permits_are_listed_by_organisation_and_kind(yard: Yard) -> None:
    body = PermitBody(items=("lpg", "argon"), valid_from="2024-01-01", valid_until="2027-12-31")
    office = yard.office("permits.write")
    permit = await yard.permits.put(office, "gas-a", "filling", "TS-2", body)
    assert permit.items == ("argon", "lpg")
    assert permit.covers("lpg", TODAY)
    assert await yard.permits.find(organisation="gas-a", kind="filling") == [permit]
    assert len(await yard.permits.find()) == 2
    with pytest.raises(RefuseInput, match="not_found"):
        await yard.permits.put(office, "body-a", "filling", "TS-3", body)


async def test_others_hear_what_must_not_be_filled_and_what_may_again(yard: Yard) -> None:
    """A snapshot of gas-b holds none of gas-a's files, only which of them are shut."""
    await yard.cylinders.register(yard.filler(), code_of(1), file_of(1), DISTRICT)
    await yard.cylinders.register(yard.filler(), code_of(2), file_of(2), DISTRICT)
    await yard.cylinders.block(yard.office("cylinders.block"), CODE, "recall")
    report = yard.filler(call="cylinders.report")
    await yard.cylinders.take_step(report, code_of(1), "lose", "gone")
    whole = await yard.cylinders.changed_since(0, "gas-b")
    assert (whole.cylinders, whole.gone) == ((), ())
    assert (whole.denied, whole.admitted) == ({CODE: "blocked", code_of(1): "lost"}, ())
    assert (await yard.cylinders.changed_since(0, "gas-a")).denied == {}
    await yard.cylinders.lift(yard.office("cylinders.resolve"), CODE, 1, "new valve")
    await yard.cylinders.take_step(report, code_of(1), "find", "in the yard")
    scrapper = yard.filler(call="cylinders.scrap")
    await yard.cylinders.scrap(scrapper, code_of(2), "cut", TODAY, "王五", "burnt")
    page = await yard.cylinders.changed_since(whole.cursor, "gas-b")
    assert page.denied == {code_of(2): "scrapped"}
    assert page.admitted == tuple(sorted((CODE, code_of(1))))
    await yard.cylinders.block(yard.office("cylinders.block"), CODE, "once more")
    await yard.cylinders.transfer(yard.filler(), CODE, "gas-b", "sold")
    page = await yard.cylinders.changed_since(page.cursor, "gas-b")
    assert [(one.code, one.state) for one in page.cylinders] == [(CODE, "blocked")]
    assert (page.denied, page.admitted) == ({}, (CODE,))
