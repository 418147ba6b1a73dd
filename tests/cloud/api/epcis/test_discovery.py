"""What the binding tells of itself, and which versions and formats it meets."""

from cloud.api.epcis.discovery import TOP_LEVEL
from tests.support.epcis import ADMIN, Asked, part
from tests.support.epcis_bodies import ITEM, document, event

PLACES = {
    "": "OPTIONS, GET",
    "/capture": "OPTIONS, POST, GET",
    "/capture/x": "OPTIONS, GET",
    "/events": "OPTIONS, GET, POST",
    "/events/urn%3Auuid%3A1": "OPTIONS, GET",
    "/epcs": "OPTIONS, GET",
    f"/epcs/{part(ITEM + '1')}": "OPTIONS, GET",
    f"/epcs/{part(ITEM + '1')}/events": "OPTIONS, GET",
    "/queries": "OPTIONS, GET, POST",
    "/queries/q": "OPTIONS, GET, DELETE",
    "/queries/q/events": "OPTIONS, GET",
}


async def test_options_tells_methods_versions_and_formats(asked: Asked) -> None:
    versions = ("epcis-min", "epcis-max", "cbv-max")
    for path, methods in PLACES.items():
        answer = await asked.client.options(f"/epcis{path}", headers=ADMIN)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["allow"] == methods
        told = {name: answer.headers[f"gs1-{name}"] for name in versions}
        assert told == {"epcis-min": "1.2.0", "epcis-max": "2.0.0", "cbv-max": "2.0.0"}
        for name in ("epcis-version", "cbv-version", "extensions", "vendor-version", "epc-format"):
            assert answer.headers[f"gs1-{name}"]


async def test_capture_tells_its_limits(asked: Asked) -> None:
    headers = (await asked.client.options("/epcis/capture", headers=ADMIN)).headers
    assert headers["gs1-epcis-capture-limit"] == "10000"
    assert headers["gs1-epcis-capture-file-size-limit"] == str(32 * 1024 * 1024)
    assert headers["gs1-capture-error-behaviour"] == "all"


async def test_root_lists_all_top_level_resources(asked: Asked) -> None:
    answer = (await asked.get("")).json()
    assert (answer["type"], answer["member"]) == ("Collection", list(TOP_LEVEL))
    for name in TOP_LEVEL:
        assert (await asked.get(f"/{name}")).status_code == 200


HEADERS = (
    ("GS1-EPCIS-Min", "2.0.0", 200),
    ("GS1-EPCIS-Min", "2.1", 406),
    ("GS1-EPCIS-Max", "1.2.0", 406),
    ("GS1-EPCIS-Max", "2.0.9", 200),
    ("GS1-CBV-Min", "3", 406),
    ("GS1-CBV-Max", "banana", 406),
    ("GS1-EPC-Format", "Always_EPC_URN", 200),
    ("GS1-EPC-Format", "Sometimes", 406),
    ("Accept", "application/xml;q=0, text/html", 406),
    ("Accept", "text/html, */*;q=0.1", 200),
    ("Accept", "application/ld+json", 200),
)


async def test_what_cannot_be_met_is_told(asked: Asked) -> None:
    for header, value, status in HEADERS:
        answer = await asked.client.get("/epcis/events", headers={**ADMIN, header: value})
        assert answer.status_code == status, (header, value)
        if status == 406:
            assert answer.json()["type"] == "epcisException:NotAcceptableException"


async def test_document_of_an_unknown_version_is_refused(asked: Asked) -> None:
    answer = await asked.post("/capture", document(event()), GS1_EPCIS_Version="3.0")
    assert answer.status_code == 406
    assert (await asked.post("/capture", document(event()), GS1_CBV_Version="2.0")).is_success


async def test_errors_have_the_standards_names(asked: Asked) -> None:
    asked_for = {
        (401, "SecurityException"): await asked.get("/events", {}),
        (404, "NoSuchNameException"): await asked.get("/queries/nobodys"),
        (414, "URITooLongException"): await asked.get(f"/events?EQ_bizStep={'x' * 17_000}"),
        (415, "UnsupportedMediaTypeException"): await asked.post(
            "/capture", {}, Content_Type="text/plain"
        ),
        (400, "QueryParameterException"): await asked.get("/events?EQ_nothing=1"),
        (400, "ValidationException"): await asked.get("/events?perPage=0"),
        (403, "SecurityException"): await asked.post(
            "/capture", {}, asked.firm(role="maintenance_worker")
        ),
    }
    for (status, name), answer in asked_for.items():
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["type"]) == (status, f"epcisException:{name}")
        assert answer.json()["status"] == status
        assert answer.headers["gs1-epcis-version"] == "2.0.0"


async def test_elsewhere_errors_keep_the_houses_names(asked: Asked) -> None:
    answer = await asked.client.get("/api/v1/assets/x")
    assert answer.json()["type"] == "urn:suyuan:problem:no_token"
