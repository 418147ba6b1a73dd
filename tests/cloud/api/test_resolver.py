"""What GS1's standard for resolvers asks (1.2), one test for each of its sentences."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import httpx
import pytest

from cloud.api.resolver import CONTEXT
from protocols.codes.anchors import KEYS
from tests.support.firms import firm_details, put
from tests.support.http_services import TOKEN, World

GTIN = "/01/06901234567892"
LOT = f"{GTIN}/10/L1"
SERIAL = f"{LOT}/21/S1"
VOC = "https://ref.gs1.org/voc/"
PIP = {"type": "gs1:pip", "href": "https://shop.example/p?id=7", "title": "Product"}
TESTED = {"type": "gs1:certificationInfo", "href": "https://lab.example/l1", "title": "Test report"}
ADMIN = {"Authorization": f"Bearer {TOKEN}"}


async def put_links(nobody: httpx.AsyncClient, anchor: str, *links: Mapping[str, Any]) -> None:
    body = {"anchor": anchor, "links": links}
    answer = await nobody.put("/api/v1/links", json=body, headers=ADMIN)
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def resolver(nobody: httpx.AsyncClient) -> httpx.AsyncClient:
    """A resolver that knows a product, and a report on one lot of it."""
    chinese = {**PIP, "href": "https://shop.example/zh", "languages": ["zh"], "title": "产品"}
    english = {**PIP, "href": "https://shop.example/en", "languages": ["en"], "title": "Product"}
    await put_links(nobody, GTIN, {**PIP, "role": "default"}, chinese, english)
    await put_links(nobody, LOT, TESTED)
    return nobody


def anchors(answer: httpx.Response) -> list[str]:
    return [one["anchor"].removeprefix("http://test") for one in answer.json()["linkset"]]


# HTTP, CORS, description file


async def test_methods_and_cors(resolver: httpx.AsyncClient) -> None:
    paths = (GTIN, SERIAL, "/.well-known/gs1resolver", "/id/ear_tag/122020200000017")
    for path, method in product(paths, ("GET", "HEAD", "OPTIONS")):
        answer = await resolver.request(method, path)
        assert answer.status_code in (200, 204, 307)
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = answer.headers["access-control-allow-methods"]
        assert all(one in allowed for one in ("GET", "HEAD", "OPTIONS"))
        assert {"Link", "Location"} <= set(
            answer.headers["access-control-expose-headers"].split(", ")
        )


async def test_other_methods_are_refused(resolver: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await resolver.request(method, GTIN)).status_code == 405


async def test_description_file(resolver: httpx.AsyncClient) -> None:
    answer = await resolver.get("/.well-known/gs1resolver")
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["resolverRoot"] == "http://test"
    assert set(told["supportedPrimaryKeys"]) == set(KEYS)
    assert told["supportedLinkType"] == [{"namespace": VOC, "prefix": "gs1:"}]
    assert told["linkTypeDefaultCanBeLinkset"] is False
    assert told["jsonLdContextLocation"] == CONTEXT


# the address


BAD = [
    f"{GTIN}/foo",
    f"{GTIN}/foo/bar",
    f"{GTIN}/21/S1/10/L1",
    f"{GTIN}/254/X",
    f"{GTIN}/21/",
    f"{GTIN}//21/S1",
    f"{GTIN}/21/{'x' * 21}",
    f"{GTIN}/21/a%20b",
    f"{GTIN}/21/%E4%B8%AD",
    f"{GTIN}?17=991399",
    f"{GTIN}?21=S1",
    "/01/06901234567893",
    "/01/abc",
    "/01/",
    "/00/369012340000000018",
    "/414/6901234000017",
    "/8003/16901234000016",
    "/8004/%00",
    f"/01/{'1' * 500}",
    "/id/elevator/1",
    "/id/elevator/%2e%2e",
    f"{GTIN}?{'&'.join(f'a{n}=1' for n in range(101))}",
]


async def test_address_with_a_fault_is_400(resolver: httpx.AsyncClient) -> None:
    for path in BAD:
        answer = await resolver.get(path)
        assert answer.status_code == 400, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["access-control-allow-origin"] == "*"
    assert (await resolver.get("/id/stall/0001")).status_code == 404


EVERY_KEY = [
    f"{GTIN}/22/V1/10/L1/21/S1",
    f"{GTIN}/235/TP1",
    "/00/369012340000000017",
    "/253/6901234000016D17",
    "/255/690123400001617",
    "/401/6901234XY17",
    "/402/69012340000000016",
    "/414/6901234000016/254/A1",
    "/417/6901234000016",
    "/8003/06901234000016C17",
    "/8004/6901234A17",
    "/8006/069012345678920102/21/S1",
    "/8010/6901234PQ7/8011/17",
    "/8017/690123400000000018",
    "/8018/690123400000000018",
]


async def test_every_key_with_its_qualifiers_is_supported(resolver: httpx.AsyncClient) -> None:
    for address in (*EVERY_KEY, *(f"{path}/" for path in EVERY_KEY)):
        answer = await resolver.get(address)
        assert answer.status_code == 307, answer.text
        assert answer.headers["location"].startswith(("http://test/q/", "https://shop.example/"))


async def test_one_thing_written_otherwise_is_led_to_the_same_place(
    resolver: httpx.AsyncClient,
) -> None:
    paths = (
        f"{GTIN}/",
        "/01/6901234567892",
        "/id/sgtin/06901234567892.S1",
        "/id/gtin/6901234567892/",
    )
    for path in (GTIN, *paths):
        answer = await resolver.get(path)
        assert (answer.status_code, answer.headers["location"]) == (307, PIP["href"])


# redirection


async def test_default_link_is_followed_from_every_level(resolver: httpx.AsyncClient) -> None:
    for path in (GTIN, LOT, SERIAL, f"{GTIN}/22/V/10/L1/21/S1"):
        answer = await resolver.get(path)
        assert answer.status_code == 307
        assert answer.headers["location"] == PIP["href"]


async def test_page_is_the_default_where_the_owner_names_none(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get(SERIAL)
    assert answer.headers["location"] == f"http://test/q{SERIAL}"
    named = await nobody.get("/id/ear_tag/122020200000017")
    assert named.headers["location"] == "http://test/q/ear_tag:122020200000017"


async def test_link_type_asked_for_is_followed(resolver: httpx.AsyncClient) -> None:
    for name in ("gs1:certificationInfo", f"{VOC}certificationInfo"):
        for path in (LOT, SERIAL):
            answer = await resolver.get(path, params={"linkType": name})
            assert answer.status_code == 307
            assert answer.headers["location"].startswith(TESTED["href"])


async def test_link_type_that_is_not_there_is_404(resolver: httpx.AsyncClient) -> None:
    for path, name in ((GTIN, "gs1:certificationInfo"), (GTIN, "gs1:recallStatus"), (GTIN, "x")):
        answer = await resolver.get(path, params={"linkType": name})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


async def test_default_link_can_be_asked_for(resolver: httpx.AsyncClient) -> None:
    answer = await resolver.get(f"{GTIN}?linkType=gs1:defaultLink")
    assert answer.headers["location"].startswith("https://shop.example/p?id=7")


async def test_query_is_passed_on_whole(resolver: httpx.AsyncClient) -> None:
    answer = await resolver.get(f"{GTIN}?foo=bar&17=271231&x=%E4%B8%AD")
    assert answer.headers["location"] == f"{PIP['href']}&foo=bar&17=271231&x=%E4%B8%AD"
    await put_links(resolver, GTIN, {**PIP, "href": "https://a.example/b#c", "role": "default"})
    answer = await resolver.get(f"{GTIN}?foo=bar")
    assert answer.headers["location"] == "https://a.example/b?foo=bar#c"


async def test_redirect_tells_where_all_links_are(resolver: httpx.AsyncClient) -> None:
    answer = await resolver.get(LOT)
    link = answer.headers["link"]
    assert link.startswith(f'<http://test{LOT}?linkType=linkset>; rel="linkset"')
    assert 'type="application/linkset+json"' in link
    assert anchors(await resolver.get(f"{LOT}?linkType=linkset")) == [LOT, GTIN]


LANGUAGES = [
    ("zh-CN,zh;q=0.9,en;q=0.8", "https://shop.example/zh"),
    ("en-GB", "https://shop.example/en"),
    ("fr, en;q=0.5", "https://shop.example/en"),
    ("zh;q=0, en;q=x, en", "https://shop.example/en"),
]


async def test_language_picks_among_links_of_one_type(resolver: httpx.AsyncClient) -> None:
    for languages, expected in LANGUAGES:
        headers = {"Accept-Language": languages}
        answer = await resolver.get(f"{GTIN}?linkType=gs1:pip", headers=headers)
        assert answer.status_code == 307
        assert answer.headers["location"].startswith(expected), languages


async def test_equal_links_are_300_with_the_choice(resolver: httpx.AsyncClient) -> None:
    answer = await resolver.get(f"{GTIN}?linkType=gs1:pip", headers={"Accept-Language": "fr"})
    assert answer.status_code == 300
    (only,) = answer.json()["linkset"]
    assert len(only[f"{VOC}pip"]) == 3


async def test_context_and_media_type_pick_among_links(nobody: httpx.AsyncClient) -> None:
    pdf = {**TESTED, "media_type": "application/pdf", "href": "https://lab.example/pdf"}
    html = {**TESTED, "media_type": "text/html", "href": "https://lab.example/html"}
    jilin = {**html, "context": ["jilin"], "href": "https://lab.example/jilin"}
    await put_links(nobody, LOT, pdf, html, jilin)
    address = f"{LOT}?linkType=gs1:certificationInfo"
    for query, accept, expected in (
        ("", "application/pdf", "pdf"),
        ("", "text/html,*/*;q=0.8", "html"),
        ("&context=jilin", "*/*", "jilin"),
    ):
        answer = await nobody.get(f"{address}{query}", headers={"Accept": accept})
        assert answer.headers["location"].startswith(f"https://lab.example/{expected}?")
    assert (await nobody.get(address, headers={"Accept": "*/*"})).status_code == 300


async def test_default_multi_is_followed_where_it_fits_better(nobody: httpx.AsyncClient) -> None:
    chinese = {**PIP, "href": "https://a.example/zh", "languages": ["zh"], "role": "default_multi"}
    english = {**PIP, "href": "https://a.example/en", "languages": ["en"], "role": "default_multi"}
    await put_links(nobody, GTIN, {**PIP, "role": "default"}, chinese, english)
    for language, expected in (("zh", "/zh"), ("en-US", "/en"), ("fr", "/p?id=7")):
        answer = await nobody.get(GTIN, headers={"Accept-Language": language})
        assert answer.headers["location"].endswith(expected)
    (only,) = (await nobody.get(f"{GTIN}?linkType=all")).json()["linkset"]
    assert len(only[f"{VOC}defaultLinkMulti"]) == 2


# the linkset


FOR_LINKSETS = [
    ("?linkType=linkset", "*/*"),
    ("?linkType=all", "text/html"),
    ("", "application/linkset+json"),
    ("?foo=bar", "text/html;q=0.5, application/linkset+json"),
]


async def test_linkset_is_answered_without_redirection(resolver: httpx.AsyncClient) -> None:
    for query, accept in FOR_LINKSETS:
        answer = await resolver.get(f"{GTIN}{query}", headers={"Accept": accept})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/linkset+json"
        assert answer.headers["vary"] == "Accept, Accept-Language"
        link = answer.headers["link"]
        assert link.startswith(f'<{CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"')


async def test_linkset_holds_the_links_of_every_level(resolver: httpx.AsyncClient) -> None:
    for path in (SERIAL, f"{SERIAL}/"):
        answer = await resolver.get(f"{path}?linkType=linkset&foo=bar")
        assert anchors(answer) == [SERIAL, LOT, GTIN][-len(anchors(answer)) :]
        assert {LOT, GTIN} <= set(anchors(answer))


async def test_links_have_target_type_and_title(resolver: httpx.AsyncClient) -> None:
    told = (await resolver.get(f"{LOT}?linkType=linkset")).json()["linkset"]
    for context in told:
        assert isinstance(context["itemDescription"], str)
        for name, links in context.items():
            if name in ("anchor", "itemDescription"):
                continue
            assert name.startswith("https://")
            for link in links:
                assert link["href"].startswith("http")
                assert link["title"]
                assert set(link) <= {"href", "title", "hreflang", "type", "context"}


async def test_default_link_is_one_plain_and_described_by_a_type(
    resolver: httpx.AsyncClient,
) -> None:
    for path, expected in ((GTIN, PIP["href"]), ("/00/369012340000000017", None)):
        told = (await resolver.get(f"{path}?linkType=linkset")).json()["linkset"]
        defaults = [one[f"{VOC}defaultLink"] for one in told if f"{VOC}defaultLink" in one]
        ((only,),) = defaults
        assert set(only) == {"href", "title"}
        assert only["href"] == (expected or f"http://test/q{path}")
        described = [
            link["href"]
            for one in told
            for name, links in one.items()
            if name.startswith("https://") and not name.endswith("/defaultLink")
            for link in links
        ]
        assert only["href"] in described


async def test_every_link_told_is_followed_by_its_type(resolver: httpx.AsyncClient) -> None:
    told = (await resolver.get(f"{SERIAL}?linkType=linkset")).json()["linkset"]
    for context in told:
        for name in set(context) - {"anchor", "itemDescription"}:
            answer = await resolver.get(SERIAL, params={"linkType": name})
            assert answer.status_code in (300, 307)


async def test_json_and_json_ld_are_answered_where_wanted(resolver: httpx.AsyncClient) -> None:
    plain = await resolver.get(f"{GTIN}?linkType=all", headers={"Accept": "application/json"})
    assert plain.headers["content-type"] == "application/json"
    linked = await resolver.get(f"{GTIN}?linkType=all", headers={"Accept": "application/ld+json"})
    assert linked.headers["content-type"] == "application/ld+json"
    assert linked.json()["@context"] == CONTEXT
    assert linked.json()["linkset"] == plain.json()["linkset"]


# who may put links


async def test_links_are_the_owners_to_put(world: World, client: httpx.AsyncClient) -> None:
    for number, firm in enumerate(("firm-a", "firm-b")):
        await put(world, firm, firm_details(number))
    made = await client.put("/api/v1/prefixes/6901234", json={"organisation": "firm-a"})
    assert made.json()["organisation"] == "firm-a"
    await put_links(client, GTIN, PIP)
    (listed,) = (await client.get("/api/v1/links")).json()
    assert (listed["anchor"], listed["organisation"]) == (GTIN, "firm-a")
    assert [one["href"] for one in listed["links"]] == [PIP["href"]]
    audited = (await client.get("/api/v1/audit", params={"subject": f"link:{GTIN}"})).json()
    items = audited if isinstance(audited, list) else audited["items"]
    assert [one["call"] for one in items] == ["links.write"]
    assert (await client.delete("/api/v1/prefixes/6901234")).status_code == 204
    assert (await client.delete("/api/v1/prefixes/6901234")).status_code == 404
    assert (await client.get("/api/v1/prefixes")).json() == []


async def test_links_put_again_take_the_place_of_the_earlier(client: httpx.AsyncClient) -> None:
    await put_links(client, GTIN, PIP, TESTED)
    await put_links(client, f"{GTIN}/", TESTED)
    (one,) = (await client.get("/api/v1/links")).json()
    assert [link["href"] for link in one["links"]] == [TESTED["href"]]
    await put_links(client, GTIN)
    assert (await client.get("/api/v1/links")).json() == []


async def test_links_are_listed_in_pages(client: httpx.AsyncClient) -> None:
    wanted = [f"{GTIN}/10/L{number}" for number in range(5)]
    for anchor in wanted:
        await put_links(client, anchor, PIP, TESTED)
    path, found = "/api/v1/links?limit=2", []
    while path:
        answer = await client.get(path)
        found += [one["anchor"] for one in answer.json()]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert found == wanted


CHANGES: list[dict[str, Any]] = [
    {"href": "javascript:alert(1)"},
    {"href": "ftp://a.example/"},
    {"href": "//a.example/"},
    {"href": "https://"},
    {"href": "https://user@a.example/"},
    {"href": "https://a.example/\r\nSet-Cookie: a=b"},
    {"href": "https://a.example/ b"},
    {"href": 'https://a.example/">'},
    {"href": "https://a.example:99999/"},
    {"href": "https://[::1/"},
    {"href": "https://例.example/"},
    {"href": "https://a.example/" + "x" * 2_000},
    {"type": "gs1:defaultLink"},
    {"type": "pip"},
    {"type": "gs1:pip\n"},
    {"title": ""},
    {"title": "a\u202eb"},
    {"languages": ["english language"]},
    {"media_type": "html"},
    {"role": "first"},
    {"colour": "red"},
]
BODIES: list[dict[str, Any]] = [
    {"anchor": "/01/1", "links": []},
    {"anchor": "https://id.gs1.org/01/06901234567892", "links": []},
    {"anchor": "", "links": []},
    {"anchor": GTIN, "links": [{**PIP, "role": "default"}, {**TESTED, "role": "default"}]},
    {"anchor": GTIN, "links": [PIP] * 101},
    {"anchor": GTIN},
]
BODIES += [{"anchor": GTIN, "links": [{**PIP, **change}]} for change in CHANGES]


async def test_links_with_a_fault_are_refused(client: httpx.AsyncClient) -> None:
    for body in BODIES:
        assert (await client.put("/api/v1/links", json=body)).status_code == 400, body
    assert (await client.get("/api/v1/links")).json() == []


async def test_prefix_with_a_fault_is_refused(client: httpx.AsyncClient) -> None:
    body = {"organisation": "platform"}
    for prefix in ("690", "69012345678901", "69012a4"):
        assert (await client.put(f"/api/v1/prefixes/{prefix}", json=body)).status_code == 400
    missing = await client.put("/api/v1/prefixes/6901234", json={"organisation": "nobody"})
    assert missing.status_code == 404
