"""A department's own sign-on, of another hand, with the real service and in Chromium."""

import re
from pathlib import Path

import httpx
from playwright.async_api import ViewportSize, expect

from tests.support.browser import chromium
from tests.support.service_process import service_process
from tests.support.sign_on import CITY, CLIENT, SECRET, mock_provider
from tests.support.stack import TOKEN

DESK, PHONE = ViewportSize(width=1366, height=768), ViewportSize(width=390, height=844)


def settings(folder: Path, issuer: str) -> str:
    secret = folder / "client_secret"
    secret.write_text(SECRET)
    return f"""
base_url = "http://127.0.0.1:{{port}}"
[outbound]
allowed = ["127.0.0.1", "::1"]
ports = [{issuer.rpartition(":")[2]}]
[[oidc]]
id = "city"
title = "City sign-on"
title_zh = "市政务"
issuer = "{issuer}"
client_id = "{CLIENT}"
client_secret_file = "{secret}"
organisation = "{CITY}"
create_accounts = true
role_claim = "groups"
[oidc.roles]
lifts = ["regulator"]
"""


def prepare(url: str, issuer: str) -> None:
    """Make the department here, and two people there: one of a group that means something."""
    body = {"kind": "department", "name": "市场监督管理局", "department": "market_supervision"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    path = f"{url}/api/v1/organisations/{CITY}"
    answer = httpx.put(path, json=body, headers=headers, timeout=20)
    assert answer.status_code == 201, answer.text
    for subject, groups in (("wang", ["lifts"]), ("zhao", [])):
        claims = {"name": "王五", "preferred_username": subject, "groups": groups}
        httpx.put(f"{issuer}/users/{subject}", json=claims).raise_for_status()


async def test_department_comes_in_by_its_own_sign_on(tmp_path: Path) -> None:
    with (
        mock_provider() as issuer,
        service_process(tmp_path, settings(tmp_path, issuer)) as service,
    ):
        url = f"http://127.0.0.1:{service.port}"
        prepare(url, issuer)
        async with chromium() as browser:
            page = await (await browser.new_context(viewport=DESK)).new_page()
            complaints: list[str] = []
            page.on("console", lambda said: complaints.append(said.text))
            codes: list[str] = []
            page.on(
                "request", lambda asked: codes.extend(re.findall(r"[?&]code=([^&]+)", asked.url))
            )
            await page.goto(f"{url}/fleet")
            for name, size in (("phone", PHONE), ("desk", DESK)):
                await page.set_viewport_size(size)
                await page.screenshot(path=tmp_path / f"login-{name}.png", full_page=True)
            await page.click("text=使用市政务登录")
            await page.fill("input[name=sub]", "wang")
            await page.click("text=Authorize >> nth=-1")
            await page.wait_for_url(f"{url}/fleet")
            await expect(page.locator("form.inline button")).to_have_attribute(
                "title", "王五 (wang@city)"
            )
            await page.goto(f"{url}/account")
            await expect(page.locator("#sign-on .tag")).to_have_text("已关联")
            await page.click("#sign-on button")
            await expect(page.locator(".wrong")).to_contain_text("没有密码")
            await page.screenshot(path=tmp_path / "account-linked.png", full_page=True)
            await page.click("form.inline button")
            await page.wait_for_url(f"{url}/login")
            await page.click("text=使用市政务登录")
            await page.fill("input[name=sub]", "zhao")
            await page.click("text=Authorize >> nth=-1")
            await expect(page.locator("[role=alert]")).to_contain_text("没有对应的账号")
            await page.screenshot(path=tmp_path / "login-refused.png", full_page=True)
        assert len(codes) == 2
        assert not [said for said in complaints if "Content Security" in said]
        log = service.log.read_text()
        assert "not_linked" in log
        assert not [one for one in (SECRET, *codes) if one in log]
