"""The audit's page."""

import httpx
import pytest

from cloud.model.audit import Entry
from tests.support.http_services import World

NASTY = "<script>alert(1)</script>\"'"


async def fill(world: World, count: int) -> None:
    now_ms = world.clock.wall_ms()
    await world.services.audit.note(
        *(
            Entry(
                recorded_at=now_ms + number * 60_000,
                by=f"account:{number % 3}",
                organisation="firm-a",
                call="assets.write" if number % 2 else "alarms.acknowledge",
                subject=f"asset:elevator:{number}",
                detail={"fields": ["name"], "state": "changed", "n": number},
            )
            for number in range(count)
        )
    )


async def test_audit_page_pages_and_filters(operator: httpx.AsyncClient, world: World) -> None:
    await fill(world, 120)
    page = (await operator.get("/audit")).text
    assert page.count("data-seq=") == 50
    assert 'data-seq="121"' in page  # the look at this page
    assert "登记和修改设备" in page
    assert "已修改" in page
    assert 'href="/audit?before=72"' in page
    older = (await operator.get("/audit?before=72")).text
    assert 'data-seq="71"' in older
    assert "最新" in older
    found = (await operator.get("/audit?call=assets.write&by=account:1")).text
    assert found.count("data-seq=") == 20
    assert '<option value="assets.write" selected>' in found
    assert "显示全部" in found


async def test_audit_page_reads_times_in_its_own_zone(
    operator: httpx.AsyncClient, world: World
) -> None:
    await fill(world, 3)  # 00:00, 00:01, 00:02 in Shanghai
    page = await operator.get("/audit?from=2025-11-25T00:01&to=2025-11-25T00:02")
    assert page.text.count("data-seq=") == 1
    assert 'value="2025-11-25T00:01"' in page.text


@pytest.mark.parametrize("query", ["from=noon", "subject=" + "x" * 129, "by=a%00b", "to=9999999"])
async def test_audit_page_refuses_what_no_form_sends(
    operator: httpx.AsyncClient, query: str
) -> None:
    assert (await operator.get(f"/audit?{query}")).status_code == 400


async def test_audit_page_shows_text_as_text(operator: httpx.AsyncClient, world: World) -> None:
    entry = Entry(recorded_at=1, by=NASTY, call=NASTY[:48], subject=NASTY, detail={NASTY: NASTY})
    await world.services.audit.note(entry)
    for path in ("/audit", "/audit?subject=%3Cscript%3Ealert(1)%3C/script%3E%22'"):
        page = await operator.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text


async def test_audit_page_asks_to_sign_in_first(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/audit")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/audit")
