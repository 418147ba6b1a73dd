"""The screens, driven as a person and a scanner drive them, in 40 columns and 20 lines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from edge.handheld.app import HandApp, Page
from edge.handheld.desk import Desk
from edge.handheld.link import Link
from edge.handheld.pages import first_page
from edge.handheld.session import IDLE_MS, Issued
from edge.handheld.sync import Report
from edge.handheld.words import FOLDER, Language, load_words
from edge.scan import build_desk
from protocols.clock import ManualClock
from protocols.errors import RetryLater
from protocols.handheld import Contact, Count, Inspection, Scan, Settled, Tag
from tests.edge.handheld.conftest import GRACE_S, LI, WANG, issued
from tests.edge.handheld.test_workflow import BOTTLE, OTHER, UID, Known

SIZE = (40, 20)
PINS = {WANG: "2580", LI: "1379"}


class Service:
    """Answers as the service does; only what cannot be had from a real one in a test of screens."""

    def __init__(self) -> None:
        self.away = False
        self.report = Report(ended="done", sent=3)

    async def synchronise(self) -> Report:
        return Report(ended="away", why="no network") if self.away else self.report

    async def redeem(self, code: str) -> Issued:
        if self.away:
            raise RetryLater("no network")
        return issued(WANG if code == "AAAA" else LI)


class Driver:
    """A person with a scanner."""

    def __init__(self, app: HandApp, pilot: Pilot[None], service: Service) -> None:
        self.app, self.pilot, self.service = app, pilot, service

    async def type(self, text: str) -> None:
        """Type, as a scanner does, and end with Enter."""
        line = cast("Any", self.app.screen.query_one("#line"))
        line.value = text
        await self.press("enter")

    async def press(self, *keys: str) -> None:
        """Press keys."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    def screen(self) -> list[str]:
        """Return the lines that stand on the screen."""
        lines = []
        for y in range(SIZE[1]):
            strip = self.app.screen._compositor.render_strips()[y]
            lines.append(strip.text.rstrip())
        return lines

    def shows(self, *texts: str) -> None:
        """Hold each text to be on the screen."""
        screen = "\n".join(self.screen())
        for text in texts:
            assert text in screen, f"{text!r} is not on\n{screen}"

    def keep(self, folder: Path, name: str) -> None:
        """Keep a picture, and the text."""
        (folder / f"{name}.svg").write_text(self.app.export_screenshot(), encoding="utf-8")
        (folder / f"{name}.txt").write_text("\n".join(self.screen()), encoding="utf-8")


def desk_of(folder: Path, clock: ManualClock, service: Service) -> Desk:
    """A desk with both inspectors, who were let in just now."""
    link = Link("https://example.com", cast("httpx.AsyncClient", None))
    desk = build_desk(folder, link, clock=clock, boot="b1")
    desk.synchronise, desk.redeem = service.synchronise, service.redeem
    desk.known.cylinders, desk.known.state_at = Known(), lambda _: "fresh"
    for person, name in ((WANG, "王五"), (LI, "李四")):
        member = desk.session.admit(issued(person), name, PINS[person])
        told = Contact(
            time=clock.wall_ms(),
            person=person,
            name=name,
            organisation="office",
            offline_grace_s=GRACE_S,
        )
        desk.session.heard(member, told)
    desk.session.sign_off()
    return desk


@asynccontextmanager
async def driven(
    folder: Path, clock: ManualClock | None = None, language: Language = "zh"
) -> AsyncIterator[Driver]:
    """Run the application without a terminal."""
    service = Service()
    desk = desk_of(folder, clock or ManualClock(), service)
    app = HandApp(desk, first_page, language=language)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        yield Driver(app, pilot, service)
    desk.store.close()


async def sign_on(driver: Driver) -> None:
    """Sign 王五 on."""
    number = [one.id for one in driver.app.desk.session.members].index(WANG) + 1
    await driver.type(str(number))
    await driver.type(PINS[WANG])


async def test_sign_on_by_pin_and_off_when_left_lying(tmp_path: Path) -> None:
    clock = ManualClock()
    async with driven(tmp_path, clock) as driver:
        driver.shows("选人", "王五", "李四", "0 新人员")
        driver.keep(tmp_path, "sign_on")
        number = [one.id for one in driver.app.desk.session.members].index(WANG) + 1
        await driver.type(str(number))
        await driver.pilot.press("2", "5")
        await driver.pilot.pause()
        assert "25" not in "\n".join(driver.screen()), "a PIN is not shown"
        await driver.type("0000")
        driver.shows("PIN 不对")
        await sign_on(driver)
        driver.shows("扫码或读卡", "王五", "⏳3 天")
        driver.keep(tmp_path, "home")
        await driver.type("2")
        clock.advance(IDLE_MS + 1_000)
        driver.app.tick()
        await driver.pilot.pause()
        driver.shows("选人")


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_scan_shows_verdict_with_all_reasons_and_dates(
    tmp_path: Path, language: Language
) -> None:
    words = load_words(language)
    async with driven(tmp_path, language=language) as driver:
        await sign_on(driver)
        await driver.type("JL2B0001234")
        driver.shows(f"✔  {words('fill')}  ✔", "JL2B0001234", words("due"), "2028-05-31")
        driver.keep(tmp_path, f"fill-{language}")
        await driver.type("JL2B0009999")
        driver.shows(f"✖  {words('do_not_fill')}  ✖")
        driver.keep(tmp_path, f"do_not_fill-{language}")
        history = driver.app.desk.history
        verdicts = [one.record.what for one in history(OTHER) + history(BOTTLE)]
        assert [cast("Scan", one).decision for one in verdicts] == ["do_not_fill", "fill"]
        await driver.type(UID)
        driver.shows(words("fill"))
        await driver.type("elevator:31101099920240017")
        driver.shows(words("not_cylinder"))
        await driver.type("(01)06901234567893")
        driver.shows(words("bad_check_digit"))
        await driver.type("NEU-77")
        await driver.type("2")
        driver.shows(words("cannot_decide"), words("unknown"))
        driver.keep(tmp_path, f"unknown-{language}")


async def test_inspection_from_the_scan_to_two_signatures(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "IMG_1.jpg").write_bytes(b"a picture")
    async with driven(tmp_path) as driver:
        await sign_on(driver)
        await driver.type("JL2B0001234")
        await driver.type("2")
        driver.shows("气瓶现场检查")
        await driver.type("1")
        driver.shows("合格", "11 □ 超期未检")
        await driver.type("16")
        driver.shows("责令整改")
        await driver.type("6")
        driver.shows("先写整改指令")
        await driver.type("5")
        await driver.type("十日内补贴电子标识")
        await driver.type("7")
        driver.shows("已加照片 IMG_1.jpg")
        await driver.type("7")
        driver.shows("无新照片")
        await driver.type("8")
        await driver.type("43.84,226")
        driver.shows("例：")
        await driver.type("8")
        await driver.type("43.84,126.55")
        driver.keep(tmp_path, "inspection")
        for person in (LI, WANG):
            await driver.type("6")
            members = [one.id for one in driver.app.desk.session.members]
            await driver.type(str(members.index(person) + 1))
            await driver.type(PINS[person])
        driver.shows("已保存 #2")
        kept = driver.app.desk.store.get(2)
        assert kept is not None
        made = cast("Inspection", kept.record.what)
        assert (made.outcome, [one.code for one in made.findings]) == ("instructed", ["no_tag"])
        assert [one.person for one in made.signatures] == [LI, WANG]
        assert made.photos[0].file == "IMG_1.jpg"
        assert made.position is not None
        assert made.instruction is not None
        await driver.press("f1")
        await driver.type("JL2B0001234")
        await driver.type("2")
        await driver.type("1")
        driver.shows("复查 #2")


async def test_shelf_is_counted_against_the_count_before(tmp_path: Path) -> None:
    async with driven(tmp_path) as driver:
        await sign_on(driver)
        first, second = ("JL2B01", "JL2B02"), ("JL2B02", "JL2B03", "JL2B09")
        for scans in (first, second):
            await driver.type("3")
            await driver.type("A-3")
            for one in scans:
                await driver.type(one)
            if len(scans) == 3:
                await driver.type("7")
            driver.keep(tmp_path, "count")
            await driver.type("5")
            driver.shows("已保存")
            await driver.press("f1")
        kept = driver.app.desk.store.get(2)
        assert kept is not None
        count = cast("Count", kept.record.what)
        assert count.found == ("cylinder:JL2B02",)
        assert count.missing == ("cylinder:JL2B01",)
        assert count.unexpected == ("cylinder:JL2B03",)


async def test_tag_is_put_on_by_cylinder_tag_and_confirmation(tmp_path: Path) -> None:
    async with driven(tmp_path) as driver:
        await sign_on(driver)
        await driver.type("4")
        await driver.type("JL2B0009999")
        await driver.type(UID)
        driver.shows("标签已属 cylinder:JL2B0001234")
        await driver.type("04FFEEDDCCBBAA")
        driver.shows("1 确认")
        await driver.type("1")
        driver.shows("已保存 #1")
        await driver.press("f9")
        driver.shows("选人")
        kept = driver.app.desk.store.get(1)
        assert kept is not None
        assert kept.record.what == Tag(asset=OTHER, uid="04FFEEDDCCBBAA")


async def test_what_the_service_answers_is_shown_until_it_is_read(tmp_path: Path) -> None:
    async with driven(tmp_path) as driver:
        await sign_on(driver)
        await driver.type("JL2B0001234")
        await driver.press("f1")
        conflict = Settled(
            number=1,
            outcome="conflict",
            reason="inspected_elsewhere",
            expected="no inspection of cylinder:JL2B0001234 since 2026-03-01T00:00:00.000Z",
            found="inspected 2026-03-02T00:00:00.000Z, record 7 of aaaaaaaa",
        )
        driver.app.desk.store.settle([conflict])
        driver.service.report = Report(ended="done", sent=1, faulty=1)
        await driver.press("f5")
        await driver.pilot.pause(0.1)
        driver.shows("上传完成：1 条", "平台答复(1)")
        await driver.type("6")
        driver.shows("有冲突", "别的终端已检查此瓶", "record 7")
        driver.keep(tmp_path, "conflict")
        await driver.type("1")
        driver.shows("平台没有异议")


async def test_no_network_keeps_everything_and_says_so(tmp_path: Path) -> None:
    async with driven(tmp_path) as driver:
        driver.service.away = True
        await sign_on(driver)
        await driver.type("JL2B0001234")
        await driver.press("f5")
        await driver.pilot.pause(0.1)
        driver.shows("未连上平台，记录已保存", "▲1")
        await driver.press("f10")
        driver.shows("MAY BE FILLED")


async def test_locked_when_too_long_away_and_when_lost(tmp_path: Path) -> None:
    clock = ManualClock()
    async with driven(tmp_path, clock) as driver:
        clock.advance(GRACE_S * 1000)
        driver.app.tick()
        await driver.pilot.pause()
        driver.shows("离线过久")
        await driver.type("1")
        driver.shows("离线过久")
        driver.app.desk.session.revoke()
        driver.app.tick()
        await driver.pilot.pause()
        driver.shows("已挂失停用", "未上传记录仍保存")
        driver.keep(tmp_path, "revoked")
        for text in ("0", "AAAA", "王五", "2580", "2581"):
            await driver.type(text)
        driver.shows("两次不同")
        for text in ("2580", "2580"):
            await driver.type(text)
        driver.shows("扫码或读卡")


async def test_clock_in_doubt_and_full_store_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.handheld.store.UNSETTLED_MAX", 1)
    clock = ManualClock()
    async with driven(tmp_path, clock) as driver:
        clock.set_wall(clock.wall_ms() - 10 * 86_400_000)
        driver.app.desk.time._boot_id = "b2"  # as if it had been switched off
        await sign_on(driver)
        driver.shows("时钟不可信")
        await driver.type("JL2B0001234")
        driver.shows("不能判定")
        await driver.type("JL2B0001234")
        driver.shows("存储已满")


def test_both_languages_have_the_same_words_that_fit() -> None:
    zh, en = load_words("zh"), load_words("en")
    assert set(zh._words) == set(en._words)
    assert {path.stem for path in FOLDER.glob("*.toml")} == {"zh", "en"}
    for words in (zh, en):
        for key, text in words._words.items():
            assert all(cell_len(line) <= SIZE[0] for line in text.splitlines()), key


async def test_scans_that_come_in_one_burst_are_all_taken(tmp_path: Path) -> None:
    async with driven(tmp_path) as driver:
        await sign_on(driver)
        keys = [*"3", "enter", *"A", "enter", *"JL2B01", "enter", *"JL2B02", "enter", *"JL2B03"]
        await driver.press(*keys, "enter", "5", "enter")
        driver.shows("已保存 #1", "多出 3")


async def test_reader_of_the_device_is_heard_on_every_screen(tmp_path: Path) -> None:
    async with driven(tmp_path) as driver:
        await sign_on(driver)
        driver.app.scanned("JL2B0001234")
        await driver.pilot.pause()
        await asyncio.sleep(0.05)
        driver.shows("可充装")
        assert isinstance(driver.app.screen, Page)
