"""Scans of some gateways are found in the asked order, and no read goes through the whole table."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from cloud.model.database import Database
from cloud.model.field_tables import trace_left_out
from cloud.model.scan import KeptScan
from cloud.scans import find
from cloud.scans.find import find_scans
from cloud.scans.store import insert_scans
from tests.support.state_database import open_state

ASKED = 60


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


def row(number: int, gateway: str, reader: str = "r-0", code: str = "04A1") -> dict[str, Any]:
    return {
        "gateway": gateway,
        "spool": "0" * 32,
        "stream": "data",
        "seq": number,
        "record_index": 0,
        "reader": reader,
        "step": None,
        "observed_at": number,
        "received_at": number,
        "time_unknown": False,
        "codes": f'[{{"scheme":"tag_uid","value":"{code}"}}]',
        "findings": "[]",
        "verdict": None,
        "operator": None,
        "rssi_dbm": None,
    }


def no_event(scan: dict[str, Any], code: int, reason: str, detail: str = "") -> dict[str, Any]:
    names = ("gateway", "spool", "stream", "seq", "record_index")
    key = {name: scan[name] for name in names}
    return {**key, "code_index": code, "reason": reason, "detail": detail, "noted_at": 1}


def wanted(scans: list[KeptScan], asked: dict[str, Any]) -> list[int]:
    """Say in the plainest way what is to be found."""
    found = [
        scan.id
        for scan in scans
        if (asked["among"] is None or scan.gateway in asked["among"])
        and asked["gateway"] in (None, scan.gateway)
        and asked["reader"] in (None, scan.reader)
        and asked["code"] in (None, scan.codes[0].value)
        and (asked["before_id"] is None or scan.id < asked["before_id"])
    ]
    return found[: asked["limit"]]


def some_question(rng: random.Random, ids: list[int]) -> dict[str, Any]:
    gateways = [f"gw-{number}" for number in range(25)]  # the last were never heard of
    some = frozenset(rng.sample(gateways, rng.choice((0, 1, 3, 8, 20, 25))))
    return {
        "among": rng.choice((some, some, some, None)),
        "gateway": rng.choice((None, None, None, rng.choice(gateways), "gw\0")),
        "reader": rng.choice((None, None, "r-1")),
        "code": rng.choice((None, None, "04A1", "0%", "/_%")),
        "before_id": rng.choice((None, rng.choice(ids), 10**15, 1)),
        "limit": rng.choice((1, 3, 20, 1_000)),
    }


@pytest.mark.parametrize("few", [0, 5, 300])
def test_some_gateways_scans_are_those_of_all_less_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    rng = random.Random(few)
    monkeypatch.setattr(find, "FEW", few)
    gateways = [f"gw-{int(20 * rng.random() ** 3)}" for _ in range(400)]  # a few see most
    gateways.sort(key=lambda gateway: gateway == "gw-0" or rng.random())  # and one of them lately
    rows = [
        row(number, gateway, f"r-{rng.randrange(3)}", rng.choice(("04A1", "/_%", "0B")))
        for number, gateway in enumerate(gateways)
    ]
    database.write_now(lambda c: insert_scans(c, rows))
    everything = database.read_now(lambda c: find_scans(c, limit=1_000))
    ids = [scan.id for scan in everything]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(rows)
    for _ in range(ASKED):
        asked = some_question(rng, ids)
        found = database.read_now(lambda c, asked=asked: find_scans(c, **asked))  # type: ignore[misc]
        assert [scan.id for scan in found] == wanted(everything, asked), asked


def test_a_page_that_lacks_one_scan_is_filled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "FEW", 0)
    monkeypatch.setattr(find, "STEPS_PER_GATEWAY", 1_000)
    rows = [
        row(number, "gw-0" if number in (1, 950) or number > 990 else "gw-1")
        for number in range(1_000)
    ]
    database.write_now(lambda c: insert_scans(c, rows))
    found = database.read_now(lambda c: find_scans(c, among=frozenset({"gw-0"}), limit=11))
    assert [scan.observed_at for scan in found] == [*range(999, 990, -1), 950, 1]


def test_what_goes_away_between_two_ids_hides_nothing(database: Database) -> None:
    rows = [row(number, f"gw-{number % 400}") for number in range(4_000)]
    database.write_now(lambda c: insert_scans(c, rows))
    database.write_now(
        lambda c: c.exec_driver_sql("DELETE FROM scan WHERE id BETWEEN 300 AND 3990")
    )
    among = frozenset(f"gw-{number}" for number in range(399))
    found = database.read_now(lambda c: find_scans(c, among=among, limit=1_000))
    assert len(found) == 9 + 299


@pytest.mark.parametrize("gateways", [30, 350])
def test_no_read_goes_through_the_whole_table(database: Database, gateways: int) -> None:
    rows = [row(number, f"gw-{number % 1_000}") for number in range(10_000)]
    database.write_now(lambda c: insert_scans(c, rows))
    untold = [no_event(one, -1, "no_code") for one in rows]
    database.write_now(lambda c: c.execute(insert(trace_left_out), untold))
    for table in ("scan", "trace_left_out"):
        database.write_now(lambda c, table=table: c.exec_driver_sql(f"ANALYZE {table}"))  # type: ignore[misc]
    dense, silent = (frozenset(f"{what}-{n}" for n in range(gateways)) for what in ("gw", "none"))
    for among in (dense, silent):
        statements = list[tuple[str, Any]]()

        def note(_connection: object, _cursor: object, sql: str, values: Any, *_: object) -> None:
            statements.append((sql, values))  # noqa: B023  # is called within this turn

        event.listen(database.engine, "before_cursor_execute", note)
        database.read_now(lambda c, among=among: find_scans(c, among=among, limit=50))  # type: ignore[misc]
        event.remove(database.engine, "before_cursor_execute", note)
        assert len(statements) <= 6
        for plan in database.read_now(lambda c: [_plan(c, *one) for one in statements]):  # noqa: B023
            assert not [line for line in plan if "SCAN scan" in line or "Seq Scan" in line], plan


def _plan(connection: Connection, sql: str, values: Any) -> list[str]:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    return [str(line[-1]) for line in connection.exec_driver_sql(f"{explain} {sql}", values)]


def test_why_there_is_no_event_is_told_beside_the_scan(database: Database) -> None:
    rows = [row(number, "gw-a") for number in (1, 2)]
    told = [(-1, "no_code", ""), (0, "bad_code", "cylinder: A-17")]
    untold = [no_event(rows[0], *one) for one in told]
    database.write_now(lambda c: insert_scans(c, rows))
    database.write_now(lambda c: c.execute(insert(trace_left_out), untold))
    second, first = database.read_now(find_scans)
    assert second.no_event == []
    expected = [(None, *told[0][1:]), told[1]]
    assert [(one.code, one.reason, one.detail) for one in first.no_event] == expected
