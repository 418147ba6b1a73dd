"""Partners of exchange, as people register, see, change, steer and end them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.epcis import Asked, open_asked

WHERE = "/api/v1/partners"
SECRET = "Bearer 3c2f0b9a"
PARTNER: dict[str, Any] = {
    "name": "省追溯平台",
    "base": "https://p.example.com/epcis/",
    "credential": {"value": SECRET},
    "pull": {"parameters": {"EQ_bizStep": "shipping"}, "since": "2026-01-01T00:00:00Z"},
    "push": {"whole": True},
}


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    async with open_asked(tmp_path) as asked:
        yield asked


async def call(
    asked: Asked, method: str, path: str = "", body: Any = None, *, firm: str = "firm-a"
) -> Any:
    headers = asked.firm(firm)
    return await asked.client.request(method, f"{WHERE}{path}", json=body, headers=headers)


async def made(asked: Asked) -> str:
    answer = await call(asked, "POST", body=PARTNER)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["partner_id"])


async def test_partner_is_made_shown_changed_and_ended(asked: Asked) -> None:
    one = await made(asked)
    shown = (await call(asked, "GET", f"/{one}")).json()
    assert shown["base"] == "https://p.example.com/epcis"
    assert shown["pull"]["since"] == "2026-01-01T00:00:00.000Z"
    assert (shown["pulling"]["fault"], shown["push_waiting"]) == ("", 0)
    change = {**PARTNER, "name": "other", "credential": {}, "push": None}
    changed = (await call(asked, "PUT", f"/{one}", change)).json()
    assert (changed["name"], changed.get("push")) == ("other", None)
    assert [p["partner_id"] for p in (await call(asked, "GET")).json()] == [one]
    assert (await call(asked, "DELETE", f"/{one}")).status_code == 204
    assert (await call(asked, "GET", f"/{one}")).status_code == 404


async def test_credential_is_kept_sealed_never_shown_and_for_its_own_server_alone(
    asked: Asked,
) -> None:
    one = await made(asked)
    row = asked.world.database.read_now(
        lambda c: c.exec_driver_sql("SELECT credential FROM trace_partner").scalar()
    )
    assert row == f"sealed {SECRET}"
    moved = {**PARTNER, "base": "https://thief.example.com", "credential": {}}
    answer = await call(asked, "PUT", f"/{one}", moved)
    assert (answer.status_code, answer.json()["type"][-11:]) == (400, "bad_partner")
    for path in ("", f"/{one}"):
        assert SECRET not in (await call(asked, "GET", path)).text


async def test_partner_is_paused_goes_on_and_is_run(asked: Asked) -> None:
    one = await made(asked)
    for verb, state in (("pause", "paused"), ("resume", "active"), ("run", "active")):
        answer = await call(asked, "POST", f"/{one}/{verb}")
        assert answer.json()["state"] == state
    assert (await call(asked, "POST", f"/{one}/stop")).status_code == 404


async def test_receipts_are_listed_by_page(asked: Asked) -> None:
    one = await made(asked)
    sql = (
        "INSERT INTO trace_receipt (partner_id, organisation, kind, begun_at_ms, state, url,"
        f" events, stored, duplicates, refused, faults) VALUES ('{one}', 'firm-a', 'pulled', 1,"
        " 'done', '/epcis/capture/x', 1, 1, 0, 0, '[]')"
    )
    for _ in range(3):
        asked.world.database.write_now(lambda c: c.exec_driver_sql(sql))
    first = await call(asked, "GET", f"/{one}/receipts?limit=2")
    assert [receipt["receipt"] for receipt in first.json()] == [3, 2]
    assert 'before=2>; rel="next"' in first.headers["link"]
    last = await call(asked, "GET", f"/{one}/receipts?before=2")
    assert [receipt["receipt"] for receipt in last.json()] == [1]
    other = await call(asked, "GET", f"/{one}/receipts", firm="firm-b")
    assert other.json() == []


async def test_another_firms_partner_is_not_told_from_none(asked: Asked) -> None:
    one = await made(asked)
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", PARTNER),
        ("DELETE", "", None),
        ("POST", "/run", None),
        ("POST", "/pause", None),
    ):
        answer = await call(asked, method, f"/{one}{path}", body, firm="firm-b")
        assert answer.status_code == 404, (method, path)
    clerk = asked.firm(role="enterprise_clerk")
    assert (await asked.client.get(WHERE, headers=clerk)).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"base": "http://p.example.com"},
        {"base": "https://127.0.0.1/epcis"},
        {"base": "https://169.254.169.254/"},
        {"base": "https://user:word@p.example.com/"},
        {"base": "https://p.example.com/epcis?x=1"},
        {"base": "ftp://p.example.com/"},
        {"base": "p"},
        {"base": "https://[::1/"},
        {"tolerances": "all"},
        {"pull": None, "push": None},
        {"pull": {"subscribe": True}},
        {"pull": {"interval_s": 1}},
        {"pull": {"since": "yesterday"}},
        {"credential": {"header": "Host", "value": "x"}},
        {"credential": {"header": "GS1-Extensions", "value": "x"}},
        {"credential": {"value": "a\r\nb"}},
        {"credential": {"header": "Authorization"}},
        {"name": ""},
        {"more": 1},
    ],
)
async def test_partner_that_cannot_be_is_refused(asked: Asked, change: Any) -> None:
    answer = await call(asked, "POST", body={**PARTNER, **change})
    assert answer.status_code == 400, answer.text
    assert (await call(asked, "GET")).json() == []
