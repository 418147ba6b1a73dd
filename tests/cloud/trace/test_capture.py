"""Documents are captured as their behaviour says, and through any end of the process."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, Scope
from cloud.trace.base import Behaviour, Job
from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.jobs import note_restart
from cloud.trace.query.base import EventQuery
from protocols.epcis.document import Document
from protocols.epcis.standard import Standard
from protocols.errors import RefuseInput
from tests.support.capture_process import JSON, captures_of

ROOT = Path(__file__).parents[3]
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-01-05T08:00:00.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        "action": "OBSERVE",
        "epcList": [f"https://id.gs1.org/01/06901234567892/21/{number}"],
        "bizStep": "shipping",
        **more,
    }


def document(*events: dict[str, Any]) -> bytes:
    whole = {
        "@context": [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-05T08:00:00.000+08:00",
        "epcisBody": {"eventList": list(events)},
    }
    return json.dumps(whole).encode()


BAD = event(999, action="MOVE")


@pytest.fixture
def captures(database_url: str, standard: Standard) -> Iterator[SqlCaptures]:
    made = captures_of(database_url, standard, CaptureLimits(chunk=3, events_max=50, waiting_max=2))
    yield made
    made._database.close()


async def capture(
    captures: SqlCaptures, data: bytes, behaviour: Behaviour = "rollback", organisation: str = "a"
) -> Job:
    job = await captures.take(
        data, media_type=JSON, behaviour=behaviour, by="x", organisation=organisation
    )
    assert job.running
    await captures.run_waiting()
    return await captures.job(job.capture_id, scope=EVERYTHING)


async def count(captures: SqlCaptures) -> int:
    store = captures._store
    return len((await store.find(EventQuery(), scope=EVERYTHING, limit=1000)).events)


async def test_document_is_captured_with_its_job(captures: SqlCaptures) -> None:
    job = await capture(captures, document(event(1), event(2)))
    assert (job.running, job.success, job.stored, job.faults) == (False, True, 2, [])
    again = await capture(captures, document(event(2), event(3)))
    assert (again.success, again.stored, again.duplicates) == (True, 1, 1)
    assert await count(captures) == 3


async def test_one_bad_event_rolls_all_back(captures: SqlCaptures) -> None:
    job = await capture(captures, document(event(1), BAD, event(2)))
    assert (job.running, job.success, job.stored, job.refused) == (False, False, 0, 1)
    assert [one["pointer"] for one in job.faults] == ["/epcisBody/eventList/1/action"]
    assert await count(captures) == 0


async def test_proceed_stores_around_bad_events(captures: SqlCaptures) -> None:
    events = [event(n) for n in range(8)]
    events[4] = BAD
    job = await capture(captures, document(*events, event(0, bizStep="packing")), "proceed")
    assert (job.success, job.stored, job.refused) == (False, 7, 2)
    assert [one["rule"] for one in job.faults][-1] == "event_id_taken"
    assert await count(captures) == 7


async def test_taken_event_id_rolls_all_back(captures: SqlCaptures) -> None:
    await capture(captures, document(event(1)))
    job = await capture(captures, document(event(2), event(1, bizStep="packing")))
    assert (job.success, job.stored, job.refused) == (False, 0, 1)
    assert job.faults[0]["pointer"] == "/epcisBody/eventList/1/eventID"
    assert await count(captures) == 1


@pytest.mark.parametrize("behaviour", ["rollback", "proceed"])
@pytest.mark.parametrize("data", [b"{", b"[]", document(*(event(n) for n in range(51)))])
async def test_document_that_is_none_fails_with_a_word(
    captures: SqlCaptures, data: bytes, behaviour: Behaviour
) -> None:
    job = await capture(captures, data, behaviour)
    assert (job.running, job.success, job.stored) == (False, False, 0)
    assert job.faults


async def test_empty_document_succeeds(captures: SqlCaptures) -> None:
    for behaviour in ("rollback", "proceed"):
        assert (await capture(captures, document(), behaviour)).success


async def test_no_more_than_so_many_jobs_wait(captures: SqlCaptures) -> None:
    for organisation in ("a", "a", "b"):
        await captures.take(
            document(), media_type=JSON, behaviour="proceed", by="x", organisation=organisation
        )
    with pytest.raises(RefuseInput, match="too_many_jobs"):
        await captures.take(
            document(), media_type=JSON, behaviour="proceed", by="x", organisation="a"
        )


async def test_jobs_are_seen_by_their_organisation(captures: SqlCaptures) -> None:
    job = await capture(captures, document())
    assert [one.capture_id for _, one in await captures.jobs(scope=EVERYTHING, limit=9)] == [
        job.capture_id
    ]
    other = Scope(organisations=frozenset(["b"]))
    with pytest.raises(RefuseInput, match="not_found"):
        await captures.job(job.capture_id, scope=other)
    assert await captures.jobs(scope=other, limit=9) == []


async def test_job_that_ends_the_process_again_and_again_is_given_up(
    captures: SqlCaptures, state: Database
) -> None:
    job = await captures.take(
        document(event(1)), media_type=JSON, behaviour="rollback", by="x", organisation="a"
    )
    for _ in range(4):
        state.write_now(note_restart)
    await captures.run_waiting()
    given_up = await captures.job(job.capture_id, scope=EVERYTHING)
    assert (given_up.running, given_up.success) == (False, False)
    assert given_up.faults[0]["rule"] == "given_up"


async def test_next_document_is_read_while_one_is_stored_but_not_beside_the_first(
    captures: SqlCaptures, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    read, write = captures._readers[JSON], captures._database.write_now

    def reading(data: bytes, at_us: int, sender: str) -> Document:
        told.append(f"read {sender}")
        return read(data, at_us, sender)

    def writing(*work: Any) -> Any:
        done = write(*work)
        told.append("written")
        return done

    monkeypatch.setattr(captures, "_readers", {JSON: reading})
    for organisation in ("a", "b", "c"):
        await captures.take(
            document(event(ord(organisation))), media_type=JSON,
            behaviour="rollback", by="x", organisation=organisation,
        )  # fmt: skip
    monkeypatch.setattr(captures._database, "write_now", writing)
    await captures.run_waiting()
    assert told == ["read a", "written", "read b", "read c", "written", "written"]
    assert await count(captures) == 3


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(2, id="quick"),
        pytest.param(200, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_killed_captures_leave_no_half_document_and_no_event_twice(
    tmp_path: Path, standard: Standard, kills: int
) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    limits = CaptureLimits(chunk=20, waiting_max=10_000, restarts_max=99)
    captures = captures_of(url, standard, limits)
    dice = random.Random(7)
    jobs: list[Job] = []
    for _ in range(kills):
        for behaviour in ("rollback", "proceed"):
            events = [event(1000 * len(jobs) + n) for n in range(100)]
            bad = [BAD] if dice.random() < 0.3 else []
            jobs.append(
                await captures.take(
                    document(*events, *bad), media_type=JSON, behaviour=behaviour,
                    by="x", organisation="a",
                )
            )  # fmt: skip
        _run_and_kill(url, dice.random() * 0.4)
        _check(await captures.jobs(scope=EVERYTHING, limit=9999), captures)
    await captures.run_waiting()
    for job in jobs:
        ended = await captures.job(job.capture_id, scope=EVERYTHING)
        assert not ended.running
        assert ended.stored + ended.duplicates in (
            (0, 100) if job.behaviour == "rollback" else (100,)
        )
    captures._database.close()


def _run_and_kill(url: str, after_s: float) -> None:
    command = [sys.executable, "-m", "tests.support.capture_process", url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)


def _check(jobs: list[tuple[int, Job]], captures: SqlCaptures) -> None:
    """Hold what is stored against what the jobs say of it, at once after a kill."""
    with captures._database.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT job, count(*) FROM trace_event GROUP BY job"
        ).all()
        ids = connection.exec_driver_sql(
            "SELECT count(*), count(DISTINCT event_id), max(event_no) FROM trace_event"
        ).one()
    assert ids[0] == ids[1] == (ids[2] or 0)
    stored = {row[0]: row[1] for row in rows}
    for number, job in jobs:
        assert stored.get(number, 0) == job.stored
        if job.behaviour == "rollback":
            assert job.stored in (0, 100)
