"""Sheets: the verdict of each day to come is that of the rules, whoever holds the device."""

from datetime import UTC, date, datetime, timedelta

from cloud.cylinders.sheets import DAYS, Sheet, Sheets
from cloud.model.cylinder import FurtherCode
from cloud.model.cylinder_records import PermitBody
from protocols.catalog.files import data_root
from protocols.cylinders.base import Permitted, Seen, StationPermits
from protocols.cylinders.load import load_rules
from protocols.cylinders.verdict import fill_verdict
from tests.support.cylinders import CODE, ZONE, Yard, code_of, file_of
from tests.support.firms import DISTRICT, OTHER_DISTRICT

RULES = load_rules(data_root() / "cylinders")


async def sheets(yard: Yard, call: str = "office", text: str | None = None) -> list[Sheet]:
    granted = yard.filler(call=call) if call != "office" else yard.office("cylinders.read")
    own = "gas-a" if call != "office" else ""
    book = Sheets(yard.cylinders, RULES)
    return await book.find(granted.scope, own, text=text, after="", limit=10)


async def test_each_day_has_the_verdict_of_the_rules(yard: Yard) -> None:
    today = datetime.fromtimestamp(yard.clock.wall_ms() / 1000, UTC).astimezone(ZONE).date()
    due = today + timedelta(days=3)
    given = {"inspected_on": str(today - timedelta(days=30)), "inspection_due_on": str(due)}
    made = {"manufactured_on": str(today.replace(day=1) - timedelta(days=900))[:7]}
    tag = FurtherCode("tag_uid", "04A1B2C3")
    file = file_of(1, **given, **made, codes=(tag,))
    await yard.cylinders.register(yard.root("cylinders.write"), CODE, file, DISTRICT)
    last = today + timedelta(days=1)
    body = PermitBody(items=("lpg",), valid_from="2020-01-01", valid_until=str(last))
    await yard.permits.put(yard.root("permits.write"), "gas-a", "filling", "TS-1", body)
    permits = StationPermits(recorded=True, held=(Permitted("lpg", date(2020, 1, 1), last),))
    (sheet,) = await sheets(yard, "cylinders.read", text="04A1B2C3")
    facts = await yard.cylinders.facts(CODE)
    assert facts is not None
    assert (sheet.asset, sheet.codes, sheet.due_on) == (CODE, ("tag_uid:04A1B2C3",), due)
    assert len(sheet.verdicts) == 3, "until the permit ends, the day it is due, and after it"
    for number in range(DAYS):
        day = today + timedelta(days=number)
        told = [one for one in sheet.verdicts if one.since <= day][-1]
        seen = Seen(filler="gas-a", gas="lpg", on=day, permits=permits)
        verdict = fill_verdict(facts, seen, RULES)
        assert told.decision == verdict.decision
        assert [one.reason for one in told.reasons] == [one.reason for one in verdict.reasons]


async def test_everybody_sees_what_is_theirs(yard: Yard) -> None:
    root = yard.root("cylinders.write")
    await yard.cylinders.register(root, code_of(1), file_of(1), OTHER_DISTRICT)
    await yard.cylinders.register(root, code_of(2), file_of(2, filler="gas-b"), DISTRICT)
    assert [one.asset for one in await sheets(yard, "cylinders.read")] == [code_of(1)]
    (looked_after,) = await sheets(yard)
    assert looked_after.asset == code_of(2)
    foreign = {one.reason for one in looked_after.verdicts[0].reasons}
    assert "foreign_filler" not in foreign, "an office judges for the cylinder's own filler"
