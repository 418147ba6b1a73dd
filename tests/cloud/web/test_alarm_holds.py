"""The pages of what is held back and of the figures."""

import re
from typing import Any

import httpx
import pytest

from tests.support.http_services import LIFT, World, entrapment

WARNING: dict[str, Any] = {"severity": "warning", "alert": "CarDoorNotClosing"}
NASTY = "<script>alert(1)</script>\"'"


async def post(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    """Send a form as the page does."""
    page = (await client.get("/")).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf is not None
    return await client.post(path, data={"csrf": csrf[1], **form})


async def test_shelve_and_take_back_on_the_page(operator: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock, **WARNING))
    page = (await operator.get("/alarms/1")).text
    assert 'action="/alarms/1/shelve"' in page
    assert "8 小时" in page
    assert "24 小时" not in page  # longer than a warning may be
    answer = await post(operator, "/alarms/1/shelve", minutes="30", reason=NASTY)
    assert answer.headers["location"] == "/alarms/1"
    for path in ("/alarms/1", "/alarm-holds"):
        page = (await operator.get(path)).text
        assert "&lt;script&gt;alert(1)" in page
        assert NASTY not in page
        assert 'action="/alarms/1/unshelve"' in page
        assert "王五 (admin)" in page
    assert 'data-row="1"' not in (await operator.get("/parts/open")).text
    await post(operator, "/alarms/1/unshelve")
    assert world.desk.alarms[1].state == "unacknowledged"
    assert 'data-row="1"' not in (await operator.get("/alarm-holds")).text


@pytest.mark.parametrize(
    ("path", "form", "word"),
    [
        ("/alarms/1/shelve", {"minutes": "30", "reason": "x"}, "never_held"),
        ("/alarms/1/shelve", {"minutes": "7", "reason": "x"}, "until"),
        ("/alarms/1/shelve", {"minutes": "-1", "reason": "x"}, "until"),
        ("/alarms/1/unshelve", {}, "wrong_state"),
        ("/alarms/1/reset", {}, "wrong_state"),
        ("/alarms/1/out-of-service", {"hours": "x", "reason": "x"}, "until"),
        ("/alarms/1/out-of-service", {"hours": "99999", "reason": "x"}, "until"),
    ],
)
async def test_what_is_refused_is_told_on_the_page(
    operator: httpx.AsyncClient, world: World, path: str, form: dict[str, str], word: str
) -> None:
    world.desk.put(entrapment(world.clock))
    answer = await post(operator, path, **form)
    assert answer.status_code == 303
    assert f"refused={word}" in answer.headers["location"]
    page = (await operator.get(answer.headers["location"])).text
    assert 'class="notice" role="alert"' in page


async def test_emergency_offers_no_shelf(operator: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock))
    page = (await operator.get("/alarms/1?refused=<b>")).text
    assert "/shelve" not in page
    assert "<b>" not in page.partition('id="open"')[0]


async def test_reset_is_offered_where_something_is_latched(
    operator: httpx.AsyncClient, world: World
) -> None:
    latched = {"state": "latched_acknowledged", "active": False, "latched": True}
    world.desk.put(entrapment(world.clock, **{**WARNING, **latched}))
    assert 'action="/alarms/1/reset"' in (await operator.get("/alarms/1")).text
    await post(operator, "/alarms/1/reset")
    assert world.desk.alarms[1].state == "normal"


async def test_out_of_service_and_back(operator: httpx.AsyncClient, world: World) -> None:
    await world.registry.put(LIFT, kind="elevator", name="三号梯", gateways=[], attributes={})
    world.desk.put(entrapment(world.clock, **WARNING))
    await post(operator, "/alarms/1/out-of-service", hours="2", reason="检修")
    assert world.desk.out[LIFT].return_expected_at == world.clock.wall_ms() + 7_200_000
    page = (await operator.get("/alarm-holds")).text
    assert "三号梯" in page
    assert "检修" in page
    assert f'action="/assets/{LIFT}/return-to-service"' in (await operator.get("/alarms/1")).text
    answer = await post(operator, f"/assets/{LIFT}/return-to-service")
    assert answer.headers["location"] == "/alarm-holds"
    assert world.desk.out == {}


async def test_forms_need_their_token(operator: httpx.AsyncClient, world: World) -> None:
    world.desk.put(entrapment(world.clock, **WARNING))
    for path in ("/alarms/1/shelve", "/alarms/1/reset", f"/assets/{LIFT}/return-to-service"):
        answer = await operator.post(path, data={"minutes": "30", "reason": "x"})
        assert answer.status_code == 403
    assert (await post(operator, "/alarms/9/reset")).status_code == 404


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_figures_in_both_languages(operator: httpx.AsyncClient, language: str) -> None:
    await operator.get(f"/language/{language}?next=/")
    for query in ("", "?hours=1", "?hours=720", "?hours=nonsense"):
        page = (await operator.get(f"/alarm-figures{query}")).text
        assert page.count("data-figure=") == 8
    assert ("告警统计" in page) == (language == "zh")
