"""A department's officer in Chromium: invited, the second factor set up, in with it, and out."""

from dataclasses import replace
from pathlib import Path

import pyotp
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page, ViewportSize, expect

from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app
from cloud.feed.store import FeedStore
from cloud.model.organisation import Details
from cloud.web.texts import load_texts
from protocols.clock import ManualClock
from tests.support.browser import chromium, serve
from tests.support.firms import (
    DISTRICT,
    OTHER_DISTRICT,
    PASSWORD,
    district_details,
    firm_details,
    put,
)
from tests.support.http_services import TOKEN, World, open_world

DESK, PHONE = ViewportSize(width=1366, height=768), ViewportSize(width=390, height=844)


class Visitor:
    """One person at one browser."""

    def __init__(self, page: Page, address: str, shots: Path, language: str) -> None:
        self.page, self.address, self._shots, self._language = page, address, shots, language
        self.t = load_texts(language)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._heard(said.text))
        page.on("request", lambda request: self.asked.append(request.url))

    def _heard(self, said: str) -> None:
        """Keep what the console says, but for answers that refuse a form: those are meant."""
        if not said.startswith("Failed to load resource: the server responded with a status of 40"):
            self.complaints.append(said)

    async def open(self, path: str) -> None:
        """Go to a page in the visitor's language."""
        await self.page.goto(f"{self.address}/language/{self._language}?next={path}")

    async def click(self, key: str, of: str = "button") -> None:
        """Press what is called so."""
        await self.page.click(f"{of}:text-is('{self.t(key)}') >> visible=true")

    async def fill(self, **fields: str) -> None:
        """Fill fields by their ids."""
        for name, value in fields.items():
            await self.page.fill(f"#{name}", value)

    async def shoot(self, name: str) -> None:
        """Keep pictures at both widths; on neither is the page wider than the screen."""
        for width, size in (("phone", PHONE), ("desk", DESK)):
            await self.page.set_viewport_size(size)
            beyond = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert beyond <= 0, (name, width)
            path = self._shots / f"{name}-{self._language}-{width}.png"
            await self.page.screenshot(path=path, full_page=True)


async def _visitor(browser: Browser, address: str, shots: Path, language: str) -> Visitor:
    context = await browser.new_context(viewport=DESK)
    return Visitor(await context.new_page(), address, shots, language)


def _with_alarms(world: World) -> FastAPI:
    """Return the application with alarms that ask whose they are."""
    feed = FeedStore(world.database, world.clock)
    desk = AlarmDesk(
        database=world.database,
        clock=world.clock,
        append_feed=feed.append,
        on_commit=feed.committed,
    )
    return create_app(replace(world.services, alarms=desk))


@pytest.mark.parametrize("language", ["zh", pytest.param("en", marks=pytest.mark.long)])
async def test_officer_from_the_invitation_to_work_with_a_second_factor(
    tmp_path: Path, language: str
) -> None:
    clock = ManualClock()
    world = await open_world(tmp_path, clock=clock)
    bureau = Details(kind="department", name="市场监督管理局", department="market_supervision")
    await put(world, "bureau", bureau)
    for number, (id_, district) in enumerate((("firm-a", DISTRICT), ("firm-b", OTHER_DISTRICT)), 1):
        await put(world, f"office-{number}", district_details(district))
        await put(world, id_, firm_details(number, districts=(district,)))
    async with serve(_with_alarms(world), world.services.stopping) as address, chromium() as one:
        administrator = await _visitor(one, address, tmp_path, language)
        code = await _open_account(administrator)
        officer = await _visitor(one, address, tmp_path, language)
        await _redeem(officer, code)
        totp = await _enrol(officer, clock)
        await _come_in_with_code(officer, totp, clock)
        await _end_another(officer, await _visitor(one, address, tmp_path, language), totp, clock)
        await expect(administrator.page.locator(".who")).to_have_text("赵六 (admin)")
        for visitor in (administrator, officer):
            assert visitor.complaints == []
            for secret in (code, PASSWORD, totp.secret):
                assert not [url for url in visitor.asked if secret in url]
    world.database.close()


async def _open_account(administrator: Visitor) -> str:
    page = administrator.page
    await administrator.open("/login")
    await page.click("details.login summary")
    await administrator.fill(person="赵六", token=TOKEN)
    await page.click("details.login button")
    await page.click(f"nav >> a:text-is('{administrator.t('place.accounts')}')")
    await page.select_option("select[name=organisation]", "bureau")
    await administrator.click("accounts.show")
    await administrator.fill(name="王武", username="wang.wu")
    await administrator.click("accounts.invite_submit")
    await expect(page.locator(".wrong")).to_have_text(administrator.t("wrong_account.roles"))
    await page.check("[name=role][value=regulator]")
    await page.check(f"[name=district][value={DISTRICT}]")
    await administrator.shoot("invite")
    await administrator.click("accounts.invite_submit")
    await administrator.shoot("code")
    code = await page.inner_text("#code")
    assert await page.inner_text("#where") == f"{administrator.address}/redeem"
    await page.reload()
    await expect(page.locator("h1")).to_have_text(administrator.t("once.title"))
    assert code not in await page.content()
    await administrator.click("once.back", "a")
    await administrator.fill(name="王五")
    await administrator.click("organisations.save")
    await expect(page.locator("h1")).to_have_text("王五")
    await administrator.shoot("one")
    await administrator.click("accounts.back", "a")
    await administrator.shoot("list")
    return code


async def _redeem(officer: Visitor, code: str) -> None:
    page = officer.page
    await officer.open("/login")
    await officer.click("login.redeem", "a")
    await officer.fill(code="AAAAA-AAAAA-AAAAA-AAAAA", password=PASSWORD, again=PASSWORD)
    await officer.click("redeem.submit")
    await expect(page.locator(".wrong")).to_have_text(officer.t("wrong_account.bad_code"))
    await officer.fill(code=code, password="123456789012", again="123456789012")
    await officer.click("redeem.submit")
    await expect(page.locator(".wrong")).to_have_text(officer.t("wrong_account.weak_password"))
    await officer.shoot("redeem-wrong")
    await officer.fill(password=PASSWORD, again=PASSWORD)  # the code is still there
    await officer.click("redeem.submit")
    await officer.shoot("redeemed")
    await officer.click("redeem.log_in", "a")


async def _come_in(visitor: Visitor) -> None:
    await visitor.fill(username="wang.wu", password=PASSWORD)
    await visitor.click("login.submit")


async def _enrol(officer: Visitor, clock: ManualClock) -> pyotp.TOTP:
    page = officer.page
    await _come_in(officer)
    await page.wait_for_url("**/account")
    await expect(page.locator(".notice")).to_have_text(officer.t("account.first"))
    await expect(page.locator("nav a")).to_have_count(0)
    for path in ("/organisations", "/audit", "/"):
        await officer.open(path)
        await page.wait_for_url("**/account")
    await officer.shoot("first")
    await officer.click("second_factor.begin")
    box = await page.locator("svg.qr path").first.bounding_box()
    assert box is not None
    assert box["width"] > 200
    await officer.shoot("second-factor")
    secret = (await page.inner_text("#secret")).replace(" ", "")
    totp = pyotp.TOTP(secret)
    await officer.fill(code="000000", present=PASSWORD)
    await officer.click("second_factor.submit")
    await expect(page.locator(".wrong")).to_have_text(officer.t("wrong_account.wrong_code"))
    await officer.shoot("second-factor-wrong")
    await officer.fill(code=totp.at(clock.wall_ms() // 1000), present=PASSWORD)
    await officer.click("second_factor.submit")
    await expect(page.locator(".codes li")).to_have_count(10)
    await officer.shoot("recovery")
    await officer.click("redeem.log_in", "a")
    return totp


async def _with_code(visitor: Visitor, totp: pyotp.TOTP, clock: ManualClock) -> None:
    clock.advance(30_000)
    await _come_in(visitor)
    await visitor.fill(code=totp.at(clock.wall_ms() // 1000))
    await visitor.click("login.submit")
    await expect(visitor.page.locator("a.who")).to_have_text("王五 (wang.wu)")


async def _come_in_with_code(officer: Visitor, totp: pyotp.TOTP, clock: ManualClock) -> None:
    page = officer.page
    await _with_code(officer, totp, clock)
    names = await page.locator("nav a").all_inner_texts()
    assert officer.t("place.accounts") not in names
    await page.click(f"nav >> a:text-is('{officer.t('place.organisations')}')")
    await expect(page.locator("table")).to_contain_text("企业 1")
    await expect(page.locator("table")).not_to_contain_text("企业 2")
    await officer.open("/organisations/firm-b")
    await expect(page.locator("h1")).to_have_text(officer.t("site.not_found"))
    await officer.open("/accounts")  # looks after nobody's account but the own
    await page.wait_for_url("**/account")


async def _end_another(
    officer: Visitor, other: Visitor, totp: pyotp.TOTP, clock: ManualClock
) -> None:
    await other.open("/login?next=/organisations")
    await _with_code(other, totp, clock)
    page = officer.page
    await officer.open("/account")
    await expect(page.locator("#sessions li")).to_have_count(2)
    await officer.shoot("account")
    await officer.click("account.end")
    await expect(page.locator(".well")).to_have_text(officer.t("account_done.session"))
    await expect(page.locator("#sessions li")).to_have_count(1)
    await other.open("/account")
    await other.page.wait_for_url("**/login?next=/account")
