"""Coming in with a second factor in a real browser, and what another site cannot make it do."""

from pathlib import Path
from typing import cast

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.async_api import Page, expect
from sqlalchemy import func, insert, select

from cloud.access.book import AccessBook
from cloud.model.people_tables import account, session
from cloud.web.texts import load_texts
from tests.support.browser import chromium, serve
from tests.support.firms import district_details, put
from tests.support.http_services import World, open_world
from tests.support.people import HASH, PASSWORD, code_of

WIDTHS = {"desk": 1280, "phone": 390}


async def inspector(world: World) -> tuple[int, str]:
    """Make an account with a second factor; returns its id and secret."""
    await put(world, "office", district_details("chuanying"))
    access = cast("AccessBook", world.services.access)
    secret, sealed = access.second_factor.new_secret()
    now_ms = world.clock.wall_ms()
    row = {
        "username": "li.si",
        "name": "李四",
        "organisation": "office",
        "roles": '["inspector"]',
        "password": HASH,
        "second_factor": sealed,
        "recovery": "[]",
        "state": "active",
        "failures": 0,
        "created_at": now_ms,
        "updated_at": now_ms,
    }
    made = world.database.write_now(lambda c: c.execute(insert(account).values(**row)))
    await access.refresh()
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0]), secret


def open_sessions(world: World) -> int:
    query = select(func.count()).select_from(session).where(session.c.ended_at.is_(None))
    return int(world.database.read_now(lambda c: c.execute(query).scalar_one()))


def note_complaints(page: Page, complaints: list[str]) -> None:
    page.on("pageerror", lambda error: complaints.append(str(error)))


async def show_password(page: Page, password: str) -> None:
    await page.fill("#username", "Li.Si")
    await page.fill("#password", password)
    await page.click("form.login button")


async def test_person_comes_in_with_password_and_code_in_both_languages(tmp_path: Path) -> None:
    world = await open_world(tmp_path)
    _, secret = await inspector(world)
    async with serve(world.app, world.services.stopping) as address, chromium() as browser:
        for (name, width), language in zip(WIDTHS.items(), ("zh", "en"), strict=True):
            t = load_texts(language)
            context = await browser.new_context(viewport={"width": width, "height": 800})
            page = await context.new_page()
            complaints: list[str] = []
            note_complaints(page, complaints)
            await page.goto(f"{address}/language/{language}?next=/scans")
            await show_password(page, "not the password at all")
            await expect(page.locator(".wrong")).to_have_text(t("login.wrong"))
            await page.screenshot(path=tmp_path / f"sign-in-{name}.png", full_page=True)
            await show_password(page, PASSWORD)
            await expect(page.locator("#code")).to_be_focused()
            await page.fill("#code", "000000")
            await page.click("form.login button")
            await expect(page.locator(".wrong")).to_have_text(t("login.wrong_code"))
            await page.screenshot(path=tmp_path / f"code-{name}.png", full_page=True)
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            steps = {"zh": 0, "en": 1}[language]  # the same code does not count twice
            await page.fill("#code", code_of(secret, world.clock.wall_ms(), steps))
            await page.click("form.login button")
            await expect(page.locator("form[action='/logout']")).to_be_visible()
            cookies = {one["name"]: one for one in await context.cookies()}
            assert cookies["suyuan_session"]["httpOnly"]
            assert cookies["suyuan_session"]["sameSite"] == "Lax"
            assert (wide, complaints) == (0, [])
    assert open_sessions(world) == 2
    world.database.close()


async def test_another_site_can_neither_sign_in_nor_out_nor_change(tmp_path: Path) -> None:
    world = await open_world(tmp_path)
    number, _ = await inspector(world)
    access = cast("AccessBook", world.services.access)
    opened = await access.open_session(number, second_factor=True)
    evil, target = FastAPI(), {"address": ""}

    @evil.get("/{path:path}")
    async def lure(path: str) -> HTMLResponse:
        fields = "<input name=username value=li.si><input name=password value=x>"
        form = f'<form method=post action="{target["address"]}/{path}">{fields}<button>go</button>'
        return HTMLResponse(f"<!doctype html><title>lure</title>{form}</form>")

    async with (
        serve(world.app, world.services.stopping) as address,
        serve(evil, world.services.stopping) as elsewhere,
        chromium() as browser,
    ):
        target["address"] = address
        context = await browser.new_context()
        await context.add_cookies(
            [{"name": "suyuan_session", "value": opened.cookie, "url": address}]
        )
        page = await context.new_page()
        for path, status in (("login", 403), ("logout", 403)):
            await page.goto(f"{elsewhere.replace('127.0.0.1', 'localhost')}/{path}")
            async with page.expect_response(f"{address}/{path}") as answer:
                await page.click("button")
            assert (await answer.value).status == status
        answered = await page.goto(f"{address}/scans")
        assert answered is not None
        assert answered.status == 200
    assert open_sessions(world) == 1
    world.database.close()
