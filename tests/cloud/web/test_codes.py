"""The public page of a code: what it says, and what it keeps to itself."""

from urllib.parse import quote

import httpx
import pytest

from tests.support.firms import firm_details, put
from tests.support.http_services import TOKEN, World

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
TAG = "ear_tag:122020200000017"
GTIN = "06901234567892"


async def register(visitor: httpx.AsyncClient, world: World) -> None:
    await put(world, "firm-a", firm_details(0))
    body = {
        "attributes": {"district": "chuanying", "owner_name": "王五", "owner_phone": "13800000000"},
        "parties": {"owner": "firm-a"},
    }
    answer = await visitor.put(f"/api/v1/assets/{TAG}", json=body, headers=ADMIN)
    assert answer.status_code == 201, answer.text


async def test_page_says_what_is_valid_known_and_registered(
    visitor: httpx.AsyncClient, world: World
) -> None:
    unknown = await visitor.get(f"/q/{TAG}")
    assert unknown.status_code == 200
    assert "符合该类编码的规则" in unknown.text
    assert "尚未在本平台登记" in unknown.text
    assert "不能证明产品是真品" in unknown.text
    await register(visitor, world)
    known = await visitor.get(f"/q/{TAG}")
    assert "有，已登记" in known.text
    assert firm_details(0).name in known.text
    for hidden in ("王五", "13800000000", "chuanying"):
        assert hidden not in known.text


async def test_page_of_a_gs1_key_tells_of_prefix_and_links(
    visitor: httpx.AsyncClient, world: World
) -> None:
    await put(world, "firm-a", firm_details(0))
    prefix = {"organisation": "firm-a"}
    await visitor.put("/api/v1/prefixes/6901234", json=prefix, headers=ADMIN)
    link = {"type": "gs1:pip", "href": "https://shop.example/p", "title": "产品 <b>"}
    body = {"anchor": f"/01/{GTIN}", "links": [link]}
    await visitor.put("/api/v1/links", json=body, headers=ADMIN)
    for path in (f"/q/{GTIN}", f"/q/01/{GTIN}/10/L1/21/S%2F1", f"/q/sgtin:{GTIN}.S1"):
        page = await visitor.get(path)
        assert firm_details(0).name in page.text
        assert 'href="https://shop.example/p"' in page.text
        assert "产品 &lt;b&gt;" in page.text
    assert f"{GTIN}.S/1" in (await visitor.get(f"/q/01/{GTIN}/10/L1/21/S%2F1")).text


async def test_resolver_leads_to_the_page(visitor: httpx.AsyncClient) -> None:
    for path in (f"/01/{GTIN}/21/S%2F1?17=271231", "/id/ear_tag/122020200000017"):
        page = await visitor.get(path, follow_redirects=True)
        assert page.status_code == 200
        assert page.url.path.startswith("/q/")
        assert page.headers["content-type"].startswith("text/html")


async def test_thing_registered_by_a_code_of_no_scheme_is_told(
    visitor: httpx.AsyncClient,
) -> None:
    answer = await visitor.put("/api/v1/assets/elevator:0001", json={}, headers=ADMIN)
    assert answer.status_code == 201
    page = await visitor.get("/id/elevator/0001", follow_redirects=True)
    assert page.status_code == 200
    assert "有，已登记" in page.text


@pytest.mark.parametrize(
    ("text", "status", "word"),
    [
        ("81999990000000000017", 200, "2 种编码之一"),
        ("4103", 404, "没有已知的编码"),
        ("<script>alert(1)</script>", 404, "&lt;script&gt;"),
        ("06901234567893", 400, "校验位不符"),
        ("no-such-code", 404, "没有已知的编码"),
        ("(01)06901234567893", 400, "校验位不符"),
        ("elevator:1", 400, "不符合该类编码的规则"),
        ("stall:0001", 404, "没有已知的编码"),
        ("ear_tag:129999900000017", 200, "省级行政区划不存在"),
        ("a\x00b", 400, "书写方式不正确"),
        ("x" * 4_097, 400, "内容过长"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_page_never_says_200_for_what_is_none(
    visitor: httpx.AsyncClient, text: str, status: int, word: str
) -> None:
    page = await visitor.get(f"/q/{quote(text, safe='')}")
    assert page.status_code == status, page.text
    assert word in page.text
    assert "<script>alert" not in page.text


async def test_form_shows_the_page_in_both_languages(visitor: httpx.AsyncClient) -> None:
    assert (await visitor.get("/q")).status_code == 200
    page = await visitor.get("/q", params={"code": " (01)06901234567892(21)S/1 "})
    assert "06901234567892.S/1" in page.text
    label = "吉玉17\r\n示例种业\r\n2202020010A\r\nhttps://example.com/z"
    page = await visitor.get("/q", params={"code": label})
    assert "种子标签" in page.text
    assert "吉玉17" in page.text
    assert (await visitor.get("/q", params={"code": "1\r\n2"})).status_code == 404
    english = await visitor.get(f"/q/{TAG}", headers={"Cookie": "suyuan_language=en"})
    assert "does not prove that the pack is genuine" in english.text
