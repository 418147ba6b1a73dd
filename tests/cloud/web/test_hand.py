"""The page for phones: what it may do, what it keeps, and that its words are there."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from cloud.web.hand import FILES, SCRIPTS
from cloud.web.texts import load_texts
from cloud.web.visit import STATIC
from tests.support.http_services import World, open_world

HAND = STATIC / "hand"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    world: World = await open_world(tmp_path)
    transport = httpx.ASGITransport(app=world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    world.database.close()


async def test_page_may_use_the_camera_and_no_other_may(client: httpx.AsyncClient) -> None:
    hand = await client.get("/hand")
    assert hand.status_code == 200
    assert "camera=(self)" in hand.headers["permissions-policy"]
    policy = hand.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "worker-src 'self'" in policy
    for path in ("/login", "/hand/worker.js", "/hand/words.json"):
        other = await client.get(path)
        assert "camera=()" in other.headers["permissions-policy"]


async def test_worker_keeps_all_that_the_page_loads(client: httpx.AsyncClient) -> None:
    worker = (await client.get("/hand/worker.js")).text
    page = (await client.get("/hand")).text
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert f'"{path}"' in worker
        assert (await client.get(path)).status_code == 200
    assert {path.name for path in HAND.glob("*.js")} == {*SCRIPTS, "worker.js"}
    for script in SCRIPTS:
        for imported in re.findall(r'from "\./([a-z]+\.js)"', (HAND / script).read_text()):
            assert f"hand/{imported}" in FILES
    assert not re.search("/api/", worker), "answers of the service are never kept by it"


async def test_manifest_makes_it_installable(client: httpx.AsyncClient) -> None:
    manifest = (await client.get("/hand/manifest.webmanifest")).json()
    assert (manifest["display"], manifest["start_url"], manifest["scope"]) == (
        *("standalone", "/hand", "/hand"),
    )
    for icon in manifest["icons"]:
        assert (await client.get(icon["src"])).status_code == 200
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}


def test_every_word_of_the_page_is_there_and_used() -> None:
    text = "\n".join((HAND / script).read_text() for script in SCRIPTS)
    named = set(re.findall(r'\bt\("([a-z_]+)"', text))
    named |= set(re.findall(r'\b(?:button|field|facts|part)\("([a-z_]+)"', text))
    named -= {"person", "form", "finding"}  # with texts of their own
    keys = {
        key.removeprefix("hand.")
        for key in load_texts("zh").keys()  # noqa: SIM118
        if key.startswith("hand.")
    }
    assert named - keys == set()
    quoted = set(re.findall(r'"([a-z_]+)"', text)) | set(re.findall(r"\b([a-z_]+): \[", text))
    families = ("reason_", "change_", "did_", "photo_", "is_")
    errors = {"code_used", "code_expired", "bad_code", "too_many_attempts", "no_script"}
    unused = {key for key in keys - quoted - named - errors if not key.startswith(families)}
    assert unused == set()
