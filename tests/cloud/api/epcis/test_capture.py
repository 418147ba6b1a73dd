"""Documents and events that are sent."""

from typing import Any

import httpx
import pytest

from cloud.api.limits import CAPTURE_BYTES_MAX
from tests.support.epcis import ADMIN, Asked, events_of, part
from tests.support.epcis_bodies import ITEM, document, event

UUID = "urn:uuid:831c0292-4de1-430a-8255-2aca821abaab"
BAD = event(9, epcList=None)


async def test_document_becomes_a_job_that_can_be_followed(asked: Asked) -> None:
    sent = await asked.post("/capture", document(event(1), event(2)))
    assert sent.status_code == 202
    assert sent.headers["gs1-capture-error-behaviour"] == "rollback"
    job = (await asked.get(sent.headers["location"].removeprefix("/epcis"))).json()
    assert job["captureID"] == sent.headers["location"].rsplit("/", 1)[1]
    assert (job["running"], job["success"], job["errors"]) == (False, True, [])
    assert len(events_of(await asked.get("/events"))) == 2


async def test_fault_of_a_document_is_told_by_its_job(asked: Asked) -> None:
    for behaviour, kept in (("rollback", 0), ("proceed", 1)):
        sent = await asked.post(
            "/capture", document(event(1), BAD), GS1_Capture_Error_Behaviour=behaviour
        )
        job = (await asked.get(sent.headers["location"].removeprefix("/epcis"))).json()
        assert (job["success"], job["captureErrorBehaviour"]) == (False, behaviour)
        [error] = job["errors"]
        assert error["type"] == "epcisException:ValidationException"
        assert error["pointer"].startswith("/epcisBody/eventList/1")
        assert len(events_of(await asked.get("/events"))) == kept


async def test_jobs_are_seen_by_those_who_sent_them_and_page_by_page(asked: Asked) -> None:
    a, b = asked.firm("firm-a"), asked.firm("firm-b")
    for number in range(3):
        await asked.capture(event(number), who=a)
    first = await asked.get("/capture?perPage=2", a)
    assert len(first.json()) == 2
    second = await asked.client.get(first.links["next"]["url"], headers=a)
    assert len(second.json()) == 1
    assert "next" not in second.links
    assert (await asked.get("/capture", b)).json() == []
    where = f"/capture/{first.json()[0]['captureID']}"
    assert (await asked.get(where, b)).status_code == 404
    assert (await asked.get(where)).status_code == 200


async def test_event_is_captured_once(asked: Asked) -> None:
    sent = await asked.post("/events", event(eventID=UUID))
    assert sent.status_code == 201
    fetched = await asked.client.get(sent.headers["location"], headers=ADMIN)
    assert [one["epcList"] for one in events_of(fetched)] == [[f"{ITEM}1"]]
    assert events_of(sent)[0]["recordTime"]
    again = await asked.post("/events", event(eventID=UUID))
    assert again.status_code == 409
    assert again.json()["type"] == "epcisException:ResourceAlreadyExistsException"


async def test_event_without_an_id_is_found_by_its_hash(asked: Asked) -> None:
    sent = await asked.post("/events", event())
    where = sent.headers["location"]
    assert where.startswith("/epcis/events/ni%3A%2F%2F%2Fsha-256%3B")
    assert len(events_of(await asked.client.get(where, headers=ADMIN))) == 1


async def test_event_that_is_refused_names_its_faults(asked: Asked) -> None:
    answer = await asked.post("/events", event(eventTime="yesterday"))
    assert answer.status_code == 400
    assert answer.json()["type"] == "epcisException:ValidationException"
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/eventTime"]


async def test_event_of_another_firm_is_not_there(asked: Asked) -> None:
    sent = await asked.post("/events", event(), asked.firm("firm-a"))
    where = sent.headers["location"].removeprefix("/epcis")
    assert (await asked.get(where, asked.firm("firm-a"))).status_code == 200
    assert (await asked.get(where, asked.firm("firm-b"))).status_code == 404
    assert events_of(await asked.get("/events", asked.firm("firm-b"))) == []
    assert len(events_of(await asked.get("/events", asked.firm("office", "regulator")))) == 1


async def test_body_that_is_no_event_is_refused(asked: Asked) -> None:
    headers = {**ADMIN, "Content-Type": "application/json"}
    for text in ("", "{", "[]", "null", '{"type": 1}', "\x00", "[" * 100_000):
        answer = await asked.client.post("/epcis/events", content=text, headers=headers)
        assert answer.status_code == 400, answer.text


async def test_behaviour_that_is_none_is_refused(asked: Asked) -> None:
    answer = await asked.post("/capture", document(), GS1_Capture_Error_Behaviour="all")
    assert answer.status_code == 400


@pytest.mark.parametrize("announced", [True, False])
async def test_body_of_100_mb_is_refused(asked: Asked, announced: bool) -> None:
    taken = 0

    async def body() -> Any:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b" " * 1_000_000

    headers = {**ADMIN, "Content-Type": "application/json"}
    if announced:
        headers["Content-Length"] = str(100_000_000)
    answer = await asked.client.post("/epcis/capture", content=body(), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["type"] == "epcisException:CaptureLimitExceededException"
    assert taken <= CAPTURE_BYTES_MAX // 1_000_000 + 2


async def test_parts_of_a_path_stay_whole(asked: Asked) -> None:
    place = "https://example.com/places/events"
    await asked.capture(event(readPoint={"id": place}))
    assert (await asked.get(f"/readPoints/{part(place)}")).json()["member"] == ["events"]
    assert len(events_of(await asked.get(f"/readPoints/{part(place)}/events"))) == 1
    assert isinstance(await asked.get(f"/readPoints/{place}"), httpx.Response)


async def test_what_came_in_json_leaves_as_xml_and_comes_in_again(asked: Asked) -> None:
    await asked.capture(event(1, eventID=UUID, disposition="in_transit"))
    answer = await asked.get("/events", Accept="application/xml", GS1_EPC_Format="Always_EPC_URN")
    assert answer.headers["content-type"] == "application/xml"
    assert "<bizStep>https://ref.gs1.org/cbv/BizStep-shipping</bizStep>" in answer.text
    headers = {**asked.firm(), "Content-Type": "text/xml; charset=utf-8"}
    sent = await asked.client.post("/epcis/capture", content=answer.content, headers=headers)
    job = (await asked.client.get(sent.headers["location"], headers=asked.firm())).json()
    assert (job["success"], job["duplicates"]) == (True, 1), job
    [one] = events_of(await asked.get("/events", asked.firm()))
    assert (one["epcList"], one["disposition"]) == ([f"{ITEM}1"], "in_transit")


async def test_xml_with_entities_is_refused_by_its_job(asked: Asked) -> None:
    text = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
    headers = {**ADMIN, "Content-Type": "application/xml"}
    sent = await asked.client.post("/epcis/capture", content=text, headers=headers)
    job = (await asked.client.get(sent.headers["location"], headers=ADMIN)).json()
    assert (job["running"], job["success"]) == (False, False)
    assert job["errors"][0]["rule"] == "bad_xml"
    assert "root:" not in str(job)
