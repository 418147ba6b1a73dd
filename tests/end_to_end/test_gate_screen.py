"""The page of the gates in Chromium: a worker with gloves fills a cylinder by it."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from simulators.processes import free_port
from simulators.weighing import Weight
from tests.support.browser import chromium
from tests.support.filling_place import (
    GOOD,
    OVERDUE,
    Daemon,
    Devices,
    Registry,
    devices,
    running,
)

LEAST_PX = 60
"""A glove's fingertip on the screen of a panel, and a bit more."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Devices]:
    with devices(tmp_path / "devices") as found:
        yield found


@pytest.fixture
async def page(place: Devices, tmp_path: Path) -> AsyncIterator[tuple[Page, Daemon]]:
    port = free_port()
    daemon = Daemon(place.site(1, screen=f"127.0.0.1:{port}"), tmp_path / "state", Registry())
    async with chromium() as browser, running(daemon):
        context = await browser.new_context(viewport={"width": 1024, "height": 768})
        shown = await context.new_page()
        problems: list[str] = []
        shown.on("pageerror", lambda error: problems.append(str(error)))
        shown.on("console", lambda one: problems.append(one.text) if one.type == "error" else None)
        await shown.goto(f"http://127.0.0.1:{port}/")
        yield shown, daemon
        told = ("409", "ERR_CONNECTION", "ERR_INCOMPLETE")
        assert [one for one in problems if not any(word in one for word in told)] == []


async def picture(page: Page, name: str) -> None:
    """Keep a picture where $SUYUAN_PICTURES says."""
    if folder := os.environ.get("SUYUAN_PICTURES"):
        await page.screenshot(path=Path(folder) / f"gate-{name}.png", full_page=True)


async def test_a_cylinder_is_filled_by_buttons(page: tuple[Page, Daemon], place: Devices) -> None:
    shown, daemon = page
    gate = shown.locator("#gate-gun-1")
    await expect(gate).to_have_class("gate idle")
    await picture(shown, "idle")
    place.put(GOOD)
    await expect(gate).to_have_class("gate cannot_decide", timeout=8_000)
    await daemon.weighed()
    await picture(shown, "checks")
    await gate.get_by_role("button", name="Who works here").click()
    await shown.get_by_role("button", name="王伟").click()
    await expect(gate.locator(".top")).to_contain_text("王伟")
    for button in await shown.get_by_role("button").all():
        box = await button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= LEAST_PX, await button.text_content()
    await gate.get_by_role("button", name="All in order").click()
    await expect(gate).to_have_class("gate fill", timeout=5_000)
    await expect(gate.locator("h1")).to_contain_text("FILL")
    await daemon.until(lambda: place.gun.open, what="open")
    place.scale.show(Weight(23.5, in_motion=True))
    await expect(gate.locator("output")).to_have_text("23.50 kg")
    await picture(shown, "fill")
    place.scale.show(Weight(30.45))
    await expect(gate).to_have_class("gate settling", timeout=5_000)
    await expect(gate).to_have_class("gate done", timeout=5_000)
    await expect(gate.locator(".facts")).to_contain_text("14.45 kg")
    await picture(shown, "done")
    await gate.get_by_role("button", name="All in order").click()
    await expect(gate.get_by_role("button", name="All in order")).to_have_count(0)


async def test_a_bad_one_is_red_and_gas_all_the_same_blocks_until_a_number_clears(
    page: tuple[Page, Daemon], place: Devices
) -> None:
    shown, daemon = page
    gate = shown.locator("#gate-gun-1")
    place.put(OVERDUE)
    await expect(gate).to_have_class("gate do_not_fill", timeout=8_000)
    await expect(gate).to_contain_text("Inspection overdue")
    await daemon.weighed()
    await picture(shown, "refused")
    place.scale.show(Weight(20.0))
    await expect(gate).to_have_class("gate blocked", timeout=5_000)
    await picture(shown, "blocked")
    await gate.get_by_role("button", name="Clear").click()
    await shown.get_by_role("button", name="李娜").click()
    for digit in "1111":
        await shown.get_by_role("button", name=digit, exact=True).click()
    await shown.get_by_role("button", name="✓").click()
    await expect(shown.locator("dialog")).to_contain_text("密码错误")
    await shown.get_by_role("button", name="Back").click()
    await gate.get_by_role("button", name="Clear").click()
    await shown.get_by_role("button", name="李娜").click()
    for digit in "2468":
        await shown.get_by_role("button", name=digit, exact=True).click()
    await picture(shown, "number")
    await shown.get_by_role("button", name="✓").click()
    await daemon.until(lambda: daemon.gate.state.phase != "blocked", what="cleared")


async def test_a_page_that_hears_nothing_covers_itself(
    page: tuple[Page, Daemon], place: Devices
) -> None:
    shown, daemon = page
    lost = shown.locator("#lost")
    await expect(lost).to_be_hidden()
    daemon.stop.set()
    await expect(lost).to_be_visible(timeout=12_000)
    await picture(shown, "lost")
