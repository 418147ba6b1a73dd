"""The pages of platforms and dialects: registered, secret shown once, what is unknown."""

import re
from html import unescape

import httpx
import pytest

from cloud.web.texts import LANGUAGES, load_texts
from tests.support.firms import firm_details, put
from tests.support.http_services import TOKEN, World
from tests.support.platforms import BASE, CODE, status, token_of

ROOT = {"Authorization": f"Bearer {TOKEN}"}
FORM = {"id": "acme", "name": "云平台 A", "dialect": "chongqing@1", "organisation": "firm-a"}


async def csrf_of(operator: httpx.AsyncClient) -> str:
    page = await operator.get("/platforms")
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


async def register(operator: httpx.AsyncClient, world: World) -> tuple[str, str]:
    """Register by the page; return the CSRF token and the secret that was shown."""
    await put(world, "firm-a", firm_details(1))
    csrf = await csrf_of(operator)
    posted = await operator.post("/platforms", data={**FORM, "csrf": csrf})
    assert posted.status_code == 303, posted.text
    shown = await operator.get(posted.headers["location"])
    again = await operator.get(posted.headers["location"])
    found = re.search(r'id="secret"[^>]*>([^<]+)<', shown.text)
    assert found is not None
    assert found[1] not in again.text
    return csrf, found[1]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_platform_is_registered_and_its_account_shown(
    world: World, operator: httpx.AsyncClient, language: str
) -> None:
    _, secret = await register(operator, world)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(world.app), base_url="http://test"
    ) as machine:
        headers = await token_of(machine, secret)
        at = world.clock.wall_ms() - 8 * 3600 * 1000
        for number in range(6):
            items = [status(at + number, "93", "0x77<b>")]
            sent = await machine.post(f"{BASE}/acme/status", json={"items": items}, headers=headers)
            assert sent.status_code == 200
    operator.cookies.set("suyuan_language", language)
    page, t = unescape((await operator.get("/platforms")).text), load_texts(language)
    for text in ("云平台 A", "chongqing@1", "+7:59:59", t("platforms.constant")):
        assert text in page.replace("+8:00:00", "+7:59:59")
    assert secret not in page
    dialects = (await operator.get("/dialects")).text
    assert "0x77&lt;b&gt;" in dialects
    assert f'href="/assets/elevator:{CODE}"' in dialects
    assert t("dialects.code") in unescape(dialects)
    for one in world.services.platforms.dialects.values():
        assert t.of(one, "title") in unescape(dialects)


async def test_new_secret_and_revocation_by_the_page(
    world: World, operator: httpx.AsyncClient
) -> None:
    csrf, secret = await register(operator, world)
    posted = await operator.post("/platforms/acme/rotate", data={"csrf": csrf})
    shown = await operator.get(posted.headers["location"])
    assert 'id="secret"' in shown.text
    assert secret not in shown.text
    assert (await operator.post("/platforms/acme/revoke", data={"csrf": "x"})).status_code == 403
    assert (await operator.post("/platforms/acme/revoke", data={"csrf": csrf})).status_code == 303
    assert load_texts("zh")("platforms.revoked") in (await operator.get("/platforms")).text
    again = await operator.post("/platforms/acme/rotate", data={"csrf": csrf})
    assert again.status_code == 422
    assert load_texts("zh")("wrong_platform.finished") in again.text


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"id": "A B"}, None),
        ({"dialect": "none@1"}, "unknown_dialect"),
        ({"organisation": "nobody"}, "not_found"),
        ({"id": "acme"}, "name_taken"),
        ({"name": ""}, None),
    ],
)
async def test_form_that_is_wrong_comes_back_filled(
    world: World, operator: httpx.AsyncClient, change: dict[str, str], word: str | None
) -> None:
    csrf, _ = await register(operator, world)
    form = {**FORM, "id": "acme2", "name": "<i>B", "csrf": csrf, **change}
    answer = await operator.post("/platforms", data=form)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "<i>B" not in answer.text
    if word:
        assert load_texts("zh")(f"wrong_platform.{word}") in answer.text
    if "name" not in change:
        assert "&lt;i&gt;B" in answer.text


async def test_pages_are_for_who_is_signed_in(visitor: httpx.AsyncClient) -> None:
    for path in ("/platforms", "/dialects", "/platforms/acme/secret"):
        assert (await visitor.get(path)).status_code == 303
