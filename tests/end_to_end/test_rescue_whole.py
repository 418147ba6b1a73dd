"""A whole rescue, and a storm: driven in Chromium, heard by every way out of the feed at once.

Real parts: lifts behind Modbus and a gateway, mosquitto, the service, Chromium. The storm's lifts
are those of a simulated city, on gateways of their own.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from protocols.clock import SystemClock
from simulators.city_facts import Made
from simulators.city_gateways import Gateways, names_of
from simulators.city_places import City, build_city
from simulators.city_story import load_story
from simulators.city_world import World
from tests.support import cap_rules
from tests.support.browser import chromium
from tests.support.mosquitto import MOSQUITTO
from tests.support.rescue_ways import FAULTS, Ways, identifier, listening, servers, settings
from tests.support.stack import TOKEN, Stack

UNIT = {"name": "江城维保1组", "level": 1, "phone": "13800000000", "organisation": "firm-1"}
FIRM = {
    "kind": "maintenance_firm",
    "name": "江城维保",
    "credit_code": "91220202MA7100000H",
    "districts": ["船营区"],
    "categories": ["special_equipment"],
}
STEPS = ("verify", "dispatch", "accept", "set_out", "arrive", "release", "call_back", "file_cause")
TICK_S, LASTS_S = 0.1, 300.0


@asynccontextmanager
async def whole(
    folder: Path, *, lifts: int = 1, terms: str = ""
) -> AsyncIterator[tuple[Stack, Ways]]:
    """Run everything, each receiver asked for and heard."""
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    async with servers() as (post, address, mails):
        text = settings(urlsplit(address).port or 0, mails.port)
        if terms:
            overlay = folder / "overlay" / "receivers"
            overlay.mkdir(parents=True)
            (overlay / "terms.toml").write_text(terms)
            text = f'rules_overlay = "{folder / "overlay"}"\n{text}'
        stack = Stack(folder / "stack", lifts=lifts, cloud_config=text)
        try:
            await asyncio.to_thread(stack.start)
            async with listening(stack.http_port, stack.broker.port, post, mails) as ways:
                await ways.add_receivers(address)
                yield stack, ways
        finally:
            await asyncio.to_thread(stack.stop)


@asynccontextmanager
async def desk(stack: Stack) -> AsyncIterator[Page]:
    """The page of the rescue centre in a browser, signed in."""
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1600, "height": 900})
        await page.goto(f"http://127.0.0.1:{stack.http_port}/language/zh?next=/rescue")
        await page.click("details.login summary")
        await page.fill("#person", "值班员")
        await page.fill("#token", TOKEN)
        await page.click("details.login button")
        await page.wait_for_selector("#pulse.live")
        await page.goto(f"http://127.0.0.1:{stack.http_port}/rescue")
        await page.wait_for_selector("#pulse.live")
        yield page


async def soon(check: Callable[[], Any], what: str, timeout_s: float = 20) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def register(stack: Stack, ways: Ways) -> None:
    answer = await ways.http.put("/api/v1/organisations/firm-1", json=FIRM)
    assert answer.status_code < 300, answer.text
    answer = await ways.http.put("/api/v1/rescue-units/team-1", json=UNIT)
    assert answer.status_code < 300, answer.text
    lift = {
        "kind": "elevator",
        "name": "人民广场3号梯",
        "gateways": [stack.gateway],
        "parties": {"maintainer": "firm-1"},
        "attributes": {"district": "船营区", "address": "解放大路1号", "rescue_code": "220101"},
    }
    answer = await ways.http.put(f"/api/v1/assets/{stack.asset(0)}", json=lift)
    assert answer.status_code < 300, answer.text


async def step(page: Page, verb: str, ways: Ways) -> None:
    """Do one step of the rescue with the page's own form."""
    form = page.locator(f'form.verb-form[action$="/{verb}"]')
    fold = page.locator(f"details#verb-{verb}")
    if await fold.count() and not await form.is_visible():
        await fold.locator("summary").click()
    if verb in ("verify", "release"):
        await form.locator('input[name="people"]').fill("2")
    if verb == "file_cause":
        await form.locator('select[name="cause"]').select_option("door")
    if verb == "call_back":
        await form.locator('input[name="satisfaction"][value="5"]').check()
    await form.locator("button").click()
    await soon(lambda: any(one[2] == verb for one in ways.changes()), f"{verb} on the feed")
    await page.wait_for_timeout(400)  # the page takes its own change up


async def test_whole_rescue_in_the_browser_and_by_every_way(tmp_path: Path) -> None:
    async with whole(tmp_path) as (stack, ways), desk(stack) as page:
        await register(stack, ways)
        await soon(lambda: "car_position" in stack.latest(0), "values of the lift")
        stack.lifts.order(op="fault", lift=0, name="entrapment", evidence="alarm_button")
        row = page.locator("#board tr.incident")
        await expect(row).to_contain_text("人民广场3号梯", timeout=10_000)
        await row.locator("a").click()
        await expect(page.locator("#course h1")).to_contain_text("人民广场3号梯")
        for verb in STEPS:
            if verb == "release":
                stack.lifts.order(op="clear", lift=0)
            await step(page, verb, ways)
        await page.screenshot(path=tmp_path / "rescue.png", full_page=True)
        await step(page, "close", ways)
        (rescue,) = (await ways.http.get("/api/v1/incidents")).json()["incidents"]
        assert rescue["state"] == "closed"
        assert (rescue["released_people"], rescue["cause"]) == (2, "door")
        await ways.http.post(f"/api/v1/alarms/{rescue['alarm']}/acknowledge", json={"note": ""})
        acknowledged = ("alarm", rescue["alarm"], "acknowledged")
        await soon(lambda: acknowledged in ways.changes(), "the alarm is acknowledged")
        await told_by_all(ways)


async def told_by_all(ways: Ways, timeout_s: float = 30) -> None:
    """Hold every way against the feed: each item at least once, under one id."""
    wanted, documents_wanted = ways.changes(), len(ways.feed)
    assert len(set(ways.offsets)) == len(ways.offsets)  # nothing twice on the feed itself
    things = {f"{event}:{number}" for event, number, _ in wanted}
    await soon(lambda: ways.hooked() >= wanted, "the webhook has all", timeout_s)
    await soon(lambda: ways.panelled() >= wanted, "the panels have all", timeout_s)
    await soon(lambda: ways.alerted()[0] >= things, "Alertmanager knows all", timeout_s)
    await soon(lambda: len(ways.pushed()) >= documents_wanted, "CAP documents have come", timeout_s)
    rescues = {data["number"] for event, data in ways.feed if event == "incident"}
    mailed = "each emergency is in a mail"  # of the rest so many an hour
    await soon(lambda: all(one in ways.mailed() for one in rescues), mailed, timeout_s)
    assert ways.hooked() == ways.changes()
    documents = await ways.atom()
    identifiers = [identifier(one) for one in documents]
    assert len(set(identifiers)) == len(identifiers)
    assert set(ways.pushed()) <= set(identifiers) or len(identifiers) == 500
    for document in documents:
        assert cap_rules.faults(document) == []


# --- the storm ----------------------------------------------------------------------------------

TERMS = """schema = 1
pauses_s = [0.5, 0.5, 1, 1]
urgent_pauses_s = [0.2, 0.5, 1]
jitter = 0.2
give_up_s = 272105
retry_after_max_s = 1
"""
"""Receivers that fail are asked again soon: the test has not three days."""


class Storm:
    """A city whose districts lose their mains; `pace` times as fast as life."""

    def __init__(self, lifts: int, seed: int, pace: float) -> None:
        story, self._pace = load_story(), pace
        self.city: City = build_city(story, lifts, seed, tag="storm")
        self.world = World(story, self.city, random.Random(f"storm {seed}"), times=0.001)
        self.world.troubled = False
        self.clock, self.trapped = SystemClock(), list[Made]()
        self.sent_at: dict[str, float] = {}
        """When each trapped lift's button was sent, by its asset: seconds of the loop's clock."""

    async def run(self, port: int, *, over_s: float, trapped: int, lasts_s: float) -> None:
        """Cut the power of all, and go on for some time."""
        names = names_of(one.gateway for one in self.city.lifts)
        gateways = Gateways(names, self.clock, random.Random(1), host="127.0.0.1", port=port)
        await gateways.connect()
        start_ms = self.clock.wall_ms()
        lifts = [one.index for one in self.city.lifts]
        self.trapped = self.world.power_cut(lifts, over_s=over_s, trapped=trapped)
        while self.world.now_s < lasts_s:
            now_s = (self.clock.wall_ms() - start_ms) * self._pace / 1_000
            for one in self.world.advance(now_s):
                lift = self.city.lifts[one.lift]
                at = start_ms + int(one.at_s * 1_000 / self._pace)
                gateways.take(lift.gateway, lift.asset, at, one.values, urgent=one.urgent)
                if one.urgent and "90" in str(one.values["message_code"]):
                    self.sent_at.setdefault(lift.asset, time.time())
            gateways.send()
            await asyncio.sleep(TICK_S)
        for _ in range(300):
            if not gateways.unsettled():
                break
            gateways.send()
            await asyncio.sleep(TICK_S)
        assert gateways.unsettled() == gateways.lost == 0
        gateways.close()


SEEN = """() => {
    window.seen = {};
    const note = (root) => {
        if (root.nodeType !== Node.ELEMENT_NODE) return;
        for (const row of root.querySelectorAll("tr.incident")) {
            window.seen[row.dataset.incident] ??= Date.now() / 1000;
        }
    };
    const look = (changes) => changes.forEach((one) => one.addedNodes.forEach(note));
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true});
}"""


async def storm(folder: Path, *, lifts: int, trapped: int, pace: float) -> None:
    """Let all lifts go dark within a minute; some hold people, who press within minutes."""
    async with whole(folder, terms=TERMS) as (stack, ways), desk(stack) as page:
        await page.evaluate(SEEN)
        ways.post.failing = True
        one = Storm(lifts, 7, pace)
        await one.run(stack.broker.port, over_s=60, trapped=trapped, lasts_s=LASTS_S)
        wanted = {made.lift.asset for made in one.trapped if made.lift.asset in one.sent_at}
        opened = {
            data["asset"]: str(data["id"])
            for event, data in ways.feed
            if event == "incident" and data["change"] == "opened"
        }
        assert wanted <= set(opened)  # those who cannot press are inferred, and come as well
        seen: dict[str, float] = await page.evaluate("window.seen")
        late = {asset: seen[opened[asset]] - one.sent_at[asset] for asset in wanted}
        print(f"storm: {len(wanted)} buttons, screen at worst {max(late.values()):.2f} s")
        assert max(late.values()) < 5
        fired = Counter(
            (data["asset"], data["alert"])
            for event, data in ways.feed
            if event == "alarm" and data["change"] == "fired"
        )
        assert max(fired.values()) == 1  # one alarm each
        dark = {(lift.asset, "MainsOff") for lift in one.city.lifts}
        inside = {(made.lift.asset, "Entrapment") for made in one.trapped}
        assert fired.keys() >= dark | inside  # none lost
        ways.post.failing = False
        assert set(ways.post.faults) == set(FAULTS)
        await told_by_all(ways, timeout_s=240)


async def test_storm_of_a_street_while_receivers_fail_in_turns(tmp_path: Path) -> None:
    await storm(tmp_path, lifts=60, trapped=4, pace=30)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_storm_of_a_district_while_receivers_fail_in_turns(tmp_path: Path) -> None:
    await storm(tmp_path, lifts=2_000, trapped=40, pace=1)
