"""What the registry records of cylinders becomes events, each once."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import pytest
from sqlalchemy import func, select

from cloud.cylinders.fills import FillKeeper
from cloud.model.cursors import save_positions
from cloud.model.trace_tables import trace_event
from cloud.trace.cylinders.event import CylinderMapper
from cloud.trace.cylinders.keep import NAME, CylinderEvents, is_behind
from cloud.trace.cylinders.steps import load_cylinder_steps
from protocols.clock import ManualClock
from protocols.records import Code, Record, Scan, Verdict
from tests.support.cylinders import CODE, ZONE, Yard, code_of, file_of, open_yard
from tests.support.field_log import REGISTRY, STANDARD, ListLog, follow
from tests.support.fills import visit
from tests.support.firms import DISTRICT
from tests.support.log_groups import NOON_MS, batch


@pytest.fixture
async def yard(database_url: str) -> AsyncIterator[Yard]:
    yard = await open_yard(database_url, ManualClock())
    yield yard
    yard.database.close()


class Events:
    def __init__(self, yard: Yard) -> None:
        self.yard, self.counted = yard, Counter[str]()
        mapper = CylinderMapper(
            load_cylinder_steps(STANDARD), standard=STANDARD, registry=REGISTRY, zone=ZONE
        )
        self._events = CylinderEvents(
            yard.database,
            mapper,
            standard=STANDARD,
            clock=yard.clock,
            count=lambda one: self.counted.update([one]),
        )

    def take(self) -> int:
        while self.yard.database.write_now(self._events.take):
            pass
        count = select(func.count()).select_from(trace_event)
        return int(self.yard.database.read_now(lambda c: c.execute(count).scalar_one()))

    def forget(self) -> None:
        places = {"change": 0, "fill": 0}
        self.yard.database.write_now(lambda c: save_positions(c, NAME, places))


async def test_a_life_becomes_events_once_each(yard: Yard) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(), DISTRICT)
    keeper = FillKeeper(yard.clock, zone=ZONE, count=lambda _: None)
    events = Events(yard)
    records = visit(10)
    for number, record in enumerate(reversed(records), 1):
        one = [batch(record, seq=number)]
        yard.database.write_now(partial(keeper.keep, batches=one))
        events.take()
    await yard.cylinders.scrap(
        yard.filler(call="cylinders.scrap"), CODE, "crushed", "2025-11-20", "x", "old"
    )
    assert events.take() == 3
    assert events.counted["stored"] == 3
    assert events.counted["event_id_taken"] == 0
    assert not yard.database.read_now(is_behind)
    events.forget()
    assert yard.database.read_now(is_behind)
    assert events.take() == 3
    assert events.counted["duplicate"] >= 3


async def test_a_scan_at_a_gate_and_its_fill_record_are_one_filling(yard: Yard) -> None:
    cylinders = [code_of(number) for number in range(1, 4)]
    records: list[Record] = []
    for number, code in enumerate(cylinders, 1):
        await yard.cylinders.register(yard.filler(), code, file_of(number), DISTRICT)
        named = [Code("cylinder", code.partition(":")[2])]
        verdict = Verdict("fill")
        scan = Scan(reader="fill-1", at=NOON_MS, codes=named, step="filling", verdict=verdict)
        records += [scan, *visit(100 * number, asset=code)]
    keeper, events = FillKeeper(yard.clock, zone=ZONE, count=lambda _: None), Events(yard)
    before = events.take()
    batches = [batch(one, seq=seq) for seq, one in enumerate(records, 101)]
    random.Random(7).shuffle(batches)
    for one in (*batches, *batches):  # each comes twice
        yard.database.write_now(partial(keeper.keep, batches=[one]))
        events.take()
    outcomes = Counter[str]()
    await follow(ListLog(batches), yard.database, lambda one: outcomes.update([one]))
    assert outcomes == {"fill": len(cylinders)}
    assert events.take() == before + len(cylinders)
