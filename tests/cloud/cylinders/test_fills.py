"""Fillings are joined from their records in any order, each once; the cylinder knows of them."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from cloud.cylinders.base import WantedDecisions, WantedFills
from cloud.cylinders.fills import FillKeeper
from cloud.cylinders.find_fills import Fills, fills_changed
from cloud.model.cylinder_records import InspectionReport, PermitBody
from cloud.model.cylinder_tables import cylinder
from cloud.model.fill_tables import cylinder_fill, cylinder_fill_step
from cloud.model.logged import LoggedBatch
from cloud.model.principal import EVERYTHING, Granted
from protocols.errors import RefuseInput
from protocols.records import Fill, FillReason
from tests.support.cylinders import CODE, ZONE, Yard, file_of
from tests.support.fills import GATE, day_of, step, visit
from tests.support.firms import DISTRICT
from tests.support.log_groups import DAY_MS, NOON_MS, batch


class Keeper:
    """The consumer's body over the registry's database."""

    def __init__(self, yard: Yard) -> None:
        self.yard, self.counted = yard, Counter[str]()
        self._keeper = FillKeeper(
            yard.clock, zone=ZONE, count=lambda one: self.counted.update([one])
        )

    def take(self, *batches: LoggedBatch) -> None:
        self.yard.database.write_now(lambda c: self._keeper.keep(c, batches))

    def fills(self) -> list[dict[str, Any]]:
        query = select(cylinder_fill).order_by(cylinder_fill.c.opening)
        rows = self.yard.database.read_now(lambda c: c.execute(query).mappings().all())
        return [dict(row) for row in rows]

    def file(self) -> dict[str, Any]:
        query = select(cylinder).where(cylinder.c.asset_id == CODE)
        return dict(self.yard.database.read_now(lambda c: c.execute(query).mappings().one()))


@pytest.fixture
def keeper(yard: Yard) -> Keeper:
    return Keeper(yard)


def batches(records: Sequence[Fill]) -> list[LoggedBatch]:
    return [batch(one, seq=seq) for seq, one in enumerate(records, 1)]


async def test_the_records_of_a_visit_are_one_filling(yard: Yard, keeper: Keeper) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    keeper.take(batch(*visit(10)))
    (fill,) = keeper.fills()
    assert (fill["state"], fill["asset_id"], fill["opening"]) == ("filled", CODE, 11)
    assert (fill["before_kg"], fill["after_kg"], fill["net_kg"]) == (17.0, 31.0, 14.0)
    assert (fill["ended_by"], fill["decision"], fill["limit_kg"]) == ("full", "fill", 31.4)
    assert (fill["began_at"], fill["ended_at"]) == (NOON_MS + 1_000, NOON_MS + 61_000)
    assert keeper.file()["last_filled_on"] == fill["filled_on"] == day_of(NOON_MS)
    (told, *_) = await yard.cylinders.history(CODE, yard.filler(call="cylinders.read").scope)
    assert (told.what, told.by) == ("filled", "gateway:gw-1")


async def test_any_order_and_any_repetition_come_to_the_same(yard: Yard, keeper: Keeper) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    made = batches(visit(10)[1:])
    expected: dict[str, Any] | None = None
    for order in itertools.permutations(made):
        yard.database.write_now(
            lambda c: [c.execute(t.delete()) for t in (cylinder_fill, cylinder_fill_step)]
        )
        for one in order:
            keeper.take(one)
        keeper.take(*order)
        (fill,) = keeper.fills()
        fill = {name: value for name, value in fill.items() if name not in ("id", "change")}
        expected = expected or fill
        assert fill == expected
    assert keeper.counted["duplicate"] == keeper.counted["weighed"] * 4


async def test_days_move_on_alone_whatever_comes_late(yard: Yard, keeper: Keeper) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(last_filled_on="2025-01-01"))
    days = [NOON_MS - n * DAY_MS for n in range(6)]
    visits = [batch(*visit(10 * n, at=at), seq=n) for n, at in enumerate(days, 1)]
    random.Random(7).shuffle(visits)
    keeper.take(*visits[:3])
    keeper.take(*visits[3:])
    assert keeper.file()["last_filled_on"] == day_of(NOON_MS)
    assert len(keeper.fills()) == 6


@pytest.mark.parametrize(
    ("records", "state", "counts"),
    [
        (visit(10)[:2], "open", False),
        (visit(10)[:3], "ended", False),
        (visit(10, after_kg=17.2), "empty", False),
        ([step("interrupted", 12, opening=11)], "interrupted", False),
        ([step("interrupted", 12, asset="")], "interrupted", False),
        ([step("without_verdict", 12, after_kg=30.0)], "without_verdict", False),
        ([step("weighed", 12, opening=11, faults=["overfill_untold"])], "filled", True),
    ],
)
async def test_what_became_of_a_filling(
    yard: Yard, keeper: Keeper, records: list[Fill], state: str, counts: bool
) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    keeper.take(batch(*records))
    assert [one["state"] for one in keeper.fills()] == [state]
    assert (keeper.file()["last_filled_on"] is not None) == counts


async def test_a_refusal_is_kept_and_no_filling(yard: Yard, keeper: Keeper) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    keeper.take(batch(step("decided", 5, decision="do_not_fill")))
    assert keeper.fills() == []
    assert keeper.counted == {"decided": 1}


async def test_faults_and_who_overruled_are_told(yard: Yard, keeper: Keeper) -> None:
    records = visit(10, faults=["overfilled"])
    records.append(step("cleared", 20, opening=11, operator="boss", why="overfilled"))
    keeper.take(batch(*records))
    (fill,) = keeper.fills()
    assert (fill["faults"], fill["cleared_by"]) == ('["overfilled"]', "boss")


async def test_an_unknown_cylinder_is_kept_and_counts_once_it_is_registered(
    yard: Yard, keeper: Keeper
) -> None:
    keeper.take(batch(*visit(10)))
    assert keeper.counted["unknown_cylinder"] == 1
    assert len(keeper.fills()) == 1
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    assert keeper.file()["last_filled_on"] == day_of(NOON_MS)


async def test_a_day_that_has_not_come_counts_for_nothing(yard: Yard, keeper: Keeper) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    keeper.take(batch(*visit(10, at=NOON_MS + 3 * DAY_MS)))
    assert keeper.file()["last_filled_on"] is None
    keeper.take(batch(*visit(20, judged_on="2099-01-01"), seq=2, offset_ms=0, placing="unknown"))
    assert keeper.file()["last_filled_on"] is None


async def test_texts_too_long_are_cut_and_stop_nothing(yard: Yard, keeper: Keeper) -> None:
    long = "x" * 5_000
    keeper.take(batch(*visit(10, operator=long, filler=long, gas="\0" + long, rules_version=long)))
    (fill,) = keeper.fills()
    assert len(fill["operator"]) == 128


async def seen(yard: Yard, granted: Granted, **asked: Any) -> list[tuple[str, int]]:
    found = await Fills(yard.database).find(granted.scope, WantedFills(**asked))
    return [(one.filler, one.opening) for one in found]


async def test_a_filling_is_seen_with_its_cylinder_and_by_who_filled(
    yard: Yard, keeper: Keeper
) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(), DISTRICT)
    keeper.take(batch(*visit(10), *visit(20, filler="gas-b", at=NOON_MS - DAY_MS)))
    keeper.take(batch(*visit(30, asset="cylinder:NOBODYS", filler="gas-b"), seq=2))
    own, foreign, unknown = ("gas-a", 11), ("gas-b", 21), ("gas-b", 31)
    read = "cylinders.read"
    assert await seen(yard, yard.filler(call=read)) == [own, foreign]
    assert await seen(yard, yard.filler("gas-b", read)) == [unknown, foreign]
    assert await seen(yard, yard.filler("shop", read)) == []
    assert await seen(yard, yard.office(read)) == [unknown, own, foreign]
    elsewhere = yard.who(read, "office", "regulator", districts=frozenset({"220203"}))
    assert await seen(yard, elsewhere) == []
    assert await seen(yard, yard.root(read), known=False) == [unknown]
    assert await seen(yard, yard.root(read), asset_id=CODE, filler="gas-b") == [foreign]
    assert await seen(yard, yard.root(read), since=NOON_MS, limit=1) == [unknown]
    (last,) = await Fills(yard.database).find(EVERYTHING, WantedFills(limit=1))
    assert await seen(yard, yard.root(read), before=(last.began_at, last.id)) == [own, foreign]
    assert await seen(yard, yard.root(read), fault="overfilled") == []


async def test_a_filling_without_a_permit_is_found(yard: Yard, keeper: Keeper) -> None:
    keeper.take(batch(*visit(10)), batch(*visit(20)[:2], seq=2))
    read = "cylinders.read"
    assert await seen(yard, yard.root(read), permitted=False) == [("gas-a", 11)]
    body = PermitBody(items=("dme", "lpg"), valid_from="2020-01-01", valid_until="2030-01-01")
    await yard.permits.put(yard.root("permits.write"), "gas-a", "filling", "1", body)
    found = await Fills(yard.database).find(EVERYTHING, WantedFills())
    assert {one.opening: one.permitted for one in found} == {11: True, 21: None}
    assert await seen(yard, yard.root(read), permitted=False) == []


def refusals(keeper: Keeper) -> None:
    """What gates decided: two of gas-a's own cylinder, one of nobody's at gas-b, and the last."""
    overdue = FillReason("inspection_overdue", "do_not_fill", "due 2025-03-31")
    foreign = FillReason("foreign_filler", "do_not_fill", "of gas-a")
    open_ = FillReason("check_open", "cannot_decide", "colour")
    shut: dict[str, Any] = {"decision": "do_not_fill", "reasons": [overdue, foreign]}
    later: dict[str, Any] = {"at": NOON_MS + 1, "decision": "cannot_decide", "reasons": [open_]}
    unknown: dict[str, Any] = {"asset": "", "filler": "gas-b", "at": NOON_MS - DAY_MS}
    keeper.take(
        batch(
            step("decided", 1, at=NOON_MS, **shut),
            step("decided", 2, **later),
            step("decided", 3, **unknown, decision="cannot_decide"),
            *visit(10, at=NOON_MS - 1, filler="gas-b"),
        )
    )


async def decided(yard: Yard, granted: Granted, **asked: Any) -> list[int]:
    found = await Fills(yard.database).decisions(granted.scope, WantedDecisions(**asked))
    return [one.number for one in found]


async def test_what_gates_decided_is_found_with_all_reasons(yard: Yard, keeper: Keeper) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(), DISTRICT)
    refusals(keeper)
    root, read = yard.root("cylinders.read"), "cylinders.read"
    assert await decided(yard, root) == [2, 1, 10, 3]
    assert await decided(yard, root, refused=True) == [2, 1, 3]
    assert await decided(yard, root, decision="do_not_fill") == [1]
    assert await decided(yard, root, reason="foreign_filler") == [1]
    assert await decided(yard, root, since=NOON_MS) == [2, 1]
    assert await decided(yard, root, asset_id=CODE, filler="gas-b", gate=GATE) == [10]
    assert await decided(yard, yard.filler(call=read)) == [2, 1, 10], "of its own cylinder"
    assert await decided(yard, yard.filler("gas-b", read)) == [10, 3], "of its own gates"
    assert await decided(yard, yard.filler("shop", read)) == []
    assert await decided(yard, yard.office(read)) == [2, 1, 10, 3]
    asked = WantedDecisions(decision="do_not_fill")
    (one,) = await Fills(yard.database).decisions(root.scope, asked)
    assert [(each.reason, each.found) for each in one.reasons] == [
        ("inspection_overdue", "due 2025-03-31"),
        ("foreign_filler", "of gas-a"),
    ]
    assert (one.known, one.operator, one.rules_version) == (True, "op-7", "r1")


async def test_decisions_are_read_on_page_by_page(yard: Yard, keeper: Keeper) -> None:
    refusals(keeper)
    fills, found, before = Fills(yard.database), list[int](), ""
    for _ in range(4):
        asked = WantedDecisions(limit=1, before=before or None)
        (one,) = await fills.decisions(EVERYTHING, asked)
        found.append(one.number)
        before = one.key
    assert found == [2, 1, 10, 3]
    assert await fills.decisions(EVERYTHING, WantedDecisions(before=before)) == []
    for wrong in ("1", "x~gw~a~data~1~1", f"{before}~1"):
        with pytest.raises(RefuseInput, match="before"):
            await fills.decisions(EVERYTHING, WantedDecisions(before=wrong))


async def test_what_changed_is_read_on_from_a_number(yard: Yard, keeper: Keeper) -> None:
    keeper.take(batch(*visit(10)[:2]), batch(*visit(20), seq=2))
    first = yard.database.read_now(lambda c: fills_changed(c, 0, 10))
    assert [(one.opening, one.state) for one in first] == [(11, "open"), (21, "filled")]
    keeper.take(batch(*visit(10)[2:], seq=3))
    (again,) = yard.database.read_now(lambda c: fills_changed(c, first[-1].change, 10))
    assert (again.opening, again.state, again.known) == (11, "filled", False)


async def inspected(yard: Yard, on: str) -> None:
    body = PermitBody(items=("lpg_household",), valid_from="2020-01-01", valid_until="2030-01-01")
    await yard.permits.put(yard.root("permits.write"), "body-a", "inspection", "1", body)
    report = InspectionReport(inspected_on=on, result="passed")
    await yard.inspections.record(yard.inspector(), CODE, report, "body-a")


@pytest.mark.parametrize(("days_after", "purged"), [(-1, False), (0, False), (1, True)])
async def test_a_purge_counts_after_the_inspection_alone(
    yard: Yard, keeper: Keeper, days_after: int, purged: bool
) -> None:
    at = NOON_MS - 5 * DAY_MS
    await yard.cylinders.register(yard.filler(), CODE, file_of(), DISTRICT)
    told = step("decided", 5, at=at + days_after * DAY_MS, checks={"purged": True})
    if days_after % 2:
        keeper.take(batch(told))
    await inspected(yard, day_of(at))
    keeper.take(batch(told, seq=2))
    assert keeper.file()["purged"] == purged


async def test_a_purge_that_others_tell_of_counts_for_nothing(yard: Yard, keeper: Keeper) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(), DISTRICT)
    await inspected(yard, day_of(NOON_MS - 5 * DAY_MS))
    keeper.take(batch(*visit(10, filler="gas-b", checks={"purged": True})))
    keeper.take(batch(*visit(20), seq=2))
    assert not keeper.file()["purged"]
    keeper.take(batch(*visit(30, checks={"purged": True}), seq=3))
    assert keeper.file()["purged"]
