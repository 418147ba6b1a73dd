"""What must go goes, what must stay stays, whatever happens in between."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from cloud.audit.verify import verify
from cloud.model import tables
from cloud.model.audit import Entry, append
from cloud.model.database import Database, Work
from cloud.model.load_data_rules import METADATA
from cloud.model.people_tables import retention_run
from cloud.model.retention import RetentionRun, StepReport
from cloud.retention import job as job_module
from cloud.retention.job import is_due
from cloud.retention.pseudonyms import Pseudonyms
from cloud.retention.runs import TakenOver, claim, last_run, read_runs
from protocols.clock import ManualClock, iso
from tests.support.postgres import Postgres
from tests.support.random_rows import Content, expected, fill, read_all
from tests.support.retention import DAY_MS, make_job, shipped_rules
from tests.support.state_database import open_state

T = TypeVar("T")
RULES = shipped_rules()
KEY = Pseudonyms(b"k" * 32)
HOLDS = (
    *("asset:elevator:00000000000000001", "asset:cylinder:JL2B0001234", "gateway:gw-2"),
    *("organisation:firm-1", "organisation:id-7", "account:3"),
)
BY_TWO = (
    *("account", "alarm", "api_key", "config_push", "cylinder_fill", "device", "organisation"),
    *("desk_handover", "incident", "incident_entry", "rescue_call", "rollout", "scan"),
)
"""Tables of several steps: what the first one ends is not there for the next."""
NOW_MS = ManualClock().wall_ms()


def opened(urls: dict[str, str], kind: type[Database] = Database) -> dict[str, Database]:
    open_state(urls["state"]).close()
    found = {name: kind(url, name=name) for name, url in urls.items()}
    for name, database in found.items():
        METADATA[name].create_all(database.engine)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    found = {name: f"sqlite:///{tmp_path / name}.db" for name in ("log", "state", "trust")}
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        found |= dict.fromkeys(("log", "state"), server.new_database())
    return found


@pytest.fixture
def databases(urls: dict[str, str]) -> Iterator[dict[str, Database]]:
    found = opened(urls)
    yield found
    for database in found.values():
        database.close()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("holds", [(), HOLDS], ids=["no holds", "holds"])
async def test_each_row_becomes_what_the_rules_say(
    databases: dict[str, Database], seed: int, holds: tuple[str, ...]
) -> None:
    before = fill(databases, RULES, NOW_MS, seed)
    clock = ManualClock(NOW_MS)
    wanted = expected(before, RULES, NOW_MS, holds, KEY)
    counted = await make_job(databases, clock, holds=holds).preview()
    assert read_all(databases) == before
    run = await make_job(databases, clock, holds=holds).run()
    after = read_all(databases)
    for place, rows in wanted.items():
        assert after[place] == rows, place
    assert (after == before) is False
    gone = sum(len(rows) for rows in before.values()) - sum(len(rows) for rows in after.values())
    deleted = [one.rows for one in run.report if one.do == "delete"]
    assert sum(deleted) == gone
    first: dict[tuple[str, ...], int] = {
        (one.table, one.do, one.since): one.rows for one in counted
    }
    due = {key: rows for key, rows in counts(run, *databases).items() if first[key] != rows}
    assert set(due) <= {(table, do, since) for table, do, since in first if table in BY_TWO}
    again = await make_job(databases, clock, holds=holds).run()
    assert again.id == run.id + 1
    assert [one for one in again.report if one.rows] == []
    assert read_all(databases) == after


async def test_time_that_goes_on_leaves_in_the_end_what_has_no_term(
    databases: dict[str, Database],
) -> None:
    before = fill(databases, RULES, NOW_MS, seed=9)
    clock, state = ManualClock(NOW_MS), before
    for days in (1, 30, 200, 700, 3_000, 9_000):
        clock.advance(days * DAY_MS)
        wanted = expected(state, RULES, clock.wall_ms(), (), KEY)
        await make_job(databases, clock).run()
        state = read_all(databases)
        assert state == wanted
    assert len(state["log", "dead_letter"]) == 0
    assert len(state["state", "feed"]) == 1
    assert state["state", "audit"] == before["state", "audit"]
    still_open = [row for row in before["state", "alarm"] if row["open"] is not None]
    assert [row for row in state["state", "alarm"] if row["open"] is not None] == still_open
    assert still_open


class Killed(Exception):
    """Stands for the end of the process."""


class Mortal(Database):
    """A database whose process ends at one of its writes, before or after the commit."""

    left = -1

    async def write(self, work: Callable[[Connection], T], *also: Work) -> T:
        Mortal.left -= 1
        if Mortal.left == 0:

            def cut_off(connection: Connection) -> T:
                work(connection)
                raise Killed

            return await super().write(cut_off, *also)
        done = await super().write(work, *also)
        Mortal.left -= 1
        if Mortal.left == 0:
            raise Killed
        return done


async def run_until_killed(databases: dict[str, Database], moment: int) -> bool:
    """Run and end at a moment, of two for each write; tell whether it ended by itself."""
    Mortal.left = moment
    try:
        await make_job(databases, ManualClock(NOW_MS)).run()
    except Killed:
        return False
    finally:
        Mortal.left = -1
    return True


def start_anew(databases: dict[str, Database], content: Content) -> None:
    """Put back all tables that a step is about."""
    for name, database in databases.items():
        database.write_now(lambda c, n=name: _put_back(c, n, content))  # type: ignore[misc]
    databases["state"].write_now(lambda c: c.execute(retention_run.delete()))


def _put_back(connection: Connection, name: str, content: Content) -> None:
    stepped = {step.table for rule in RULES.rules for step in rule.step}
    for (where, table_name), rows in content.items():
        if where == name and table_name in stepped:
            table = METADATA[name].tables[table_name]
            connection.execute(table.delete())
            connection.execute(insert(table), rows)


def counts(run: RetentionRun | None, *databases: str) -> dict[tuple[str, ...], int]:
    """Return the rows of a report, of tables in these databases."""
    assert run is not None
    here = {table for name in databases for table in METADATA[name].tables}
    return {(one.table, one.do, one.since): one.rows for one in run.report if one.table in here}


async def test_killed_anywhere_and_run_again_it_ends_the_same(
    urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "ROWS_MAX", 5)
    monkeypatch.setattr(job_module, "KEYS_MAX", 12)
    databases = opened(urls, Mortal)
    before = fill(databases, RULES, NOW_MS, seed=4, rows=20)
    assert await run_until_killed(databases, 10**6)
    wanted, report = read_all(databases), databases["state"].read_now(last_run)
    assert wanted == expected(before, RULES, NOW_MS, (), KEY)
    rng, killed = random.Random(1), 0
    for moment in [1, 2, 3, *sorted(rng.sample(range(4, 120), 9))]:
        start_anew(databases, before)
        killed += not await run_until_killed(databases, moment)
        assert await run_until_killed(databases, 10**6)
        assert read_all(databases) == wanted, moment
        (last, *others) = databases["state"].read_now(lambda c: read_runs(c, 9))
        assert (last.ended_at, others) == (NOW_MS, [])
        # in the state a count stands or falls with its rows; elsewhere it may miss one slice
        assert counts(last, "state") == counts(report, "state"), moment
        elsewhere = [sum(counts(one, "log", "trust").values()) for one in (report, last)]
        assert 0 <= elsewhere[0] - elsewhere[1] <= 5
    assert killed == 12
    for database in databases.values():
        database.close()


async def test_of_two_runners_the_later_goes_on_alone(databases: dict[str, Database]) -> None:
    fill(databases, RULES, NOW_MS, seed=5)
    clock = ManualClock(NOW_MS)
    second: list[RetentionRun] = []

    async def meanwhile(_seconds: float) -> None:
        if not second:
            second.append(await make_job(databases, clock).run())

    with pytest.raises(TakenOver):
        await make_job(databases, clock, pause=meanwhile).run()
    last = databases["state"].read_now(last_run)
    assert last == second[0]
    assert last.ended_at == NOW_MS


class Busy(Database):
    """A database in which every alarm fires again as soon as somebody has looked."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        found = await super().read(work)
        if isinstance(found, list):
            await self.write(lambda c: c.execute(update(tables.alarm).values(open="y")))
        return found


async def test_an_alarm_that_opens_after_it_was_found_is_left_alone(urls: dict[str, str]) -> None:
    databases = {"state": opened({"state": urls["state"]}, Busy)["state"]}
    before = fill(databases, RULES, NOW_MS, seed=6)
    wanted = expected(before, RULES, NOW_MS, (), KEY)["state", "alarm"]
    assert len(wanted) < len(before["state", "alarm"])
    await make_job(databases, ManualClock(NOW_MS)).run()
    after = read_all(databases)["state", "alarm"]
    assert after == [row | {"open": "y"} for row in before["state", "alarm"]]
    for database in databases.values():
        database.close()


def test_due_each_day_after_its_hour_and_after_a_run_that_did_not_end() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    three = 1_764_010_800_000  # 2025-11-25 03:00 in Shanghai
    hour = 3_600_000

    def ran(at: int, ended: int = 1) -> RetentionRun:
        return RetentionRun(id=1, started_at=at, ended_at=ended, report=())

    assert is_due(None, three, zone, 3)
    assert not is_due(ran(three), three + 23 * hour, zone, 3)
    assert is_due(ran(three), three + 24 * hour, zone, 3)
    assert not is_due(ran(three - 20 * hour), three - hour, zone, 3)
    assert is_due(ran(three - 25 * hour), three - hour, zone, 3)
    assert is_due(ran(three - 5 * 24 * hour), three + hour, zone, 3)
    assert is_due(ran(three, ended=0), three + hour, zone, 3)


async def test_a_run_lets_stores_do_their_own_and_says_what_it_left(
    databases: dict[str, Database],
) -> None:
    clock, asked = ManualClock(NOW_MS), []

    async def log(before: int) -> int:
        asked.append(("log", NOW_MS - before))
        return 12

    async def telemetry(before: int) -> None:
        asked.append(("telemetry", NOW_MS - before))

    here = {name: databases[name] for name in ("log", "state")}
    run = await make_job(here, clock, elsewhere={"log": log, "telemetry": telemetry}).run()
    assert asked == [("log", 7 * DAY_MS), ("telemetry", 400 * DAY_MS)]
    said = {one.table: (one.outcome, one.rows) for one in run.report}
    assert said["log"] == ("done", 12)
    assert said["readings"] == ("uncounted", 0)
    assert said["refusal"] == ("not_here", 0)
    assert said["certificate"] == ("elsewhere", 0)
    held = await make_job(
        here, clock, holds=["gateway:gw-1"], elsewhere={"log": log, "telemetry": telemetry}
    ).run()
    assert {one.table: one.outcome for one in held.report}["readings"] == "held"
    assert asked[2:] == [("log", 7 * DAY_MS)]


def test_pseudonyms_are_stable_within_a_term_and_need_the_key() -> None:
    term = 100 * DAY_MS
    first = KEY.of("王五", 5 * term, term)
    assert first == KEY.of("王五", 6 * term - 1, term)
    assert len(first) == 26
    others = [
        KEY.of("王五", 6 * term, term),
        KEY.of("王六", 5 * term, term),
        Pseudonyms(b"x" * 32).of("王五", 5 * term, term),
    ]
    assert len({first, *others}) == 4


def test_claim_goes_on_with_a_run_that_did_not_end(databases: dict[str, Database]) -> None:
    state = databases["state"]
    first = state.write_now(lambda c: claim(c, "a" * 32, 5))
    assert state.write_now(lambda c: claim(c, "b" * 32, 9)) == first
    row = state.read_now(lambda c: c.execute(select(retention_run.c.runner)).scalar_one())
    assert row == "b" * 32
    assert first == RetentionRun(id=first.id, started_at=5, ended_at=0, report=())
    assert StepReport(rule="r", table="t", do="delete", since="s", before=1).outcome == "done"


async def test_audit_tells_what_went_once_though_a_run_was_cut_off(
    databases: dict[str, Database],
) -> None:
    before, clock, key = fill(databases, RULES, NOW_MS, seed=4), ManualClock(NOW_MS), bytes(32)
    assert before

    def noted(*entries: Entry) -> Work:
        return lambda connection: append(connection, key, *entries)

    async def cut_off(_seconds: float) -> None:
        raise asyncio.CancelledError

    audit = METADATA["state"].tables["audit"]
    state = databases["state"]
    for table in ("audit", "audit_head"):  # what they were filled with is no chain
        gone = delete(METADATA["state"].tables[table])
        state.write_now(lambda c, gone=gone: c.execute(gone))  # type: ignore[misc]
    with pytest.raises(asyncio.CancelledError):
        await make_job(databases, clock, noted=noted, pause=cut_off).run()
    assert state.read_now(lambda c: c.execute(select(audit)).all()) == []
    run = await make_job(databases, clock, noted=noted).run()
    rows = state.read_now(lambda c: c.execute(select(audit).order_by(audit.c.seq)).all())
    told = [(row.subject, json.loads(row.detail)) for row in rows]
    went = [one for one in run.report if one.rows]
    assert went
    assert [(subject, one["what"], one["rows"], one["before"]) for subject, one in told] == [
        (f"data:{one.table}", one.do, one.rows, iso(one.before)) for one in went
    ]
    assert {(row.by, row.call) for row in rows} == {("system", "retention.run")}
    assert state.read_now(lambda c: verify(c, key)).faults == []
    again = await make_job(databases, clock, noted=noted).run()
    assert again.id > run.id
    assert len(state.read_now(lambda c: c.execute(select(audit)).all())) == len(rows)
