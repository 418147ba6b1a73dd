"""The page for phones in Debian's Chromium with a fake camera: offline, synced, answered, lost."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import BrowserContext, Page, ViewportSize, expect

from protocols.handheld import Inspection, signed_content
from tests.support.browser import chromium
from tests.support.fake_camera import arguments, show
from tests.support.handhelds import PINS, Office
from tests.support.service_process import service_process

pytestmark = pytest.mark.end_to_end
SMALL = ViewportSize(width=360, height=740)
FAR_ZONE = "America/Los_Angeles"
"""What the phone is set to: days are the city's, mostly not the phone's."""
CODE, OTHER = "23102299920240017", "23102299920240018"
BOTTLE, SECOND = f"cylinder:{CODE}", f"cylinder:{OTHER}"
UID, TAKEN, LATE = "04A1B2C3D4E5F6", "04FFFFFFFFFFFF", "04BBBBBBBBBBBB"
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
NAMES = {"zh": ("现场作业", "无法判定"), "en": ("On the spot", "CANNOT DECIDE")}


@dataclass
class Phone:
    """One phone with the page open."""

    context: BrowserContext
    page: Page
    office: Office
    shots: Path
    complaints: list[str] = field(default_factory=list)

    async def press(self, key: str, text: str = "") -> None:
        """Press a button by its key, of several the one with a text."""
        found = self.page.locator(f"button[data-key={key}]")
        await (found.filter(has_text=text) if text else found).first.click()

    async def let_in(self, name: str) -> None:
        """Let somebody in by a one-time code."""
        await self.press("new_person")
        await self.page.fill("#code", self.office.code(name))
        await self.page.fill("#name", name)
        await self.page.fill("#pin_new", PINS[name])
        await self.page.fill("#pin_again", PINS[name])
        await self.press("enter")
        await expect(self.page.locator("button[data-key=sign_off]")).to_be_visible()

    async def sign_on(self, name: str) -> None:
        """Sign somebody on by the PIN."""
        await self.press("person", name)
        await self.page.fill("#pin", PINS[name])
        await self.press("enter")
        await expect(self.page.locator("button[data-key=sign_off]")).to_be_visible()

    async def type(self, text: str) -> None:
        """Type a code instead of scanning it."""
        await self.page.fill("#typed", text)
        await self.press("ok")

    async def waits(self, count: int) -> None:
        """Wait until so many records wait for the service."""
        await expect(self.page.locator(f"#state[data-waiting='{count}']")).to_be_visible(
            timeout=30_000
        )

    async def shoot(self, name: str) -> None:
        """Keep a picture for people to look at; nothing is wider than the screen."""
        wide = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} pixels too wide"
        await self.page.screenshot(path=self.shots / f"{name}.png", full_page=True)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    folder = tmp_path / "service"
    folder.mkdir()
    with service_process(folder) as service:
        office = Office(f"http://127.0.0.1:{service.port}")
        office.open("王五", "李四")
        registered = {"use_registration": "1", "inspected_on": "2025-06", "tare_kg": 16.5}
        office.register(BOTTLE, allowable_fill_kg=14.9, **registered)
        tag = {"scheme": "tag_uid", "value": TAKEN}
        office.register(SECOND, manufactured_on="2009-01", codes=[tag])
        yield office
        office.close()


@pytest.fixture
async def phone(office: Office, tmp_path: Path) -> AsyncIterator[Phone]:
    film, shots = tmp_path / "code.y4m", tmp_path / "shots"
    shots.mkdir()
    show(film, CODE)
    async with chromium(*arguments(film)) as browser:
        context = await browser.new_context(viewport=SMALL, locale="zh-CN", timezone_id=FAR_ZONE)
        phone = Phone(context, await context.new_page(), office, shots)
        phone.page.on("pageerror", lambda error: phone.complaints.append(str(error)))
        phone.page.on(
            "console",
            lambda line: phone.complaints.append(line.text) if line.type == "error" else None,
        )
        await phone.page.goto(f"{office.address}/hand")
        yield phone
        refused = [one for one in phone.complaints if "Content Security Policy" in one]
        assert refused == []
        assert [one for one in phone.complaints if "Failed to load resource" not in one] == []


async def ready(phone: Phone) -> None:
    """Let both in, and wait until the phone has all that it needs offline."""
    page = phone.page
    await expect(page.locator(".verdict")).to_contain_text("本机尚未启用")
    await phone.shoot("zh-1-empty")
    await phone.let_in("王五")
    await phone.press("sign_off")
    await phone.let_in("李四")
    await expect(page.locator("main")).to_contain_text("2 只气瓶", timeout=20_000)
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await phone.shoot("zh-2-home")


async def test_days_offline_then_synced_without_loss_or_doubles(
    phone: Phone, office: Office
) -> None:
    page = phone.page
    await ready(phone)
    await phone.context.set_offline(True)
    await page.reload()
    await expect(page.locator("#bar")).to_contain_text("离线")
    await phone.shoot("zh-3-sign-on")
    await phone.sign_on("王五")
    await phone.press("camera")
    await expect(page.locator("[data-verdict=cannot_decide]")).to_be_visible(timeout=20_000)
    await expect(page.locator("[data-reason=filler_unknown]")).to_be_visible()
    await expect(page.locator("main")).to_contain_text("2029-06-30")
    await phone.shoot("zh-4-looked")
    await inspect(phone)
    await count(phone)
    await put_on(phone, UID, "zh-7-tag")
    await put_on_anyway(phone)
    await phone.waits(5)
    assert office.records() == []
    await page.reload()
    await phone.sign_on("王五")
    await phone.waits(5)
    await phone.context.set_offline(False)
    await page.evaluate("dispatchEvent(new Event('online'))")
    await phone.waits(0)
    await look_at_the_service(phone, office)
    await phone.press("back") if await page.locator("button[data-key=back]").count() else None
    await phone.press("send")
    await expect(page.locator("#said")).to_contain_text("已上传 0 条")
    assert len(office.records()) == 5, "nothing is sent twice"
    await what_is_left_out_is_told(phone)
    await answered(phone)


async def inspect(phone: Phone) -> None:
    """Stop the cylinder, with an instruction, a photo and both signatures."""
    page = phone.page
    await phone.press("inspect")
    await page.locator("button[data-key=finding][title=leaking]").click()
    await expect(page.locator("[data-verdict=stopped]")).to_be_visible()
    await page.set_input_files("#photo", {"name": "a.png", "mimeType": "image/png", "buffer": DOT})
    await expect(page.locator("button[data-key=photo]")).to_contain_text("(1)")
    await phone.press("sign")
    await expect(page.locator("#said")).to_contain_text("请先填写整改要求")
    await page.fill("#instruction", "更换瓶阀")
    await page.locator("#instruction").blur()
    await expect(page.locator("main")).to_contain_text("限期")
    await phone.shoot("zh-5-inspection")
    for name in ("王五", "李四"):
        await phone.press("sign")
        await phone.press("person", name)
        await page.fill("#pin", PINS[name])
        await phone.press("enter")
    await expect(page.locator("#said")).to_contain_text("已存为记录 2")


async def count(phone: Phone) -> None:
    """Count a shelf by the camera and by hand."""
    page = phone.page
    await phone.press("count")
    await page.fill("#count_place", "A1")
    await phone.press("enter")
    await phone.press("camera")
    await expect(page.locator("[data-part=unexpected]")).to_contain_text(CODE, timeout=20_000)
    await phone.type(OTHER)
    await expect(page.locator("[data-part=unexpected]")).to_contain_text(OTHER)
    await phone.shoot("zh-6-count")
    await phone.press("done")
    await expect(page.locator("#said")).to_contain_text("已存为记录 3")


async def put_on(phone: Phone, uid: str, shot: str = "") -> None:
    """Put a tag on the first cylinder."""
    await phone.press("tag")
    await phone.type(CODE)
    await expect(phone.page.locator("main")).to_contain_text("请读新标签")
    await phone.type(":".join(uid[at : at + 2] for at in range(0, len(uid), 2)).lower())
    await expect(phone.page.locator("button[data-key=confirm]")).to_be_visible()
    if shot:
        await phone.shoot(shot)
    await phone.press("confirm")
    await expect(phone.page.locator("#said")).to_contain_text("已存为记录")


async def put_on_anyway(phone: Phone) -> None:
    """Try a tag that the phone knows at another cylinder, then one that only the service knows."""
    await phone.press("tag")
    await phone.type(CODE)
    await expect(phone.page.locator("main")).to_contain_text("请读新标签")
    await phone.type(TAKEN)
    await expect(phone.page.locator("#said")).to_contain_text(f"标签属于 {OTHER}")
    await phone.press("back")
    phone.office.register(SECOND, manufactured_on="2009-01", codes=[_tag(TAKEN), _tag(LATE)])
    await put_on(phone, LATE)


def _tag(uid: str) -> dict[str, str]:
    return {"scheme": "tag_uid", "value": uid}


async def look_at_the_service(phone: Phone, office: Office) -> None:
    """All five are there, once, with what follows from them."""
    found = {one["number"]: one for one in office.records()}
    assert {number: one["what"]["type"] for number, one in found.items()} == {
        1: "scan",
        2: "inspection",
        3: "count",
        4: "tag",
        5: "tag",
    }
    assert {number: one["reason"] for number, one in found.items()} == {
        1: "",
        2: "",
        3: "count_contradicts",
        4: "",
        5: "tag_taken",
    }
    inspection = msgspec.convert(found[2]["what"], Inspection)
    digests = {one.sha256 for one in inspection.signatures}
    bare = msgspec.json.decode(signed_content(inspection))
    assert len(digests) == 1
    assert list(bare) == list(found[2]["what"]), "the phone signs what the service reads"
    for _ in range(50):
        status, _, kind = office.photo(inspection.photos[0].sha256)
        if status == 200:
            break
        await phone.page.wait_for_timeout(100)
    assert (status, kind) == (200, "image/jpeg")
    cylinder = office.cylinder(BOTTLE)
    assert cylinder["state"] == "blocked"
    assert f"tag_uid:{UID}" in str(cylinder) or UID in str(cylinder)


_LOSE = """async () => {
    const db = await import('/static/hand/db.js');
    const database = await db.open();
    const put = (one) => new Promise((resolve) => {
        const writing = database.transaction('photo', 'readwrite');
        writing.objectStore('photo').put(one);
        writing.oncomplete = () => resolve();
    });
    await put({ sha256: '0'.repeat(64), raw: new Blob(['no picture']), number: 2, waiting: 1 });
}"""
_FETCH = """async (most) => {
    const [sync, people] = await Promise.all(
        ['sync', 'people'].map((name) => import(`/static/hand/${name}.js`)));
    await sync.fetchSheets(people.who().token, most);
}"""


async def what_is_left_out_is_told(phone: Phone) -> None:
    """A photo that the service will never take, and cylinders for which there is no room."""
    page = phone.page
    await page.evaluate(_LOSE)
    await phone.press("send")
    await expect(page.locator("button[data-key=answers]")).to_contain_text("(3)")
    await phone.press("answers")
    await expect(page.locator("[data-reason=photos_lost]")).to_contain_text("1 张照片未能上传")
    await expect(page.locator("main")).to_contain_text("记录 2 的照片: 平台没有引用它的记录")
    await phone.shoot("zh-8-photo-lost")
    await phone.press("understood")
    await phone.press("back")
    for most, cut in ((1, 1), (2, 0)):
        await page.evaluate(_FETCH, most)
        await phone.press("send")
        await expect(page.locator(f"[data-cut='{cut}']")).to_contain_text(f"{most} 只气瓶")
        await phone.shoot(f"zh-8-cut-{cut}")


async def answered(phone: Phone) -> None:
    """The service's words are shown, in both languages, until somebody has read them."""
    page = phone.page
    await phone.press("answers", "(2)")
    await expect(page.locator("[data-reason=count_contradicts]")).to_be_visible()
    await expect(page.locator("main")).to_contain_text(f"{CODE} 已锁定")
    await phone.shoot("zh-8-answer")
    await page.get_by_role("button", name="English").click()
    await expect(page.locator("[data-verdict=conflict]")).to_contain_text("CONFLICT")
    await phone.shoot("en-8-answer")
    await phone.press("understood")
    await expect(page.locator("[data-reason=tag_taken]")).to_be_visible()
    await phone.press("understood")
    await expect(page.locator("main")).to_contain_text("The service agrees with all")
    await phone.press("back")
    await phone.shoot("en-2-home")
    await phone.type(CODE)
    await expect(page.locator("[data-reason=blocked]")).to_be_visible()
    await expect(page.locator(".history")).to_contain_text("inspected on the spot")
    await phone.shoot("en-4-looked")
    await phone.press("inspect")
    await expect(page.locator("main")).to_contain_text("Re-check of record 2")
    await phone.shoot("en-5-inspection")


async def test_lost_phone_is_locked_and_forgets(phone: Phone, office: Office) -> None:
    await ready(phone)
    await phone.context.set_offline(True)
    await phone.type(CODE)
    await phone.waits(1)
    kept = await phone.page.evaluate(
        "import('/static/hand/people.js').then((people) => people.members().map((one) => one.id))"
    )
    office.revoke(kept[0])
    await phone.context.set_offline(False)
    await phone.page.evaluate("dispatchEvent(new Event('online'))")
    await expect(phone.page.locator("main")).to_contain_text("已挂失停用", timeout=20_000)
    await phone.shoot("zh-9-lost")
    known = "import('/static/hand/db.js').then((db) => db.sheets())"
    assert await phone.page.evaluate(known) == 0
    await phone.let_in("王五")
    await phone.waits(0)
    assert [one["outcome"] for one in office.records()] == ["taken"]
