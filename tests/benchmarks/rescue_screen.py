"""A page of the service in Chromium that notes when each lift or rescue first shows up on it.

A worker of the rig: each line of input is answered with {asset or `incident:ID`: ms since 1970} of
all that was seen. The page's own clock is this machine's, like the prober's.
"""

import asyncio
import sys
from typing import Annotated

import typer

from tests.benchmarks.rig import say
from tests.support.browser import chromium

WATCH = """() => {
    window.seen = {};
    const note = (root) => {
        if (root.nodeType !== Node.ELEMENT_NODE) return;
        for (const row of root.querySelectorAll("tr[data-incident]")) {
            window.seen[`incident:${row.dataset.incident}`] ??= Date.now();
        }
        for (const link of root.querySelectorAll("[data-asset], a[href^='/assets/']")) {
            const asset = link.dataset.asset
                || decodeURIComponent(link.getAttribute("href").replace("/assets/", ""));
            if (asset in window.seen) continue;
            const tag = link.closest("article, tr, li")?.querySelector(".tag");
            if (tag && !tag.classList.contains("emergency")) continue;
            window.seen[asset] = Date.now();
        }
    };
    const look = (changes) => {
        for (const change of changes) change.addedNodes.forEach(note);
    };
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true});
}"""
"""Of lines that tell a severity only those of emergencies count; a rescue is noted by its id."""


async def show(address: str, token: str, path: str) -> None:
    """Sign in, open the page, and answer what it has shown until the end of input."""
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1600, "height": 900})
        await page.goto(f"{address}/language/zh?next=/")
        await page.click("details.login summary")
        await page.fill("#person", "值班员")
        await page.fill("#token", token)
        await page.click("details.login button")
        await page.wait_for_selector("#pulse.live")
        if path != "/":
            await page.goto(f"{address}{path}")
            await page.wait_for_selector("#pulse.live")
        await page.evaluate(WATCH)
        say("ready")
        while await asyncio.to_thread(sys.stdin.readline):
            say(await page.evaluate("window.seen"))


def main(
    http: Annotated[int, typer.Option()],
    token: Annotated[str, typer.Option()],
    path: Annotated[str, typer.Option()] = "/",
) -> None:
    """Watch one page."""
    asyncio.run(show(f"http://127.0.0.1:{http}", token, path))


if __name__ == "__main__":
    typer.run(main)
