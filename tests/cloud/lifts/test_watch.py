"""The daily watch and the record of rescues, over real databases and the real alarm desk."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, select, text

from cloud.alarms.desk import AlarmDesk
from cloud.feed.store import FeedStore
from cloud.lifts.append import Author
from cloud.lifts.book import LiftBook
from cloud.lifts.cases import CaseList
from cloud.lifts.rescues import rescue_recorder
from cloud.lifts.watch import LiftWatch
from cloud.model.database import Database
from cloud.model.granting import grant
from cloud.model.incident import Incident
from cloud.model.lift import LiftEntry, WantedLifts
from cloud.model.principal import EVERYTHING
from cloud.model.tables import alarm as alarm_table
from cloud.organisations.book import OrganisationBook
from cloud.registry.assets import AssetRegistry
from cloud.trust import signing
from protocols.clock import ManualClock
from protocols.lifts.base import Contract
from protocols.lifts.load import load_calendar
from protocols.lifts.records import Draft, Signer
from protocols.lifts.watch import load_lift_terms
from tests.support.firms import ROOT
from tests.support.http_services import ZONE, open_lifts
from tests.support.state_database import open_state

LIFT = "elevator:31102202022026010017"
ME = Author("account:7", "firm-m")
WORKER = (Signer(role="worker", name="张保"),)


@dataclass
class Hall:
    """A watch over lifts, with all it needs."""

    database: Database
    clock: ManualClock
    book: LiftBook
    watch: LiftWatch
    cases: CaseList

    def to(self, day: str) -> None:
        """Go to noon of a day in the city."""
        noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZONE)
        self.clock.set_wall(int(noon.astimezone(UTC).timestamp() * 1_000))

    def write(self, draft: Draft) -> None:
        """Write an entry."""
        self.database.write_now(lambda c: self.book.recorder.append(c, LIFT, draft, ME))

    def alarms(self) -> list[tuple[str, str]]:
        """Return (alert, state) of all alarms ever, in their order."""
        column = alarm_table.c
        query = select(column.alert, column.state).order_by(column.id)
        return [tuple(row) for row in self.database.read_now(lambda c: c.execute(query).all())]

    def feed(self) -> int:
        """Return the number of changes of alarms that were told."""
        query = text("SELECT count(*) FROM feed")
        return self.database.read_now(lambda c: int(c.execute(query).scalar_one()))


@pytest.fixture
async def hall(database_url: str, tmp_path: Path) -> AsyncIterator[Hall]:
    database, clock = open_state(database_url), ManualClock()
    registry, organisations = AssetRegistry(database, clock), OrganisationBook(database, clock)
    book = open_lifts(database, clock, registry, organisations, tmp_path).lifts
    assert isinstance(book, LiftBook)
    feed = FeedStore(database, clock)
    desk = AlarmDesk(
        database=database, clock=clock, append_feed=feed.append, on_commit=feed.committed
    )
    terms = load_lift_terms()
    watch = LiftWatch(
        database,
        clock,
        zone=ZONE,
        rules=load_calendar(),
        terms=terms,
        apply=desk.apply,
        on_commit=feed.committed,
    )
    made = Hall(database, clock, book, watch, CaseList(database, terms))
    made.to("2024-03-20")
    await book.put(grant(ROOT, "lifts.write"), LIFT, entry())
    yield made
    database.close()


def entry() -> LiftEntry:
    return LiftEntry(
        rescue_code="220001",
        used_since=date(2024, 3, 15),
        supervised_on=date(2024, 3, 10),
        contracts=(Contract(from_=date(2024, 3, 1), until=date(2025, 3, 20)),),
    )


def maintained(day: str, level: str) -> Draft:
    on = date.fromisoformat(day)
    return Draft(kind="maintenance", on=on, fields={"level": level}, signers=WORKER)


async def test_what_is_overdue_is_raised_once_and_ends_when_it_is_done(hall: Hall) -> None:
    assert await hall.watch.look() == 1
    assert hall.alarms() == []
    hall.to("2024-03-31")
    for _ in range(3):
        await hall.watch.look()
    assert hall.alarms() == [("LiftMaintenanceOverdue", "unacknowledged")]
    told = hall.feed()
    (case,) = await hall.cases.find(EVERYTHING)
    assert (case.kind, case.day, case.facts["level"]) == ("maintenance", "2024-03-30", "half_month")
    hall.write(maintained("2024-03-31", "half_month"))
    assert await hall.watch.look() == 1
    assert hall.alarms() == [("LiftMaintenanceOverdue", "return_to_normal_unacknowledged")]
    assert await hall.cases.find(EVERYTHING) == []
    assert len(await hall.cases.find(EVERYTHING, ended=True)) == 1
    assert hall.feed() == told + 1


async def test_each_kind_of_overdue_has_its_alarm(hall: Hall) -> None:
    hall.to("2025-04-01")
    await hall.watch.look()
    alerts = {alert for alert, _ in hall.alarms()}
    assert alerts == {
        "LiftInspectionOverdue",
        "LiftMaintenanceOverdue",
        "LiftRegistrationMissing",
        "LiftContractEnded",
    }
    days = {one.kind: one.day for one in await hall.cases.find(EVERYTHING)}
    assert days == {
        "inspection": "2025-03-31",
        "maintenance": "2024-03-30",
        "registration": "2024-04-14",
        "contract": "2025-03-20",
    }
    due = await hall.cases.due(EVERYTHING, WantedLifts(), date(2024, 3, 30))
    assert [one.asset_id for one in due] == [LIFT]
    file = msgspec.structs.replace(entry(), certificate="T1", contracts=())
    await hall.book.put(grant(ROOT, "lifts.write"), LIFT, file)
    hall.write(maintained("2025-04-01", "yearly"))
    await hall.watch.look()
    standing = {one.kind for one in await hall.cases.find(EVERYTHING)}
    assert standing == {"inspection", "contract"}
    assert len(hall.alarms()) == 4


async def test_watch_of_another_process_raises_nothing_twice(hall: Hall) -> None:
    hall.to("2025-04-01")
    hall.database.write_now(hall.watch._look_at_page)
    hall.database.write_now(lambda c: c.execute(text("UPDATE lift SET judged_on = ''")))
    hall.database.write_now(hall.watch._look_at_page)
    assert len(hall.alarms()) == 4
    assert len(await hall.cases.find(EVERYTHING)) == 4


async def test_beyond_the_days_number_cases_are_no_alarms(hall: Hall) -> None:
    hall.watch._terms = msgspec.structs.replace(load_lift_terms(), alarms_a_day=1)
    for number in range(3):
        await hall.book.put(grant(ROOT, "lifts.write"), f"elevator:E{number}", entry())
    hall.to("2024-04-01")
    await hall.watch.look()
    assert [one.alarm for one in await hall.cases.find(EVERYTHING)].count(True) == 1
    assert hall.alarms() == [("LiftMaintenanceOverdue", "unacknowledged")]


def incident(**fields: object) -> Incident:
    noon = 1_772_337_600_000  # 2026-03-01 12:00 in the city
    made = Incident(
        id=1,
        number="R20260301-0001",
        asset=LIFT,
        state="closed",
        source="alarm",
        evidence="alarm_button",
        people=2,
        detected_at=noon,
        arrived_at=noon + 600_000,
        released_at=noon + 900_000,
        ended_at=noon + 1_800_000,
        changed_at=noon + 1_800_000,
        cause="door",
        narrative="门锁触点氧化",
        released_people=2,
    )
    return msgspec.structs.replace(made, **fields)


async def test_closed_rescue_is_an_entry_of_the_lift_and_stands_or_falls_with_its_end(
    hall: Hall,
) -> None:
    hall.to("2026-03-02")
    record = rescue_recorder(hall.book.recorder, ZONE)

    def fail(connection: Connection) -> None:
        record(connection, incident())
        raise RuntimeError

    def write_ended(state: str, connection: Connection) -> object:
        return record(connection, incident(state=state))

    with pytest.raises(RuntimeError):
        hall.database.write_now(fail)
    assert await hall.book.records(LIFT, EVERYTHING) == []
    hall.database.write_now(lambda c: record(c, incident()))
    for state in ("false_alarm", "cancelled", "merged", "arrived"):
        assert hall.database.write_now(partial(write_ended, state)) is None
    hall.database.write_now(lambda c: record(c, incident(drill=True, number="R20260301-0002")))
    assert hall.database.write_now(lambda c: record(c, incident())) is None
    drill, rescue = await hall.book.records(LIFT, EVERYTHING)
    assert (drill.body.kind, drill.body.fields["what"]) == ("drill", "R20260301-0002")
    told = rescue.body.fields
    assert (told["number"], told["people"], told["cause"]) == ("R20260301-0001", 2, "door")
    assert (rescue.body.on, rescue.body.by) == (date(2026, 3, 1), "service")
    assert not list(
        hall.book.kinds["rescue"].faults(Draft(kind="rescue", on=rescue.body.on, fields=told))
    )
    late = incident(cause="external", called_back_at=1_772_340_000_000)
    hall.database.write_now(lambda c: record(c, late))
    hall.database.write_now(lambda c: record(c, late))
    again, _, before = await hall.book.records(LIFT, EVERYTHING)
    assert (again.body.about, again.body.fields["cause"]) == (rescue.body.seq, "external")
    assert (again.stands, before.stands) == (True, False)
    assert (await hall.book.verify(LIFT, EVERYTHING)).good


async def test_rescue_of_a_lift_without_a_file_begins_its_record(hall: Hall) -> None:
    record = rescue_recorder(hall.book.recorder, ZONE)
    other = "elevator:unknown-7"
    hall.database.write_now(lambda c: record(c, incident(asset=other)))
    assert len(await hall.book.records(other, EVERYTHING)) == 1
    assert (await hall.book.verify(other, EVERYTHING)).good
    gateway = incident(asset="gateway:gw-1")
    assert hall.database.write_now(lambda c: record(c, gateway)) is None


async def test_record_goes_on_after_keys_change(hall: Hall, tmp_path: Path) -> None:
    hall.write(maintained("2024-03-16", "half_month"))
    signing.add_key(tmp_path)
    hall.write(maintained("2024-03-17", "half_month"))
    signing.retire_key(tmp_path, "signing-1.pem")
    hall.write(maintained("2024-03-18", "half_month"))
    assert (await hall.book.verify(LIFT, EVERYTHING)).good
    assert len(signing.anchors(tmp_path)) == 1
    assert len(signing.known_keys(tmp_path)) == 2
