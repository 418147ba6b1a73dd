"""What the registry records of cylinders becomes events, each once."""

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
from tests.support.cylinders import CODE, ZONE, Yard, file_of, open_yard
from tests.support.field_log import REGISTRY, STANDARD
from tests.support.fills import visit
from tests.support.firms import DISTRICT
from tests.support.log_groups import batch


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
