"""A whole rescue in Debian's Chromium: the desk at one page, the unit's telephone at another."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.support.browser import chromium, serve
from tests.support.http_services import TOKEN
from tests.support.rescue_desk import Centre, open_centre

DESK = ViewportSize(width=1366, height=768)
PHONE = ViewportSize(width=390, height=844)


@dataclass
class Desk:
    """The operator's page and all that it complained of."""

    page: Page
    address: str
    complaints: list[str]


@asynccontextmanager
async def opened(folder: Path, lifts: int = 3) -> AsyncIterator[tuple[Centre, str, Browser]]:
    async with (
        open_centre(folder, lifts=lifts) as centre,
        serve(centre.app, centre.services.stopping) as address,
        chromium("--autoplay-policy=no-user-gesture-required") as browser,
    ):
        yield centre, address, browser


async def at_desk(browser: Browser, address: str) -> Desk:
    page, complaints = await browser.new_page(viewport=DESK), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    await page.goto(f"{address}/language/zh?next=/rescue")
    await page.click("details.login summary")
    await page.fill("#person", "李四")
    await page.fill("#token", TOKEN)
    await page.click("details.login button")
    await expect(page.locator("#pulse.live")).to_be_visible()
    return Desk(page, address, complaints)


async def has_opened(page: Page, title: str) -> None:
    """Wait for a page whose scripts hear keys."""
    await expect(page.locator("h1")).to_have_text(title)
    await expect(page.locator("#pulse.live")).to_be_visible()


async def test_whole_rescue_from_the_call_to_the_archive(tmp_path: Path) -> None:
    async with opened(tmp_path) as (centre, address, browser):
        desk = await at_desk(browser, address)
        page = desk.page
        await page.keyboard.press("o")
        await page.locator("#rescue-code").press_sequentially("310002")
        await expect(page.locator("#found")).to_contain_text("中心医院 2 号梯")
        await page.fill("#people", "2")
        await page.fill("#caller-phone", "13804321234")
        await page.click("button.huge")
        await has_opened(page, "中心医院 2 号梯")

        await page.keyboard.press("v")
        await page.keyboard.press("Enter")
        await expect(page.locator("#course .title")).to_contain_text("已核实")
        await page.keyboard.press("d")
        await page.locator("input[name=unit]:checked").press("Enter")
        await expect(page.locator("#course .title")).to_contain_text("已派单")
        await page.click(".links-panel form:first-child button")
        text = await page.input_value("#link-text")
        link = text[text.index("http") :]

        context = await browser.new_context(viewport=PHONE, locale="zh-CN")
        phone = await context.new_page()
        await phone.goto(link)
        await phone.click("[data-say=accept][data-eta='600']")
        await expect(page.locator("#course .title")).to_contain_text("已接单")
        await context.set_offline(True)
        await phone.click("[data-say=arrive], summary")
        if await phone.locator("[data-say=arrive]").is_visible():
            await phone.click("[data-say=arrive]")
        await expect(phone.locator("#offline")).to_contain_text("尚未发出")
        await context.set_offline(False)
        await expect(page.locator("#course .title")).to_contain_text("已到场", timeout=10_000)
        await expect(phone.locator("#offline")).to_be_hidden()
        await phone.click("[data-say=release]")
        await expect(page.locator("#course .title")).to_contain_text("已脱困")

        await page.keyboard.press("b")
        await page.locator("form[data-first] input[value='5']").check()
        await page.keyboard.press("Enter")
        await expect(page.locator("#course .record")).to_contain_text("已回访")
        await page.keyboard.press("u")
        await page.select_option("select[name=cause]", index=1)
        await page.locator("form[action$=file_cause] button").click()
        await expect(page.locator("#course .record")).to_contain_text("填报原因")
        await page.keyboard.press("c")
        await page.locator("form[action$=close] button").click()
        await expect(page.locator("#course .title")).to_contain_text("已归档")
        assert desk.complaints == []
        one = await centre.incidents.get(1)
        assert (one.state, one.released_people, one.satisfaction) == ("closed", 2, 5)
        record = [entry.what for entry in await centre.incidents.record(1)]
        assert record.count("arrive") == 1


async def test_new_rescue_appears_with_sound_and_stops_ringing_when_taken(tmp_path: Path) -> None:
    async with opened(tmp_path, lifts=5) as (centre, address, browser):
        desk = await at_desk(browser, address)
        page = desk.page
        await expect(page.locator("#board")).to_contain_text("目前没有困人救援")
        for asset in centre.lifts:
            await centre.trap(asset)
        rows = page.locator("#incidents tbody tr")
        await expect(rows).to_have_count(5, timeout=2_000)
        await expect(page.locator("body")).to_have_attribute("data-rang", "emergency")
        await expect(page).to_have_title("(5) 困人救援 · 溯源")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await expect(rows.nth(1)).to_have_class(re.compile("chosen"))
        await page.keyboard.press("m")
        await expect(page.locator("#mute")).to_have_class(re.compile("muted"))
        await page.keyboard.press("?")
        await expect(page.locator("#help")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#help")).to_be_hidden()  # the browser closes it in its own time
        await page.keyboard.press("Enter")
        await expect(page.locator("#course .title")).to_contain_text("未受理")
        assert desk.complaints == []


async def test_what_is_being_typed_stays_when_the_rescue_changes(tmp_path: Path) -> None:
    async with opened(tmp_path, lifts=1) as (centre, address, browser):
        desk = await at_desk(browser, address)
        page = desk.page
        one = await centre.call(centre.lifts[0], people=1)
        await page.goto(f"{address}/rescue/{one.id}")
        await expect(page.locator("#pulse.live")).to_be_visible()
        await page.keyboard.press("n")
        note = page.locator("form[action$='/note'] [name=note]")
        await note.press_sequentially("老人，")
        await centre.act(one.id, "verify", people=2)
        await expect(page.locator("#course .title")).to_contain_text("已核实")
        await page.keyboard.type("心脏病")
        await expect(note).to_have_value("老人，心脏病")
        await page.locator("form[action$='/note'] button").click()
        await expect(page.locator("#course .record")).to_contain_text("老人，心脏病")
        await expect(note).to_have_value("")
        assert desk.complaints == []


async def test_screens_turn_red_when_the_feed_is_dead_and_come_back(tmp_path: Path) -> None:
    async with opened(tmp_path, lifts=1) as (centre, address, browser):
        desk = await at_desk(browser, address)
        wall = desk.page
        await wall.clock.install()
        await centre.trap(centre.lifts[0])
        await wall.goto(f"{address}/rescue/wall")
        await expect(wall.locator(".wall-row")).to_have_count(1)
        await expect(wall.locator("#pulse.live")).to_be_visible()
        await wall.route("**/api/v1/feed*", lambda route: route.abort())
        await wall.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        centre.services.stopping.set()
        await wall.clock.fast_forward(30_000)
        await expect(wall.locator("body")).to_have_class(re.compile("untrusted"))
        red = await wall.evaluate("getComputedStyle(document.body).backgroundColor")
        assert red == "rgb(109, 15, 10)"
        centre.services.stopping.clear()
        await wall.unroute("**/api/v1/feed*")
        await wall.clock.fast_forward(10_000)
        await expect(wall.locator("#banner")).to_be_hidden()


async def test_without_webgl_the_places_are_drawn_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, lifts=2) as (centre, address, browser):
        desk = await at_desk(browser, address)
        page = desk.page
        await page.add_init_script(
            "HTMLCanvasElement.prototype.getContext = new Proxy("
            "HTMLCanvasElement.prototype.getContext, {apply: (get, canvas, [kind, ...more]) => "
            "kind.startsWith('webgl') ? null : Reflect.apply(get, canvas, [kind, ...more])})"
        )
        await centre.trap(centre.lifts[0])
        await page.goto(f"{address}/rescue/wall")
        await expect(page.locator(".scatter .dot.incident")).to_be_visible()
        await expect(page.locator("#map")).to_be_hidden()
        assert desk.complaints == []


@pytest.mark.long
async def test_storm_stays_workable(tmp_path: Path) -> None:
    async with opened(tmp_path, lifts=40) as (centre, address, browser):
        desk = await at_desk(browser, address)
        page = desk.page
        for number in range(2_000):
            await centre.trap(f"elevator:dark{number}", alert="MainsOff", severity="warning")
            if number % 50 == 0:
                await centre.trap(centre.lifts[number // 50])
        await expect(page.locator("#incidents tbody tr")).to_have_count(40, timeout=5_000)
        assert desk.complaints == []
