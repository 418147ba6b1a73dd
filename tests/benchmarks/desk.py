"""How soon the rescue desk shows what happened, in Chromium: one after the other, and the storm.

`python -m tests.benchmarks.desk`: from the commit of an alarm until its row stands in the page;
then 40 entrapments among 2,000 alarms of one power cut, with how often the page asked for its list.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import Page

from tests.benchmarks.rig import percentile
from tests.support.browser import chromium, serve
from tests.support.http_services import TOKEN
from tests.support.rescue_desk import Centre, open_centre

WATCH = """() => {
    window.seenAt = {};
    const look = () => {
        for (const row of document.querySelectorAll("#incidents [data-incident]")) {
            window.seenAt[row.querySelector("a").textContent] ??= Date.now();
        }
    };
    new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
}"""
ALARMS, EVERY = 2_000, 50


async def sign_in(page: Page, address: str) -> None:
    """Open the list and begin to watch it."""
    await page.goto(f"{address}/language/zh?next=/rescue")
    await page.click("details.login summary")
    await page.fill("#token", TOKEN)
    await page.click("details.login button")
    await page.wait_for_selector("#pulse.live")
    await page.evaluate(WATCH)


async def seen(page: Page, count: int) -> dict[str, float]:
    """Wait until so many rows stand there, and return since when each did."""
    await page.wait_for_function(
        "count => Object.keys(window.seenAt).length >= count", arg=count, timeout=60_000
    )
    found: dict[str, float] = await page.evaluate("window.seenAt")
    return found


def name_of(centre: Centre, asset: str) -> str:
    """Return how the page names a lift."""
    found = centre.services.registry.peek(asset)
    assert found is not None
    return found.name


async def one_by_one(centre: Centre, page: Page, count: int) -> list[float]:
    """Let them come one after the other; returns ms until each was seen."""
    raised: dict[str, float] = {}
    for number, asset in enumerate(centre.lifts[:count], 1):
        await centre.trap(asset)
        raised[name_of(centre, asset)] = time.time() * 1000
        await seen(page, number)
    at = await seen(page, count)
    return [at[name] - since for name, since in raised.items()]


async def storm(centre: Centre, page: Page, earlier: int) -> tuple[list[float], float, int]:
    """Let a district go dark; returns ms until each was seen, its length in s, and lists asked."""
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "rescue-board" in one.url else None)
    raised: dict[str, float] = {}
    began = time.monotonic()
    for number in range(ALARMS):
        dark = f"elevator:dark{number}"
        await centre.trap(dark, alert="MainsOff", severity="warning")
        if number % EVERY == 0:
            asset = centre.lifts[earlier + number // EVERY]
            await centre.trap(asset)
            raised[name_of(centre, asset)] = time.time() * 1000
    took_s = time.monotonic() - began
    at = await seen(page, earlier + len(raised))
    return [at[name] - since for name, since in raised.items()], took_s, len(asked)


async def run(count: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_centre(Path(folder), lifts=count + ALARMS // EVERY) as centre,
            serve(centre.app, centre.services.stopping) as address,
            chromium() as browser,
        ):
            page = await browser.new_page()
            await sign_in(page, address)
            single = await one_by_one(centre, page, count)
            many, took_s, asked = await storm(centre, page, count)
    for title, found in (("one by one", single), ("in the storm", many)):
        figures = [f"p{part} {percentile(found, part / 100):.0f} ms" for part in (50, 99)]
        sys.stdout.write(
            f"{title}: {len(found)} seen, {', '.join(figures)}, max {max(found):.0f} ms\n"
        )
    sys.stdout.write(f"the storm took {took_s:.1f} s; the list was asked for {asked} times\n")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    asyncio.run(run(parser.parse_args().count))


if __name__ == "__main__":
    main()
