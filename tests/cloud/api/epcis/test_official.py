"""Every operation of the standard's own OpenAPI file, called and held against what it says.

Where this service answers otherwise stands in DIFFERENCES, with the reason; docs/epcis.md tells it.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml

from tests.support.epcis import ADMIN, Asked, part
from tests.support.epcis_bodies import ITEM, document, event

UUID = "urn:uuid:831c0292-4de1-430a-8255-2aca821abaab"
SHOP = "https://id.gs1.org/414/6901234000016"
METHODS = ("get", "options", "post", "delete")
QUERY = {"name": "myQuery", "query": {"eventType": ["ObjectEvent"]}}
SUBSCRIPTION = {"dest": "https://client.example.com/callback", "secret": "x" * 40, "stream": True}
BODIES: Mapping[str, Any] = {
    "/capture": document(event(2)),
    "/events": event(3),
    "/queries": {**QUERY, "name": "another"},
    "/queries/{queryName}/subscriptions": SUBSCRIPTION,
}
ANSWERS = {
    "get": "200",
    "options": "204",
    "delete": "204",
    "/capture": "202",
    "/events": "201",
    "/queries": "201",
    "/queries/{queryName}/subscriptions": "201",
}
BOTH = "`errors` or `errorFile`, neither of them required: the file's oneOf admits no job at all"
DIFFERENCES = {
    ("get", "/capture"): BOTH,
    ("get", "/capture/{captureID}"): BOTH,
    ("get", "/queries/{queryName}"): "the file's schema is a list, its example one object",
    ("post", "/events"): "the stored event in a query document: no bare event has its context",
}
"""Answers that are not of the file's schema, and why."""
NOT_TOLD = {
    "GS1-Next-Page-Token-Expires": "stands with a next page alone",
    "Link": "stands with a next page alone",
    "GS1-Query-Min-Record-Time": "GET of the subscription tells it; OPTIONS looks nothing up",
}
"""Headers that may be missing, and why."""


def official() -> dict[str, Any]:
    folder = os.environ.get("SUYUAN_TEST_DATA")
    if not folder:
        pytest.skip("SUYUAN_TEST_DATA does not name the folder of test data")
    path = Path(folder, "epcis", "api", "openapi.yaml")
    return dict(yaml.safe_load(path.read_text("utf-8")))


def operations(api: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in api["paths"].items():
        for method in METHODS:
            if method in methods:
                yield method, path, methods[method]


def found(api: Mapping[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference leads to."""
    while "$ref" in node:
        for name in node["$ref"].removeprefix("#/").split("/"):
            api = api[name]
        node = dict(api)
    return node


async def fill(asked: Asked) -> dict[str, str]:
    """Store one of each, and return what paths name."""
    place = {"id": SHOP}
    one = event(1, eventID=UUID, disposition="in_transit", readPoint=place, bizLocation=place)
    sent = await asked.post("/capture", document(one))
    await asked.post("/queries", QUERY)
    made = await asked.post("/queries/myQuery/subscriptions", SUBSCRIPTION)
    pages = await asked.get("/eventTypes?perPage=1")
    named = {
        "captureID": sent.headers["location"].rpartition("/")[2],
        "eventID": UUID,
        "eventType": "ObjectEvent",
        "epc": f"{ITEM}1",
        "bizStep": "shipping",
        "bizLocation": SHOP,
        "readPoint": SHOP,
        "disposition": "in_transit",
        "queryName": "myQuery",
        "subscriptionID": made.json()["subscriptionID"],
        "token": httpx.URL(pages.links["next"]["url"]).params["nextPageToken"],
    }
    return {name: part(text) for name, text in named.items()}


def order(one: tuple[str, str, dict[str, Any]]) -> tuple[bool, int]:
    """Let what deletes come last, the innermost first."""
    return one[0] == "delete", -one[1].count("/")


async def test_every_operation_is_served_as_the_file_says(asked: Asked) -> None:
    api = official()
    named, calls = await fill(asked), sorted(operations(api), key=order)
    assert len(calls) == 63
    for method, path, operation in calls:
        url = "/epcis" + path.format(**named).rstrip("/")
        answer = await asked.client.request(method, url, json=BODIES.get(path), headers=ADMIN)
        status = ANSWERS[method if method != "post" else path]
        assert str(answer.status_code) == status, (method, path, answer.text)
        said = found(api, operation["responses"][status])
        for header in said.get("headers", {}):
            told = header in answer.headers or header in NOT_TOLD
            assert told, (method, path, header)
        if (method, path) not in DIFFERENCES:
            check_body(api, said, answer, f"{method} {path}")
        if method == "options":
            allowed = set(answer.headers["allow"].split(", "))
            there = {name.upper() for name in api["paths"][path] if name in METHODS}
            assert allowed == there, path


def check_body(api: dict[str, Any], said: dict[str, Any], answer: Any, where: str) -> None:
    schema = said.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return
    whole = local({**schema, "components": api["components"]})
    validator = jsonschema_rs.Draft4Validator(whole, validate_formats=False)
    faults = [str(fault) for fault in validator.iter_errors(answer.json())]
    assert faults == [], (where, answer.text)


def local(node: Any) -> Any:
    """Return a schema without what is kept elsewhere, and without patterns that are no regexes."""
    if isinstance(node, dict):
        kept = {k: v for k, v in node.items() if k not in ("example", "pattern", "nullable")}
        if str(kept.get("$ref", "")).startswith("http"):
            return {}
        return {k: local(v) for k, v in kept.items()}
    return [local(one) for one in node] if isinstance(node, list) else node


async def test_every_operation_asks_who_calls(asked: Asked) -> None:
    api = official()
    for method, path, operation in operations(api):
        url = "/epcis" + path.replace("{", "").replace("}", "").rstrip("/")
        answer = await asked.client.request(method, url)
        assert answer.status_code == 401, (method, path)
        assert answer.json()["type"] == "epcisException:SecurityException"
        assert "401" in operation["responses"] or path == "/nextPageToken/{token}"
