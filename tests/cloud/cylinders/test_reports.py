"""The regulator is told of each step once, whatever it answers and whenever the process ends."""

import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from cloud.cylinders.fills import FillKeeper
from cloud.cylinders.reports.make import NAME
from cloud.cylinders.reports.mapping import load_mappings
from cloud.cylinders.reports.send import FAILURES_MAX, PAUSE_MAX_S, Reports
from cloud.model.cursors import save_positions
from cloud.model.report_tables import cylinder_report
from cloud.outbound.base import Answer
from cloud.scans.store import keep_scans
from protocols.clock import iso
from protocols.errors import RetryLater
from protocols.records import Code, Scan
from tests.support.cylinders import CODE, ZONE, Yard, file_of
from tests.support.fills import visit
from tests.support.log_groups import NOON_MS, batch

NUMBER = CODE.partition(":")[2]


class Regulator:
    """Answers as it is told, one after the other, then 200; it knows keys that it took."""

    def __init__(self) -> None:
        self.answers: list[int | None] = []
        self.taken: dict[str, Any] = {}
        self.calls = 0

    @property
    def transport(self) -> Any:
        raise NotImplementedError

    async def check(self, url: str) -> None:
        raise NotImplementedError

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] = {},
        content: bytes | None = None,
        follow: bool = True,
    ) -> Answer:
        assert (method, follow, headers["Authorization"]) == ("POST", True, "Bearer secret")
        self.calls += 1
        status = self.answers.pop(0) if self.answers else 200
        key = headers["Idempotency-Key"]
        body = json.loads(content or b"")
        if key in self.taken:
            assert self.taken[key] == (url, body)
            return Answer(status=409, headers={}, body=b"known")
        if status is None or status < 300:
            self.taken[key] = (url, body)
        if status is None:
            raise RetryLater("the answer is lost")
        return Answer(status=status, headers={}, body=b"receipt 7")


class Desk:
    def __init__(self, yard: Yard) -> None:
        self.yard, self.regulator, self.counted = yard, Regulator(), Counter[str]()
        self.reports = self.open()

    def open(self) -> Reports:
        return Reports(
            self.yard.database,
            load_mappings(),
            outbound=self.regulator,
            url="https://regulator.example.org/v1/",
            token=lambda: "secret",
            clock=self.yard.clock,
            count=lambda one: self.counted.update([one]),
        )

    def rows(self) -> list[tuple[str, str]]:
        query = select(cylinder_report).order_by(cylinder_report.c.id)
        rows = self.yard.database.read_now(lambda c: c.execute(query).all())
        return [(row.kind, row.state) for row in rows]

    def forget(self) -> None:
        places = {"change": 0, "fill": 0, "scan": 0}
        self.yard.database.write_now(lambda c: save_positions(c, NAME, places))


@pytest.fixture
async def desk(yard: Yard) -> Desk:
    await yard.cylinders.register(yard.filler(), CODE, file_of())
    return Desk(yard)


def scan(step: str) -> Scan:
    return Scan(reader="gate-1", at=NOON_MS, codes=[Code("cylinder", NUMBER)], step=step)


async def test_every_step_is_told_once(desk: Desk) -> None:
    database = desk.yard.database
    keeper = FillKeeper(desk.yard.clock, zone=ZONE, count=lambda _: None)
    for number, record in enumerate(reversed(visit(10)), 1):
        one = [batch(record, seq=number)]
        database.write_now(partial(keeper.keep, batches=one))
        await desk.reports.look()
    scans = [scan(step) for step in ("receiving", "delivery", "counting")]
    database.write_now(lambda c: keep_scans(c, [batch(*scans, seq=9)]))
    await desk.reports.look()
    told = ["registration", "filling", "movement", "delivery"]
    assert desk.rows() == [(kind, "sent") for kind in told]
    desk.forget()
    await desk.open().look()
    assert desk.regulator.calls == 4
    urls = {url.rpartition("/")[2]: body["data"] for url, body in desk.regulator.taken.values()}
    assert urls["filling"]["net_kg"] == 14.0
    assert urls["filling"]["began_at"] == iso(NOON_MS + 1_000)
    assert urls["movement"]["direction"] == "in"
    assert {one["cylinder_code"] for one in urls.values()} == {NUMBER}


@pytest.mark.parametrize("first", [None, 500, 429, 408])
async def test_what_was_not_answered_is_sent_again_with_its_key(
    desk: Desk, first: int | None
) -> None:
    desk.regulator.answers = [first]
    await desk.reports.look()
    assert desk.rows() == [("registration", "waiting")]
    await desk.reports.look()
    assert desk.regulator.calls == 1  # not yet
    desk.yard.clock.advance(3_000)
    await desk.open().look()
    assert desk.rows() == [("registration", "sent")]
    assert len(desk.regulator.taken) == 1


async def test_what_is_refused_is_not_sent_again(desk: Desk) -> None:
    desk.regulator.answers = [422]
    await desk.reports.look()
    desk.yard.clock.advance(int(PAUSE_MAX_S * 1000))
    await desk.reports.look()
    assert (desk.rows(), desk.regulator.calls) == ([("registration", "refused")], 1)


async def test_who_never_answers_is_given_up(desk: Desk) -> None:
    desk.regulator.answers = [503] * FAILURES_MAX
    for _ in range(FAILURES_MAX):
        await desk.reports.look()
        desk.yard.clock.advance(int(PAUSE_MAX_S * 1000))
    assert desk.rows() == [("registration", "given_up")]


async def test_what_lacks_a_required_field_is_not_sent(yard: Yard) -> None:
    await yard.cylinders.register(yard.filler(), CODE, file_of(serial_number=""))
    desk = Desk(yard)
    await desk.reports.look()
    assert (desk.rows(), desk.regulator.calls) == ([("registration", "lacking")], 0)
