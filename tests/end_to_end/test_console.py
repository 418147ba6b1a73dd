"""The console in Debian's Chromium, against an application served on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize, expect

from cloud.model.asset import LatestValue
from tests.support.browser import chromium, serve
from tests.support.http_services import LIFT, TOKEN, World, entrapment, open_world

DESK = ViewportSize(width=1366, height=768)
PHONE = ViewportSize(width=390, height=844)

HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


class Console:
    """One browser page at the console, and all that it complained of."""

    def __init__(self, page: Page, address: str, world: World, shots: Path) -> None:
        self.page, self.address, self.world, self._shots = page, address, world, shots
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda line: self.complaints.append(line.text) if line.type == "error" else None,
        )

    async def sign_in(self, language: str = "zh") -> None:
        """Sign in and wait until the feed is live."""
        await self.page.goto(f"{self.address}/language/{language}?next=/")
        await self.page.click("details.login summary")
        await self.page.fill("#person", "王五")
        await self.page.fill("#token", TOKEN)
        await self.page.click("details.login button")
        await expect(self.page.locator("#pulse.live")).to_be_visible()

    async def shoot(self, name: str) -> None:
        """Keep a picture for people to look at."""
        await self.page.screenshot(path=self._shots / f"{name}.png", full_page=True)

    async def width_beyond_screen(self) -> int:
        """Tell by how many pixels the page is wider than the screen."""
        found = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return int(found)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[World, str, Browser]]:
    """Serve a lift with some history, and start a browser."""
    world = await open_world(folder)
    now = world.clock.wall_ms()
    await world.registry.put(
        LIFT,
        kind="elevator",
        name="人民广场 3 号梯",
        gateways=[],
        attributes={"address": "解放大路 1 号", "maintenance_phone": "0431-88881234"},
    )
    seen = {"car_position": 12, "speed": 0.0, "passenger_status": True, "door_zone": False}
    world.latest[LIFT] = {
        name: LatestValue(value=value, observed_at=now) for name, value in seen.items()
    }
    world.telemetry.points = {
        "car_position": [(now - 400_000 + n * 10_000, min(12, n)) for n in range(40)],
        "speed": [(now - 400_000, 1.75), (now - 60_000, 0.0)],
        "passenger_status": [(now - 400_000, False), (now - 200_000, True)],
        "door_zone": [(now - 400_000, True), (now - 60_000, False)],
    }
    try:
        async with serve(world.app, world.services.stopping) as address, chromium() as browser:
            yield world, address, browser
    finally:
        world.database.close()


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_entrapment_appears_is_acknowledged_and_ends_without_reload(
    tmp_path: Path, language: str
) -> None:
    async with opened(tmp_path) as (world, address, browser):
        context = await browser.new_context(viewport=DESK)
        console = Console(await context.new_page(), address, world, tmp_path)
        await console.sign_in(language)
        page = console.page
        calm = {"zh": "目前没有未处理的告警", "en": "No open alarms"}[language]
        await expect(page.locator("#open")).to_contain_text(calm)
        await page.evaluate("window.notReloaded = true")

        world.desk.put(entrapment(world.clock))
        card = page.locator("#alarm-1")
        words = {
            "zh": ["电梯困人", "待确认", "轿厢内报警按钮被按下", "已持续"],
            "en": ["Passengers trapped", "To acknowledge", "Alarm button in the car", "Lasting"],
        }[language]
        for text in [*words, "人民广场 3 号梯", "解放大路 1 号", "0431-88881234", "12"]:
            await expect(card).to_contain_text(text)
        await expect(page.locator("#announce")).to_contain_text("人民广场 3 号梯")
        await expect(card.locator(".u-wrap canvas")).to_be_visible()
        await expect(card.locator(".strip")).to_have_count(2)
        await expect(page).to_have_title(f"(1) {await plain_title(page)}")
        await expect(card.locator(".since")).to_have_text("0:02")  # it counts by itself
        assert await fits_on_screen(page, "#alarm-1")
        await console.shoot(f"open-{language}")

        await card.locator("input.note").fill("已派 2 组")
        await card.locator("button").click()
        await expect(card).to_contain_text("王五 (admin)")
        await expect(card).to_contain_text("已派 2 组")
        assert world.desk.alarms[1].acknowledged_by == "王五 (admin)"

        world.desk.change(1, state="normal", returned_at=world.clock.wall_ms())
        await expect(page.locator("#open")).to_contain_text(calm)
        row = page.locator('#recent [data-row="1"]')
        await expect(row).to_contain_text({"zh": "已恢复", "en": "Back to normal"}[language])
        await console.shoot(f"ended-{language}")
        assert await page.evaluate("window.notReloaded")
        assert console.complaints == []


async def test_note_being_written_survives_other_alarms_and_evidence(tmp_path: Path) -> None:
    async with opened(tmp_path) as (world, address, browser):
        console = Console(await browser.new_page(viewport=DESK), address, world, tmp_path)
        world.desk.put(entrapment(world.clock))
        await console.sign_in()
        note = console.page.locator("#note-1")
        await note.press_sequentially("已与轿厢")
        world.desk.put(entrapment(world.clock, 2, asset="elevator:2"))
        await expect(console.page.locator("#open .card")).to_have_count(2)
        world.desk.change(1, evidence="off_level")
        await expect(console.page.locator("#alarm-1")).to_contain_text("停在门区外")
        await expect(note).to_be_focused()
        await console.page.keyboard.type("通话")
        await expect(note).to_have_value("已与轿厢通话")
        await console.page.keyboard.press("Enter")
        await expect(console.page.locator("#alarm-1")).to_contain_text("已与轿厢通话")
        assert world.desk.alarms[1].note == "已与轿厢通话"
        assert world.desk.alarms[2].state == "unacknowledged"
        assert console.complaints == []


async def test_banner_turns_red_when_silent_behind_or_signed_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as (world, address, browser):
        world.feed.heartbeat_s = 0.05
        console = Console(await browser.new_page(viewport=DESK), address, world, tmp_path)
        page, banner = console.page, console.page.locator("#banner")
        await page.clock.install()  # the page's time is ours to move forward
        await console.sign_in()
        await expect(banner).to_be_hidden()

        world.feed.lag_ms = 61_000
        await expect(banner).to_contain_text("最早的未处理数据已等待 60 秒")
        world.feed.lag_ms = 0
        await expect(banner).to_be_hidden()

        world.feed.silent = True
        await page.clock.fast_forward(25_000)
        await expect(banner).to_contain_text("数据中断")
        await expect(page.locator("#pulse.down")).to_be_visible()
        await console.shoot("silent")
        world.feed.silent = False
        await expect(banner).to_be_hidden()

        await page.context.clear_cookies()
        world.feed.silent = True
        await page.clock.fast_forward(25_000)
        await expect(banner).to_contain_text("登录已失效")
        await expect(page.locator("#banner-link")).to_be_visible()


async def test_feed_resumes_after_the_server_was_away(tmp_path: Path) -> None:
    async with opened(tmp_path) as (world, address, browser):
        world.feed.heartbeat_s = 0.05
        console = Console(await browser.new_page(viewport=DESK), address, world, tmp_path)
        world.desk.put(entrapment(world.clock))
        await console.sign_in()
        await world.feed.wait_for_listeners(1)  # else there is nothing yet to cut
        async with console.page.expect_request(lambda request: "/api/v1/feed" in request.url):
            world.feed.cut()
            world.desk.put(entrapment(world.clock, 2, asset="elevator:2"))
        await expect(console.page.locator("#alarm-2")).to_be_visible()
        await world.feed.wait_for_listeners(1)
        assert world.feed.resumed_after[-1] == 1

        world.feed.oldest = 1_000_000  # what was missed is no longer kept: 410
        world.feed.cut()
        await expect(console.page.locator("#pulse.live")).to_have_count(0)
        world.desk.put(entrapment(world.clock, 3, asset="elevator:3"))
        await expect(console.page.locator("#pulse.live")).to_be_visible(timeout=20_000)
        await expect(console.page.locator("#alarm-3")).to_be_visible()


async def test_list_that_could_not_be_read_is_asked_for_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (world, address, browser):
        console = Console(await browser.new_page(viewport=DESK), address, world, tmp_path)
        await console.page.clock.install()
        await console.sign_in()
        asked = []

        async def refuse_once(route: Route) -> None:
            asked.append(route.request.url)
            await (route.fulfill(status=500) if len(asked) < 2 else route.continue_())

        await console.page.route("**/parts/open", refuse_once)
        world.desk.put(entrapment(world.clock))
        await expect(console.page.locator("#problem")).to_contain_text("500")
        await console.page.clock.fast_forward(5_000)
        await expect(console.page.locator("#alarm-1")).to_be_visible()
        assert len(asked) == 2


async def test_page_out_of_sight_gives_its_line_back_but_the_console_keeps_it(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (world, address, browser):
        world.feed.heartbeat_s = 0.05
        console = Console(await browser.new_page(viewport=DESK), address, world, tmp_path)
        await console.sign_in()
        for path, lines in (("/", 1), ("/fleet", 0)):
            await console.page.goto(f"{address}{path}")
            await expect(console.page.locator("#pulse.live")).to_be_visible()
            await console.page.evaluate(HIDE, True)
            await world.feed.wait_for_listeners(lines)
            await console.page.evaluate(HIDE, False)
            await world.feed.wait_for_listeners(1)
        await expect(console.page.locator("#banner")).to_be_hidden()


async def test_phone_and_keyboard_reach_everything(tmp_path: Path) -> None:
    async with opened(tmp_path) as (world, address, browser):
        console = Console(await browser.new_page(viewport=PHONE), address, world, tmp_path)
        world.desk.put(entrapment(world.clock))
        await console.sign_in()
        page = console.page
        for path in ("/", "/alarms/1", f"/assets/{LIFT}", "/fleet"):
            await page.goto(f"{address}{path}")
            assert await console.width_beyond_screen() <= 0, path
        await page.goto(address)
        await console.shoot("phone")
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        for _ in range(30):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.matches('.acknowledge button')"):
                break
        await page.keyboard.press("Enter")
        await expect(page.locator("#alarm-1")).to_contain_text("已确认")
        assert console.complaints == []


async def plain_title(page: Page) -> str:
    """Return the title without the count of alarms."""
    return (await page.title()).split(") ", 1)[-1]


async def fits_on_screen(page: Page, selector: str) -> bool:
    """Tell whether an element is wholly visible without scrolling."""
    box = await page.locator(selector).bounding_box()
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= DESK["height"]
