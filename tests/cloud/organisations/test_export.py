"""All data of an organisation in a ZIP file, on both databases."""

import asyncio
import csv
import io
import json
import tracemalloc
import zipfile
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert

from cloud.alarms.rows import to_row
from cloud.model import people_tables as people
from cloud.model import tables
from cloud.model.alarm import Alarm
from cloud.model.database import Database
from cloud.model.organisation import Contact, Organisation
from cloud.organisations import export as module
from cloud.organisations import listings
from cloud.organisations.book import OrganisationBook
from cloud.organisations.export import Export, cell
from cloud.organisations.listings import LISTINGS
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from tests.support.firms import ROOT, firm_details

EVIL = '=HYPERLINK("http://evil")'


def account(number: int, organisation: str) -> dict[str, Any]:
    return {
        "id": number,
        "username": f"u{number}",
        "name": EVIL,
        "organisation": organisation,
        "roles": '["enterprise_manager"]',
        "password": "SECRET",
        "second_factor": "SECRET",
        "second_factor_step": 987_654,
        "recovery": '["SECRET"]',
        "state": "active",
        "failures": 0,
        "created_at": 1_764_000_000_000,
        "updated_at": 1,
    }


def alarm(asset: str, alert: str = "Entrapment") -> dict[str, Any]:
    alarm = Alarm(
        id=0,
        alert=alert,
        asset=asset,
        severity="emergency",
        state="normal",
        raised_at=1,
        observed_at=1,
        changed_at=1,
    )
    return to_row(alarm)


def scan(gateway: str, seq: int) -> dict[str, Any]:
    return {
        "gateway": gateway,
        "spool": "0" * 32,
        "stream": "data",
        "seq": seq,
        "record_index": 0,
        "reader": "r-1",
        "observed_at": 1,
        "received_at": 1,
        "time_unknown": False,
        "codes": '[{"scheme":"gtin","value":"06901234567892"}]',
        "findings": "[]",
    }


def asset(asset_id: str, gateways: list[str]) -> dict[str, Any]:
    return {
        "asset_id": asset_id,
        "kind": "stall",
        "name": "+1",
        "gateways": json.dumps(gateways),
        "attributes": '{"address":"解放大路 1 号"}',
        "district": "",
        "category": "",
        "updated_at": 1,
    }


def entry(seq: int, organisation: str) -> dict[str, Any]:
    return {
        "seq": seq,
        "recorded_at": 1,
        "by": "account:1",
        "organisation": organisation,
        "call": "assets.write",
        "subject": "asset:stall:1",
        "detail": "{}",
        "hash": "0" * 64,
    }


def _rows(organisation: str, base: int) -> list[tuple[Table, dict[str, Any]]]:
    mine = [f"stall:{base}", f"stall:{base + 1}", f"gateway:gw-{base + 2}"]
    whose = {"sha256": f"SECRET{base}", "account": base, "organisation": organisation}
    key = {**whose, "name": "k", "calls": "[]", "created_at": 1, "expires_at": 2}
    times = {"issued_at": 1, "renewed_at": 1, "expires_at": 2}
    held = {**whose, "id": f"d{base}", "name": "d", **times}
    rows: list[tuple[Table, dict[str, Any]]] = [
        (people.account, account(base, organisation)),
        (people.api_key, key),
        (people.device, {**held, "previous_sha256": "SECRET"}),
        (people.audit, entry(base, organisation)),
    ]
    for number, one in enumerate(mine):
        gateway = f"gw-{base}-{number % 2}"
        named = {"asset_id": one, "gateway_id": gateway}
        rows += [(tables.asset, asset(one, [gateway])), (tables.asset_gateway, named)]
        for part in ("owner", "maintainer"):  # one organisation in two parts counts once
            party = {"asset_id": one, "part": part, "organisation": organisation}
            rows.append((tables.asset_party, party))
        rows.append((tables.alarm, alarm(one)))
    for number in range(7):
        rows.append((tables.scan, scan(f"gw-{base}-0", number)))
    rows.append((tables.scan, scan(f"gw-{base + 2}", 0)))
    return rows


@pytest.fixture
async def firms(book: OrganisationBook, database: Database) -> list[Organisation]:
    found = []
    for number, name in ((10, "firm-a"), (20, "firm-b")):
        details = firm_details(number, name=EVIL, contact=Contact(name="王五", phone="123456"))
        one, _ = await book.put(name, details, by=ROOT)
        found.append(one)
        rows = _rows(name, number)

        def write(connection: Connection, rows: Any = rows) -> None:
            for table, row in rows:
                connection.execute(insert(table).values(**row))

        database.write_now(write)
    return found


async def whole(export: Export, one: Organisation) -> zipfile.ZipFile:
    data = b"".join([part async for part in await export.open(one)])
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return archive


def lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"{name}.jsonl").splitlines()]


def table(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    text = archive.read(f"{name}.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("page_rows", [1, 2, 3, 500])
async def test_export_holds_all_of_its_own_and_nothing_else(
    database: Database,
    clock: ManualClock,
    firms: list[Organisation],
    monkeypatch: pytest.MonkeyPatch,
    page_rows: int,
) -> None:
    monkeypatch.setattr(listings, "PAGE_ROWS", page_rows)
    monkeypatch.setattr(listings, "OUTER_MAX", 2)
    archive = await whole(Export(database, clock), firms[0])
    assert {name for name in archive.namelist() if name.endswith(".csv")} == {
        f"{listing.name}.csv" for listing in LISTINGS
    }
    for listing in LISTINGS:
        assert len(lines(archive, listing.name)) == len(table(archive, listing.name))
    assert [one["id"] for one in lines(archive, "accounts")] == [10]
    assert [one["id"] for one in lines(archive, "devices")] == ["d10"]
    things = ["gateway:gw-12", "stall:10", "stall:11"]
    assert [one["asset_id"] for one in lines(archive, "assets")] == things
    assert len(lines(archive, "parties")) == 6
    assert [one["asset"] for one in lines(archive, "alarms")] == things
    scans = lines(archive, "scans")
    assert [(one["gateway"], one["seq"]) for one in scans] == [
        *(("gw-10-0", seq) for seq in range(7)),
        ("gw-12", 0),
    ]
    assert scans[0]["codes"] == [{"scheme": "gtin", "value": "06901234567892"}]
    assert [one["seq"] for one in lines(archive, "audit")] == [10]
    (own,) = lines(archive, "organisation")
    assert (own["id"], own["contact"]) == ("firm-a", {"name": "王五", "phone": "123456"})


async def test_export_holds_no_secret_and_no_formula(
    database: Database, clock: ManualClock, firms: list[Organisation]
) -> None:
    archive = await whole(Export(database, clock), firms[0])
    for name in archive.namelist():
        text = archive.read(name)
        assert b"SECRET" not in text, name
        assert b"987654" not in text, name
        assert b"firm-b" not in text, name
    (row,) = lines(archive, "accounts")
    assert (row["name"], row["second_factor"]) == (EVIL, True)
    assert row["created_at"] == "2025-11-24T16:00:00.000Z"
    assert table(archive, "accounts")[0]["name"] == f"'{EVIL}"
    assert table(archive, "assets")[0]["name"] == "'+1"


async def test_readme_tells_what_is_in_it_in_both_languages(
    database: Database, clock: ManualClock, firms: list[Organisation]
) -> None:
    archive = await whole(Export(database, clock), firms[0])
    for language, word in (("zh", "单位编号：firm-a"), ("en", "Organisation: firm-a")):
        text = archive.read(f"README.{language}.txt").decode("utf-8-sig")
        assert word in text
        assert "scans.jsonl  8\n" in text
        for listing in LISTINGS:
            assert f"\n{listing.name} " in text


async def test_large_table_goes_on_in_a_further_file(
    database: Database,
    clock: ManualClock,
    firms: list[Organisation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listings, "PAGE_ROWS", 2)
    monkeypatch.setattr(module, "PART_ROWS_MAX", 4)
    archive = await whole(Export(database, clock), firms[0])
    assert [len(lines(archive, name)) for name in ("scans", "scans-2")] == [4, 4]
    assert [len(table(archive, name)) for name in ("scans", "scans-2")] == [4, 4]
    monkeypatch.setattr(module, "PART_BYTES_MAX", 1)
    archive = await whole(Export(database, clock), firms[0])
    assert [len(table(archive, name)) for name in ("scans", "scans-2", "scans-4")] == [2, 2, 2]


async def test_one_export_at_a_time_and_one_broken_off_makes_room(
    database: Database, clock: ManualClock, firms: list[Organisation]
) -> None:
    export = Export(database, clock)
    under_way: Any = await export.open(firms[0])
    with pytest.raises(RefuseInput, match="too_many_exports: 60"):
        await export.open(firms[0])
    other: Any = await export.open(firms[1])
    await anext(under_way)
    await anext(under_way)
    await under_way.aclose()
    await other.aclose()
    del other
    await asyncio.sleep(0.05)
    for firm in firms:
        assert (await whole(export, firm)).testzip() is None


async def test_memory_does_not_grow_with_what_is_exported(
    database: Database, clock: ManualClock, firms: list[Organisation]
) -> None:
    if database.engine.dialect.name != "sqlite":
        pytest.skip("the same code reads both; the driver's memory is not ours")
    many = [scan("gw-10-0", seq) for seq in range(100, 30_100)]
    database.write_now(lambda c: c.execute(insert(tables.scan), many))
    export = Export(database, clock)
    tracemalloc.start()
    sent = 0
    async for part in await export.open(firms[0]):
        sent += len(part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sent > 100_000
    assert peak < 8 * 1024 * 1024  # 30,000 rows at once would be some 60 MB


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        (1.5, "1.5"),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ("a\0b", "a\ufffdb"),
        (["=1"], '["=1"]'),
        ({"a": "船"}, '{"a":"船"}'),
    ],
)
def test_cell_is_never_a_formula(value: object, written: str) -> None:
    assert cell(value) == written
