"""Lifts over HTTP: file, record, calendar and the look whether a record is whole."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update

from cloud.lifts.check import check_lifts
from cloud.model.lift_tables import lift, lift_record
from cloud.trust import signing
from protocols.clock import ManualClock
from protocols.lifts.records import load_kinds
from tests.support.firms import DISTRICT, firm_details, put
from tests.support.http_services import World

BASE = "/api/v1/lifts"
CODE = "31102202022026010017"
LIFT = f"elevator:{CODE}"
FILE: dict[str, Any] = {
    "name": "1号楼1号梯",
    "registration_code": CODE,
    "rescue_code": "220001",
    "type_code": "3110",
    "manufacturer": "某电梯厂",
    "certificate": "梯11吉B0001(24)",
    "used_since": "2024-03-20",
    "address": "吉林大街1号",
    "district": DISTRICT,
    "floors": 18,
    "stops": 18,
    "doors": 18,
    "rated_speed_m_s": 1.75,
    "rated_load_kg": 1000,
    "latitude": 43.84,
    "longitude": 126.55,
    "maintenance_phone": "13800000000",
    "contracts": [{"maintainer": "firm-m", "from": "2024-03-01", "phone": "0432-1234567"}],
    "parties": {"owner": "firm-o", "maintainer": "firm-m"},
}
INSPECTOR = {"signers": [{"role": "inspector", "name": "赵检"}]}
WORKER = {"signers": [{"role": "worker", "name": "张保", "licence": "T-1"}]}


@pytest.fixture
async def filed(world: World, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """With one lift, on 2026-03-01 in the city."""
    clock = world.clock
    assert isinstance(clock, ManualClock)
    clock.set_wall(1_772_300_000_000)
    for number, name in enumerate(("firm-o", "firm-m")):
        details = firm_details(number, kind="enterprise", categories=("special_equipment",))
        await put(world, name, details)
    answer = await client.put(f"{BASE}/{CODE}", json=FILE)
    assert answer.status_code == 201, answer.text
    return client


async def write(client: httpx.AsyncClient, way: str, **draft: Any) -> dict[str, Any]:
    answer = await client.post(f"{BASE}/{CODE}/{way}", json=draft)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def history(client: httpx.AsyncClient) -> None:
    """Write 2 years of a life: 8 entries."""
    fields: dict[str, Any] = {"of": "installation", "result": "passed"}
    kind = "supervision_inspection"
    await write(client, "inspections", kind=kind, on="2024-03-10", fields=fields, **INSPECTOR)
    for month in (4, 5):
        on, fields = f"2024-{month:02}-02", {"level": "half_month"}
        done = await write(client, "records", kind="maintenance", on=on, fields=fields, **WORKER)
    await write(
        client,
        "confirmations",
        kind="confirmation",
        on="2024-05-03",
        about=done["seq"],
        fields={"agreed": True},
        signers=[{"role": "safety_manager", "name": "李安"}],
    )
    fields = {"result": "passed", "report_number": "R-1"}
    kind = "periodic_inspection"
    await write(client, "inspections", kind=kind, on="2025-03-02", fields=fields, **INSPECTOR)
    await write(client, "steps", kind="stop", on="2025-06-01", fields={"reason": "装修"})
    await write(client, "steps", kind="resume", on="2025-07-01")
    fields = {"what": "门关不上", "code": "02"}
    await write(client, "records", kind="fault", on="2025-08-01", fields=fields)


async def test_file_comes_back_and_is_written_through_to_the_asset(
    filed: httpx.AsyncClient,
) -> None:
    again = await filed.put(f"{BASE}/{CODE}", json=FILE)
    assert again.status_code == 200
    one = (await filed.get(f"{BASE}/{CODE}")).json()
    told = {name: one["file"][name] for name in FILE if name not in ("parties", "contracts")}
    assert told == {name: FILE[name] for name in told}
    assert one["parties"] == FILE["parties"]
    assert one["file"]["contracts"][0]["from"] == "2024-03-01"
    asset = (await filed.get(f"/api/v1/assets/{LIFT}")).json()
    assert asset["parties"] == FILE["parties"]
    names = ("address", "rescue_code", "maintenance_phone", "manufacturer", "latitude")
    assert {name: asset["attributes"][name] for name in names} == {
        name: FILE[name] for name in names
    }
    assert asset["findings"] == []


async def test_record_makes_the_calendar(filed: httpx.AsyncClient) -> None:
    await history(filed)
    told = (await filed.get(f"{BASE}/{CODE}/calendar")).json()
    years = {one["year"]: one for one in told["duties"] if one["year"]}
    told_of = [(years[n]["kind"], years[n]["state"]) for n in sorted(years)]
    assert told_of == [("periodic", "done"), ("self_test", "open"), ("self_test", "ahead")]
    assert (years[2]["due_on"], years[2]["from_on"]) == ("2026-03-31", "2026-01-01")
    assert all(one["source"] and one["confidence"] for one in told["duties"])
    care = {one["level"]: one for one in told["duties"] if one["kind"] == "maintenance"}
    assert (care["half_month"]["due_on"], care["half_month"]["state"]) == ("2025-07-16", "overdue")
    one = (await filed.get(f"{BASE}/{CODE}")).json()
    assert (one["next_due_on"], one["overdue"], one["state"]) == ("2025-07-16", 3, "in_use")
    assert one["records"]["seq"] == 8
    listed = (await filed.get(f"{BASE}?overdue=true&due_before=2025-08-01")).json()
    assert [each["code"] for each in listed] == [CODE]
    assert (await filed.get(f"{BASE}?overdue=false")).json() == []
    ics = (await filed.get("/api/v1/lift-calendar.ics?days=800")).text
    assert "维护保养" in ics
    assert "DTSTART;VALUE=DATE:20250716" in ics


async def test_records_tell_who_confirmed_and_what_was_corrected(
    filed: httpx.AsyncClient,
) -> None:
    await history(filed)
    fields = {"level": "quarterly"}
    again = {"kind": "maintenance", "on": "2024-04-02", "about": 2, "fields": fields}
    await write(filed, "records", **again, **WORKER)
    why = {"fields": {"reason": "误录"}}
    await write(filed, "records", kind="withdrawal", on="2025-08-02", about=8, **why)
    told = (await filed.get(f"{BASE}/{CODE}/records?limit=6")).json()
    assert [one["seq"] for one in told] == [10, 9, 8, 7, 6, 5]
    assert [one["stands"] for one in told] == [False, True, False, True, True, True]
    answer = await filed.get(f"{BASE}/{CODE}/records?limit=6")
    rest = (await filed.get(answer.links["next"]["url"])).json()
    assert [(one["seq"], one["stands"], one["confirmed"]) for one in rest] == [
        (4, True, False),
        (3, True, True),
        (2, False, False),
        (1, True, False),
    ]
    assert rest[1]["signers"] == [{"role": "worker", "name": "张保", "licence": "T-1"}]
    only = (await filed.get(f"{BASE}/{CODE}/records?kind=fault")).json()
    assert [one["seq"] for one in only] == [8]
    verdict = (await filed.get(f"{BASE}/{CODE}/verify")).json()
    assert (verdict["good"], verdict["entries"], verdict["faults"]) == (True, 10, [])


EDITS = {
    "UPDATE lift_record SET body = replace(body, '2024-04-02', '2024-04-03'), "
    "happened_on = '2024-04-03' WHERE seq = 2": (2, "edited"),
    "UPDATE lift_record SET happened_on = '2024-04-09' WHERE seq = 2": (2, "edited"),
    "UPDATE lift_record SET organisation = 'x' WHERE seq = 5": (5, "edited"),
    "DELETE FROM lift_record WHERE seq = 4": (4, "missing"),
    "DELETE FROM lift_record WHERE seq = 8": (8, "missing"),
    "INSERT INTO lift_record SELECT asset_id, 9, body, hash, signatures, kind, "
    "happened_on, recorded_at, about, organisation FROM lift_record WHERE seq = 8": (9, "moved"),
    "UPDATE lift SET hash = '0'": (8, "unlinked"),
    "UPDATE lift SET events = '[]'": (0, "edited"),
}


class Undo(Exception):
    """Ends a transaction that is not to stay."""


async def test_row_edited_by_sql_is_found_and_located(
    world: World, filed: httpx.AsyncClient, tmp_path: Path
) -> None:
    await history(filed)
    keys, kinds = signing.known_keys(tmp_path), load_kinds()
    lines, faults = world.database.read_now(lambda c: check_lifts(c, kinds, keys, signing.verify))
    assert (lines, faults) == (["lifts: 1 records of 8 entries, 0 faults"], 0)
    for sql, (seq, what) in EDITS.items():

        def bend(connection: Any, sql: str = sql) -> None:
            connection.execute(text(sql))
            lines[:] = check_lifts(connection, kinds, keys, signing.verify)[0]
            raise Undo

        with pytest.raises(Undo):
            world.database.write_now(bend)
        assert any(f"entry {seq} {what}" in line for line in lines), (sql, lines)
    world.database.write_now(lambda c: c.execute(text(next(iter(EDITS)))))
    verdict = (await filed.get(f"{BASE}/{CODE}/verify")).json()
    assert not verdict["good"]
    assert [(one["seq"], one["what"]) for one in verdict["faults"]] == [(2, "edited")]


async def test_end_cut_off_with_its_head_is_told_by_the_audit(
    world: World, filed: httpx.AsyncClient
) -> None:
    await history(filed)

    def cut(connection: Any) -> None:
        seventh = connection.execute(lift_record.select().where(lift_record.c.seq == 7)).one()
        connection.execute(lift_record.delete().where(lift_record.c.seq == 8))
        connection.execute(update(lift).values(seq=7, hash=seventh.hash))

    world.database.write_now(cut)
    verdict = (await filed.get(f"{BASE}/{CODE}/verify")).json()
    told = [(one["seq"], one["what"]) for one in verdict["faults"]]
    assert told == [(8, "missing")]
    assert "audit" in verdict["faults"][0]["expected"]


@pytest.mark.parametrize(
    ("way", "draft", "status", "detail"),
    [
        ("records", {"kind": "song", "on": "2025-01-01"}, 400, "kind: expected one of"),
        ("records", {"kind": "maintenance", "on": "2025-01-01", **WORKER}, 400, "fields.level"),
        (
            "records",
            {"kind": "maintenance", "on": "2025-01-01", "fields": {"level": "yearly"}},
            400,
            "signers: expected a name of role worker",
        ),
        ("records", {"kind": "fault", "on": "2030-01-01", "fields": {"what": "x"}}, 400, "today"),
        ("records", {"kind": "stop", "on": "2025-01-01", "fields": {"reason": "x"}}, 403, "write"),
        ("steps", {"kind": "resume", "on": "2025-01-01"}, 409, "in_use"),
        (
            "records",
            {"kind": "withdrawal", "on": "2025-01-01", "about": 99, "fields": {"reason": "x"}},
            409,
            "expected an entry, found none 99",
        ),
        ("records", {"kind": "drill", "on": "2025-02-30"}, 400, "on"),
        ("records", {"kind": "drill", "on": "2025-01-01", "colour": "red"}, 400, "colour"),
    ],
)
async def test_refusal_of_an_entry_tells_what_was_expected(
    filed: httpx.AsyncClient, way: str, draft: dict[str, Any], status: int, detail: str
) -> None:
    answer = await filed.post(f"{BASE}/{CODE}/{way}", json=draft)
    assert answer.status_code == status, answer.text
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/A2", {**FILE, "colour": "red"}, 400, "unknown field `colour`"),
        ("/A2", {**FILE, "type_code": "3100"}, 400, "type_code: expected one of 3110"),
        ("/A2", {**FILE, "supervised_on": "2030-01-01"}, 400, "today at the latest"),
        (
            "/A2",
            {**FILE, "installed_on": "2024-01-01", "manufactured_on": "2024-02-01"},
            400,
            "made",
        ),
        ("/A2", {**FILE, "rated_speed_m_s": -1}, 400, "$.rated_speed_m_s"),
        ("/a%20b", FILE, 400, "scheme:code"),
    ],
)
async def test_refusal_of_a_file_tells_what_was_expected(
    filed: httpx.AsyncClient, path: str, body: Any, status: int, detail: str
) -> None:
    answer = await filed.put(BASE + path, json=body)
    assert answer.status_code == status, answer.text
    assert detail in answer.json()["detail"]


async def test_look_up_by_any_code_tells_when_it_is_ambiguous(filed: httpx.AsyncClient) -> None:
    for code in (CODE, "220001"):
        found = (await filed.get(f"{BASE}/by-code/{code}")).json()
        assert (found["ambiguous"], [one["code"] for one in found["lifts"]]) == (False, [CODE])
    other = {**FILE, "registration_code": "", "name": "2"}
    assert (await filed.put(f"{BASE}/B2", json=other)).status_code == 201
    found = (await filed.get(f"{BASE}/by-code/220001")).json()
    assert (found["ambiguous"], len(found["lifts"])) == (True, 2)
    for asset in (LIFT, "elevator:B2"):
        findings = (await filed.get(f"/api/v1/assets/{asset}")).json()["findings"]
        assert "rescue_code_twice" in {one["reason"] for one in findings}
    assert (await filed.put(f"{BASE}/B2", json={**other, "rescue_code": "22"})).status_code == 200
    findings = (await filed.get(f"/api/v1/assets/{LIFT}")).json()["findings"]
    assert [one["resolved_at"] is not None for one in findings] == [True]
    findings = (await filed.get("/api/v1/assets/elevator:B2")).json()["findings"]
    assert {one["reason"]: one["resolved_at"] is None for one in findings} == {
        "rescue_code_twice": False,
        "lift_code_odd": True,
    }
    assert (await filed.get(f"{BASE}/by-code/nothing")).status_code == 404


async def test_scrapped_lift_takes_nothing_more_and_its_code_is_free(
    filed: httpx.AsyncClient,
) -> None:
    await write(filed, "steps", kind="scrap", on="2026-01-01", fields={"reason": "到期"})
    drill = {"kind": "drill", "on": "2026-01-02", "fields": {"what": "x"}}
    answer = await filed.post(f"{BASE}/{CODE}/records", json=drill)
    assert (answer.status_code, "scrapped" in answer.text) == (409, True)
    other = {**FILE, "registration_code": ""}
    assert (await filed.put(f"{BASE}/B2", json=other)).status_code == 201
    found = (await filed.get(f"{BASE}/by-code/220001")).json()
    assert [one["code"] for one in found["lifts"]] == ["B2"]
    findings = (await filed.get("/api/v1/assets/elevator:B2")).json()["findings"]
    assert findings == []
    why = {"fields": {"reason": "误录"}}
    await write(filed, "steps", kind="withdrawal", on="2026-01-03", about=1, **why)
    assert (await filed.get(f"{BASE}/{CODE}")).json()["state"] == "in_use"


async def test_import_tells_of_each_row_what_became_of_it(
    world: World, filed: httpx.AsyncClient
) -> None:
    table = (
        "code,registration_code,rescue_code,floors,district,used_since,parties.maintainer\n"
        f"C1,,220101,12,{DISTRICT},2025-01-01,firm-m\n"
        f"C2,,220102,many,{DISTRICT},2025-01-01,firm-m\n"
        f"C3,,220103,6,{DISTRICT},2025-01-01,\n"
        f"C 4,,220104,6,{DISTRICT},2025-01-01,\n"
    )
    path, kind = "/api/v1/lift-imports", {"Content-Type": "text/csv; charset=utf-8"}
    answer = await filed.post(path, content=table.encode(), headers=kind)
    assert (answer.status_code, answer.headers["location"]) == (202, f"{path}/1")
    await world.services.lifts.imports.run_waiting()  # type: ignore[attr-defined]
    one = (await filed.get(f"{path}/1")).json()
    assert (one["rows"], one["done"], one["taken"], one["refused"]) == (4, 4, 2, 2)
    assert [(each["line"], each["field"]) for each in one["refusals"]] == [
        (3, "floors"),
        (5, "code"),
    ]
    made = (await filed.get(f"{BASE}/C1")).json()
    assert (made["file"]["floors"], made["parties"]) == (12, {"maintainer": "firm-m"})
    again = await filed.post(path, content=table.encode(), headers=kind)
    assert again.status_code == 202
    await world.services.lifts.imports.run_waiting()  # type: ignore[attr-defined]
    two = (await filed.get(f"{path}/2")).json()
    assert (two["taken"], two["unchanged"], two["refused"]) == (0, 2, 2)
    lines = '{"code": "C5", "contracts": [{"from": "2026-01-01", "kind": "on_demand"}]}\n'
    jsonl = {"Content-Type": "application/jsonl"}
    assert (await filed.post(path, content=lines.encode(), headers=jsonl)).status_code == 202
    await world.services.lifts.imports.run_waiting()  # type: ignore[attr-defined]
    five = (await filed.get(f"{BASE}/C5")).json()
    assert five["file"]["contracts"][0]["kind"] == "on_demand"


async def test_list_leads_on_page_by_page_and_filters(filed: httpx.AsyncClient) -> None:
    for number in (1, 2, 3):
        file = {"name": f"梯{number}", "used_since": f"2025-0{number}-01"}
        assert (await filed.put(f"{BASE}/D{number}", json=file)).status_code == 201
    seen, path = [], f"{BASE}?limit=1"
    while path:
        answer = await filed.get(path)
        seen += [one["code"] for one in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert sorted(seen) == sorted(["D1", "D2", "D3", CODE])
    by_maintainer = (await filed.get(f"{BASE}?maintainer=firm-m")).json()
    assert [one["code"] for one in by_maintainer] == [CODE]
    by_place = (await filed.get(f"{BASE}?district={DISTRICT}&text=吉林大街")).json()
    assert [one["code"] for one in by_place] == [CODE]
    for wrong in ("state=full", "due_before=soon", "colour=red", "overdue=perhaps"):
        assert (await filed.get(f"{BASE}?{wrong}")).status_code == 400
