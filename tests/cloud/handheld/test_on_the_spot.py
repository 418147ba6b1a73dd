"""What is done with a handheld takes effect in the registry of cylinders, exactly once."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select

from cloud.cylinders.on_the_spot import OnTheSpot, judges
from cloud.cylinders.reports.make import make_reports
from cloud.cylinders.reports.mapping import load_mappings
from cloud.handheld.book import HandheldBook
from cloud.model.cylinder import FurtherCode
from cloud.model.cylinder_tables import cylinder_change
from cloud.model.people_tables import device
from cloud.model.permissions import Reach, permissions
from cloud.model.principal import Granted, Principal, Scope
from cloud.model.report_tables import cylinder_report
from protocols.clock import ManualClock
from protocols.handheld import (
    Batch,
    Count,
    Finding,
    Inspection,
    Instruction,
    Record,
    Settled,
    Signature,
    Tag,
    What,
)
from tests.support.cylinders import CODE, ZONE, Yard, code_of, file_of, open_yard
from tests.support.firms import DISTRICT, OTHER_DISTRICT

STORE, OTHER = "a" * 32, "b" * 32
WANG, LI, WORKER, GONE = "1" * 16, "2" * 16, "3" * 16, "4" * 16
ROLES = {1: ("office", "inspector"), 2: ("office", "inspector"), 3: ("gas-b", "filling_worker")}
UID, SECOND = "04A1B2C3D4E5F6", "04FFFFFFFFFFFF"
ELSEWHERE = code_of(9)


def principal(account: int) -> Principal | None:
    """Whom an account stands for; the fourth is disabled."""
    if account not in ROLES:
        return None
    organisation, role = ROLES[account]
    districts = frozenset({DISTRICT}) if organisation == "office" else None
    reach = Reach(organisation=organisation, account=account, districts=districts)
    may = permissions([role], reach)
    return Principal(
        kind="account",
        id=f"account:{account}",
        by=role,
        organisation=organisation,
        account=account,
        may=may,
    )


class Spot:
    """Handhelds at a registry."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        spot = OnTheSpot(yard.registry, principal, yard.clock, zone=ZONE)
        self.book = HandheldBook(yard.database, yard.clock, offline_grace_s=1, judges=judges(spot))
        rows = [
            {
                "id": id_,
                "sha256": id_,
                "name": "h",
                "account": number,
                "organisation": ROLES.get(number, ("office",))[0],
                "issued_at": 1,
                "renewed_at": 1,
                "expires_at": 2**40,
            }
            for number, id_ in enumerate((WANG, LI, WORKER, GONE), 1)
        ]
        yard.database.write_now(lambda c: c.execute(insert(device), rows))

    async def take(
        self, number: int, what: What, *, by: str = WANG, store: str = STORE, **fields: Any
    ) -> Settled:
        """Send one record."""
        now_ms = self.yard.clock.wall_ms()
        record = Record(
            number=number,
            observed_at=now_ms,
            time_source="service",
            person=by,
            known_at=fields.get("known_at", now_ms),
            what=what,
        )
        organisation = "gas-b" if by == WORKER else "office"
        scope = Scope(organisations=frozenset({organisation}))
        sender = Principal(
            kind="device", id=f"device:{by}", by="h", organisation=organisation, may={}
        )
        batch = Batch(store=store, records=(msgspec.Raw(msgspec.json.encode(record)),))
        granted = Granted(sender, "handheld.use", scope)
        answer = await self.book.take(batch, granted, lambda *_: lambda _: None)
        return answer.settled[0]

    def changes(self) -> int:
        """Count the entries in the histories of all cylinders."""
        query = select(func.count()).select_from(cylinder_change)
        return int(self.yard.database.read_now(lambda c: c.execute(query).scalar()) or 0)

    async def tags(self, code: str = CODE) -> tuple[str, ...]:
        """Return the tags of a cylinder, as a station would be told."""
        found = await self.yard.cylinders.facts(code)
        assert found is not None
        return found.tag_uids

    async def state(self, code: str = CODE) -> str:
        """Return the state that counts."""
        found = await self.yard.cylinders.facts(code)
        assert found is not None
        return found.state


@pytest.fixture
async def spot(database_url: str) -> AsyncIterator[Spot]:
    yard = await open_yard(database_url, ManualClock())
    root = yard.root("cylinders.write")
    await yard.cylinders.register(root, CODE, file_of(1), DISTRICT)
    await yard.cylinders.register(root, code_of(2), file_of(2, filler="gas-b"), DISTRICT)
    await yard.cylinders.register(root, ELSEWHERE, file_of(9), OTHER_DISTRICT)
    yield Spot(yard)
    yard.database.close()


def inspection(outcome: str = "passed", **fields: Any) -> Inspection:
    given: dict[str, Any] = {"asset": CODE, "form": "cylinder", "outcome": outcome, **fields}
    if outcome != "passed":
        given["findings"] = (Finding(code="leaking"),)
        given["instruction"] = Instruction(text="new valve", due_on=date(2026, 3, 20))
    signed = tuple(Signature(person=one, signed_at=1, sha256="0" * 64) for one in (WANG, LI))
    return Inspection(**{"signatures": signed, **given})


async def test_inspection_stands_in_the_history_once(spot: Spot) -> None:
    before = spot.changes()
    assert (await spot.take(1, inspection())).outcome == "taken"
    assert (await spot.take(1, inspection())).outcome == "known"
    assert spot.changes() == before + 1
    newest = (await spot.yard.cylinders.history(CODE, spot.yard.root("cylinders.read").scope))[0]
    assert (newest.what, newest.by) == ("inspected_on_spot", f"device:{WANG}")
    told = {"record": f"{STORE}:1", "form": "cylinder", "result": "passed"}
    when = {"inspected_on": "2025-11-25", "inspected_at": "2025-11-24T16:00:00.000Z"}
    assert newest.after == told | when


async def test_the_regulator_is_told_of_it_as_of_an_inspection(spot: Spot) -> None:
    await spot.take(1, inspection("stopped"))
    kinds, now_ms = load_mappings(), spot.yard.clock.wall_ms()

    def make(connection: Connection) -> None:
        make_reports(connection, kinds, now_ms, lambda _: None)

    spot.yard.database.write_now(make)
    query = select(cylinder_report.c.body).where(cylinder_report.c.kind == "inspection")
    (body,) = spot.yard.database.read_now(lambda c: c.execute(query).scalars().all())
    told = msgspec.json.decode(body)["data"]
    assert (told["kind"], told["result"], told["body_id"]) == ("on_the_spot", "0", "office")
    assert (told["inspected_on"], told["findings"]) == ("2025-11-25", "leaking")


async def test_stopped_is_blocked_until_its_own_recheck_passes(spot: Spot) -> None:
    await spot.take(1, inspection("stopped"))
    assert await spot.state() == "blocked"
    await spot.take(2, inspection("passed"))
    assert await spot.state() == "blocked", "a re-check names what it looks at again"
    await spot.take(3, inspection("stopped", recheck_of=f"{STORE}:1"))
    assert await spot.state() == "blocked"
    await spot.take(4, inspection("passed", recheck_of=f"{STORE}:1"))
    assert await spot.state() == "blocked", "that one was looked at again, and stopped again"
    await spot.take(5, inspection("passed", recheck_of=f"{STORE}:3"))
    assert await spot.state() == "in_use"


async def test_stop_counts_also_where_two_looked_apart(spot: Spot) -> None:
    await spot.take(1, inspection())
    word = await spot.take(1, inspection("stopped"), store=OTHER, known_at=1)
    assert (word.outcome, word.reason) == ("conflict", "inspected_elsewhere")
    assert await spot.state() == "blocked"
    unsigned = inspection("stopped", asset=code_of(2), signatures=())
    assert (await spot.take(2, unsigned)).reason == "not_signed"
    assert await spot.state(code_of(2)) == "in_use", "one alone stops nothing"


@pytest.mark.parametrize("asset", [ELSEWHERE, "cylinder:99"])
async def test_what_is_out_of_reach_is_a_conflict(spot: Spot, asset: str) -> None:
    before = spot.changes()
    whats: tuple[What, ...] = (inspection("stopped", asset=asset), Tag(asset=asset, uid=UID))
    for number, what in enumerate(whats, 1):
        word = await spot.take(number, what)
        assert (word.outcome, word.reason) == ("conflict", "not_found")
    assert spot.changes() == before


async def test_who_was_disabled_since_reaches_nothing(spot: Spot) -> None:
    word = await spot.take(1, Tag(asset=CODE, uid=UID), by=GONE)
    assert (word.outcome, word.reason) == ("conflict", "not_found")
    assert await spot.tags() == ()


async def test_scrapped_cylinder_takes_nothing(spot: Spot) -> None:
    root = spot.yard.root("cylinders.scrap")
    await spot.yard.cylinders.scrap(root, CODE, "crushed", "2020-01-01", "body", "old")
    assert (await spot.take(1, Tag(asset=CODE, uid=UID))).reason == "wrong_state"
    assert (await spot.take(2, inspection())).reason == "wrong_state"


async def test_tag_is_put_on_once_and_takes_the_place_of_another(spot: Spot) -> None:
    first = Tag(asset=CODE, uid=UID)
    assert (await spot.take(1, first)).outcome == "taken"
    before = spot.changes()
    assert (await spot.take(1, first)).outcome == "known"
    assert (await spot.take(2, first)).outcome == "taken", "it is on it: nothing to be done"
    assert spot.changes() == before
    assert await spot.tags() == (UID,)
    await spot.take(3, Tag(asset=CODE, uid=SECOND, replaces=UID))
    assert await spot.tags() == (SECOND,)
    word = await spot.take(4, Tag(asset=CODE, uid="04AAAAAAAAAAAA", replaces=UID))
    assert (word.outcome, word.reason) == ("conflict", "wrong_tag")
    await spot.take(5, first)
    assert await spot.tags() == (UID, SECOND), "its own old tag may come back"


async def test_tag_that_ever_was_of_another_is_refused(spot: Spot) -> None:
    named = file_of(9, codes=(FurtherCode("tag_uid", UID),))
    await spot.yard.cylinders.register(spot.yard.root("cylinders.write"), ELSEWHERE, named)
    for number in (1, 2):
        word = await spot.take(number, Tag(asset=CODE, uid=UID))
        assert (word.outcome, word.reason) == ("conflict", "tag_taken")
        assert ELSEWHERE not in word.found, "whose it is may be none of theirs"
        bare = file_of(9)
        await spot.yard.cylinders.register(spot.yard.root("cylinders.write"), ELSEWHERE, bare)
    assert await spot.tags() == ()


async def test_firm_reaches_its_own(spot: Spot) -> None:
    tag = Tag(asset=code_of(2), uid=UID)
    assert (await spot.take(1, tag, by=WORKER)).outcome == "taken"
    other = Tag(asset=CODE, uid=SECOND)
    assert (await spot.take(2, other, by=WORKER)).reason == "not_found"


async def test_count_tells_what_cannot_be_there(spot: Spot) -> None:
    good = Count(place="A", found=(CODE,), missing=(code_of(5),), unexpected=(code_of(2),))
    assert (await spot.take(1, good)).outcome == "taken"
    await spot.take(2, inspection("stopped"))
    await spot.yard.cylinders.take_step(
        spot.yard.root("cylinders.report"), code_of(2), "lose", "stolen"
    )
    before = spot.changes()
    odd = Count(place="A", found=(CODE, code_of(2), ELSEWHERE), unexpected=("cylinder:77",))
    word = await spot.take(3, odd)
    assert (word.outcome, word.reason) == ("conflict", "count_contradicts")
    assert word.found == (
        f"{CODE} blocked, {code_of(2)} lost, {ELSEWHERE} not known, cylinder:77 not known"
    )
    assert spot.changes() == before
