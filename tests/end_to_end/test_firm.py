"""A small firm in Chromium: from sign-up to its first thing, and out again with all its data."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from cloud.web.texts import load_texts
from tests.support.browser import chromium, serve
from tests.support.firms import (
    DISTRICT,
    PASSWORD,
    People,
    credit_code,
    district_details,
    put,
    with_people,
)
from tests.support.http_services import open_world

DESK, PHONE = ViewportSize(width=1366, height=768), ViewportSize(width=390, height=844)
NAME = "永丰食品商行"


class Visitor:
    """One person at one browser."""

    def __init__(self, page: Page, address: str, shots: Path, language: str) -> None:
        self.page, self.address, self._shots, self._language = page, address, shots, language
        self.t = load_texts(language)
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def open(self, path: str) -> None:
        """Go to a page in the visitor's language."""
        await self.page.goto(f"{self.address}/language/{self._language}?next={path}")

    async def sign_in(self, token: str) -> None:
        """Come in by a token."""
        await self.open("/login")
        await self.page.click("details.login summary")
        await self.page.fill("#token", token)
        await self.page.click("details.login button")
        await self.page.wait_for_url(lambda url: "/login" not in url)

    async def try_password(self) -> None:
        """Give the name and the password of the first manager."""
        await self.open("/login")
        await self.page.fill("#username", "yongfeng")
        await self.page.fill("#password", PASSWORD)
        await self.page.click("form.login button")

    async def come_in(self) -> None:
        """Come in by them."""
        await self.try_password()
        await self.page.wait_for_url(lambda url: "/login" not in url)

    async def shoot(self, name: str) -> None:
        """Keep pictures at both widths; on neither is the page wider than the screen."""
        for width, size in (("desk", DESK), ("phone", PHONE)):
            await self.page.set_viewport_size(size)
            beyond = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert beyond <= 0, (name, width)
            path = self._shots / f"{name}-{self._language}-{width}.png"
            await self.page.screenshot(path=path, full_page=True)


async def _visitor(browser: Browser, address: str, shots: Path, language: str) -> Visitor:
    context = await browser.new_context(viewport=DESK, accept_downloads=True)
    return Visitor(await context.new_page(), address, shots, language)


@pytest.mark.parametrize("language", ["zh", pytest.param("en", marks=pytest.mark.long)])
async def test_firm_from_sign_up_to_its_first_thing_and_out_again(
    tmp_path: Path, language: str
) -> None:
    world = await open_world(tmp_path)
    await put(world, "office", district_details(DISTRICT))
    app, people = with_people(world)
    async with serve(app, world.services.stopping) as address, chromium() as browser:
        firm = await _visitor(browser, address, tmp_path, language)
        await _sign_up(firm)
        await _confirm(await _visitor(browser, address, tmp_path, language), people)
        await firm.come_in()
        await _first_steps(firm)
        await _leave(firm)
        await firm.try_password()
        await expect(firm.page.locator(".wrong")).to_be_visible()
        assert firm.complaints == []
    asset = await world.registry.get("stall:A-17")
    assert asset is not None
    assert world.organisations.peek(asset.parties["owner"]) is not None
    world.database.close()


async def _sign_up(firm: Visitor) -> None:
    page = firm.page
    await firm.open("/login")
    await page.click(f"a:text-is('{firm.t('login.sign_up')}')")
    await page.select_option("#kind", "enterprise")
    await page.fill("#name", NAME)
    await page.fill("#credit_code", credit_code(3)[:-1] + "0")
    await page.select_option("#district", DISTRICT)
    await page.check("[name=category_food]")
    await page.fill("#contact_name", "王五")
    await page.fill("#phone", "0432 6248 0001")
    await page.fill("#username", "yongfeng")
    for field in ("#password", "#again"):
        await page.fill(field, PASSWORD)
    await page.click("form button.big")
    await expect(page.locator(".wrong")).to_have_text(firm.t("wrong.credit_code"))
    await firm.shoot("sign-up-wrong")
    await page.fill("#credit_code", credit_code(3))
    for field in ("#password", "#again"):
        await page.fill(field, PASSWORD)
    await page.click("form button.big")
    await expect(page.locator("h1")).to_have_text(firm.t("sign_up.received"))
    await firm.shoot("received")


async def _confirm(office: Visitor, people: People) -> None:
    token = people.give("regulator", "office")["Authorization"].removeprefix("Bearer ")
    page = office.page
    await office.sign_in(token)
    await page.click(f"nav >> a:text-is('{office.t('place.organisations')}')")
    await page.click(f"a:text-is('{office.t('organisations.waiting')}')")
    await office.shoot("waiting")
    await page.click(f"a:text-is('{NAME}')")
    await expect(page.locator("#contact")).to_contain_text("yongfeng")
    await office.shoot("application")
    await page.click(f"button:text-is('{office.t('organisation_step.confirm')}')")
    await expect(page.locator(".title .tag")).to_have_text(office.t("organisation_state.active"))
    assert office.complaints == []


async def _first_steps(firm: Visitor) -> None:
    page = firm.page
    await page.click(f"nav >> a:text-is('{firm.t('place.organisations')}')")
    await firm.shoot("own")
    await page.click(f"a:text-is('{firm.t('organisations.first_steps')}')")
    await expect(page.locator(".steps .done")).to_have_count(1)
    await page.select_option("#kind", "stall")
    await page.fill("#code", "A-17")
    await page.fill("#name", "中心市场 17 号摊位")
    await page.fill("#address", "解放大路 1 号")
    await firm.shoot("first-steps")
    await page.click("form.form button.big")
    await expect(page.locator("h1")).to_have_text("中心市场 17 号摊位")
    await firm.open("/first-steps")
    await expect(page.locator(".steps .done")).to_have_count(2)
    await expect(page.locator(f"a:text-is('{firm.t('first_steps.invite')}')")).to_be_visible()
    await page.click(f"a:text-is('{firm.t('first_steps.key')}')")
    await page.fill("#key-name", "ERP")
    await page.check("[name=call][value='assets.read']")
    await page.click("#keys form button.big")
    await expect(page.locator("#token")).to_contain_text("sk_")
    await firm.shoot("key")
    await page.reload()
    await expect(page.locator("h1")).to_have_text(firm.t("once.title"))
    await firm.open("/first-steps")
    await expect(page.locator(".steps .done")).to_have_count(3)


async def _leave(firm: Visitor) -> None:
    page = firm.page
    await page.click(f"nav >> a:text-is('{firm.t('place.organisations')}')")
    await page.click(f"a:text-is('{firm.t('organisations.leave')}')")
    async with page.expect_download() as started:
        await page.click(f"a:text-is('{firm.t('organisations.export')}')")
    download = await started.value
    archive = zipfile.ZipFile(io.BytesIO(Path(await download.path()).read_bytes()))
    assert download.suggested_filename.startswith("suyuan-firm-")
    (asset,) = map(json.loads, archive.read("assets.jsonl").splitlines())
    assert (asset["asset_id"], asset["attributes"]["address"]) == ("stall:A-17", "解放大路 1 号")
    (account,) = map(json.loads, archive.read("accounts.jsonl").splitlines())
    assert (account["username"], account["name"]) == ("yongfeng", "王五")
    await firm.shoot("leave")
    for code, word in ((credit_code(4), "wrong.not_confirmed"), (credit_code(3), "")):
        await page.fill("#credit_code", code)
        await page.click("button.danger")
        if word:
            await expect(page.locator(".wrong")).to_have_text(firm.t(word))
    await expect(page.locator("h1")).to_have_text(firm.t("leave.done"))
    await firm.shoot("left")
