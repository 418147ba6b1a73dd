"""Pictures of all pages of the rescue centre, for people to look at.

`python -m tests.campaigns.screens --out DIR`: a centre with a prepared city, in both languages.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize

from cloud.api.desk.base import new_link
from cloud.model.asset import LatestValue
from cloud.model.desk import LinkBody
from cloud.model.granting import grant
from cloud.model.incident import WantedIncidents
from protocols.readings import Quality
from tests.support.browser import chromium, serve
from tests.support.http_services import TOKEN
from tests.support.rescue_desk import ROOT, Centre, open_centre

DESK = ViewportSize(width=1280, height=800)
WALL = ViewportSize(width=1920, height=1080)
PHONE = ViewportSize(width=390, height=844)
LIFTS = 24


async def prepare(centre: Centre) -> dict[str, int]:
    """Let something happen; returns the ids of incidents by what they show."""
    lifts = centre.lifts
    for number, asset in enumerate(lifts):
        _values(centre, asset, number)
    drill = await centre.call(lifts[7], drill=True, people=1, caller_name="演练", note="季度演练")
    closed = await centre.call(lifts[6], people=1, caller_phone="139 0432 6789")
    cause = centre.services.desk.causes[0].id
    for verb, fields in (
        ("verify", {}),
        ("dispatch", {"unit": "firm-a"}),
        ("accept", {"eta_s": 600}),
        ("set_out", {}),
        ("arrive", {}),
        ("release", {"people": 1, "injured": 0}),
        ("call_back", {"satisfaction": 5}),
        ("file_cause", {"cause": cause}),
    ):
        await centre.act(closed.id, verb, **fields)  # type: ignore[arg-type]
    await centre.act(closed.id, "close")
    called = await centre.call(
        lifts[1],
        people=3,
        caller_name="王女士",
        caller_phone="138 0432 1234",
        note="有老人，略感胸闷",
    )
    await centre.act(called.id, "verify", people=3)
    await centre.act(called.id, "dispatch", unit="firm-a")
    await centre.act(called.id, "tell", to="万家物业 值班室", note="请开机房门，现场配合")
    on_the_way = await centre.call(lifts[2], people=2)
    await centre.act(on_the_way.id, "dispatch", unit="station-1")
    await centre.act(on_the_way.id, "accept", eta_s=900)
    await centre.act(on_the_way.id, "set_out", eta_s=720)
    for asset in lifts[3:6]:
        await centre.trap(asset, evidence="alarm_button")
    return {"called": called.id, "on_the_way": on_the_way.id, "drill": drill.id}


def _values(centre: Centre, asset: str, number: int) -> None:
    now = centre.clock.wall_ms() - 2_000
    quality: Quality = "stale" if number == 3 else "good"
    seen = {
        "car_position": 3 + number % 9,
        "car_direction": "none" if number % 2 else "up",
        "car_status": "stopped",
        "door_status": number != 2,
        "door_zone": False,
        "passenger_status": True,
        "service_mode": "normal",
        "speed": 0.0,
        "message_code": ["04", "90"],
    }
    centre.world.latest[asset] = {
        name: LatestValue(value=value, observed_at=now, quality=quality)
        for name, value in seen.items()
    }
    centre.world.telemetry.points = {
        "car_position": [(now - 600_000 + n * 15_000, min(6, 1 + n % 9)) for n in range(39)],
        "speed": [(now - 600_000 + n * 15_000, 1.75 if n % 3 else 0.0) for n in range(36)],
        "door_status": [(now - 600_000, True), (now - 300_000, False), (now - 280_000, True)],
        "passenger_status": [(now - 600_000, False), (now - 200_000, True)],
        "door_zone": [(now - 600_000, True), (now - 60_000, False)],
    }


async def sign_in(page: Page, address: str, language: str) -> None:
    """Sign in as the administrator and wait until the feed is live."""
    await page.goto(f"{address}/language/{language}?next=/rescue")
    await page.click("details.login summary")
    await page.fill("#person", "李四")
    await page.fill("#token", TOKEN)
    await page.click("details.login button")
    await page.wait_for_selector("#pulse.live")


async def take(
    centre: Centre, browser: Browser, address: str, shown: dict[str, int], out: Path
) -> list[str]:
    """Take all pictures in both languages; returns what pages complained of."""
    complaints: list[str] = []
    granted = grant(ROOT, "incidents.act")

    _, unit = await new_link(centre.services, granted, shown["called"], LinkBody(kind="unit"))
    _, progress = await new_link(
        centre.services, granted, shown["on_the_way"], LinkBody(kind="progress")
    )
    for language in ("zh", "en"):
        context = await browser.new_context(viewport=DESK)
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: complaints.append(line.text) if line.type == "error" else None,
        )

        async def shoot(name: str, path: str = "", whole: bool = True, now: Page = page) -> None:
            if path:
                await now.goto(f"{address}{path}")
                await now.wait_for_timeout(900)
            await now.screenshot(path=out / f"{name}-{language}.png", full_page=whole)  # noqa: B023

        await sign_in(page, address, language)
        await shoot("board", "/rescue")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("?")
        await shoot("help", whole=False)
        await page.keyboard.press("Escape")
        await shoot("one", f"/rescue/{shown['called']}")
        await page.click(".links-panel form:first-child button")
        await page.wait_for_selector(".new-link")
        await page.keyboard.press("n")
        await shoot("one-link")
        await shoot("one-new", f"/rescue/{shown['new']}")
        await page.goto(f"{address}/rescue/call")
        await page.locator("#rescue-code").press_sequentially("310002")
        await page.wait_for_selector(".found-lift")
        await shoot("call")
        for name in ("handover", "figures", "report"):
            await shoot(name, f"/rescue/{name}")
        await shoot("console", "/")
        await page.set_viewport_size(WALL)
        await shoot("board-1920", "/rescue")
        await shoot("wall", "/rescue/wall", whole=False)
        await page.set_viewport_size(PHONE)
        await shoot("board-390", "/rescue")
        await shoot("one-390", f"/rescue/{shown['called']}")
        await context.close()
        locale = {"zh": "zh-CN", "en": "en-GB"}[language]
        phone = await browser.new_context(viewport=PHONE, locale=locale)
        there = await phone.new_page()
        there.on("pageerror", lambda error: complaints.append(str(error)))
        await shoot("unit", unit, now=there)
        await shoot("progress", progress, now=there)
        await shoot("no-link", "/u/nothing", now=there)
        await phone.close()
    return complaints


async def run(out: Path) -> int:
    """Take the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_centre(Path(folder), lifts=LIFTS) as centre,
            serve(centre.app, centre.services.stopping) as address,
            chromium() as browser,
        ):
            shown = await prepare(centre)
            open_ones = await centre.incidents.find(WantedIncidents(open=True, drill=False))
            shown["new"] = next(one.id for one in open_ones if one.state == "detected")
            complaints = await take(centre, browser, address, shown, out)
    for line in complaints:
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(f"{len(list(out.glob('*.png')))} pictures in {out}\n")
    return 1 if complaints else 0


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/screens"))
    return asyncio.run(run(parser.parse_args().out))


if __name__ == "__main__":
    sys.exit(main())
