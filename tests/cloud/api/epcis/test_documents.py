"""Public documents through the binding: in as they are, out in every form, and in again."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.epcis import ADMIN, Asked, events_of
from tests.support.epcis_bodies import document, event
from tests.support.epcis_documents import epcis_data, event_list, valid_documents


async def job_of(asked: Asked, data: bytes, media: str, behaviour: str) -> dict[str, Any]:
    """Capture, and return the job."""
    headers = {**ADMIN, "Content-Type": media, "GS1-Capture-Error-Behaviour": behaviour}
    sent = await asked.client.post("/epcis/capture", content=data, headers=headers)
    assert sent.status_code == 202, sent.text
    job = await asked.client.get(sent.headers["location"], headers=ADMIN)
    return dict(job.json())


async def all_pages(asked: Asked, **headers: str) -> list[httpx.Response]:
    """Return all events in pages of 200."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    url, found = "/epcis/events?perPage=200", list[httpx.Response]()
    while url:
        found.append(await asked.client.get(url, headers={**ADMIN, **given}))
        assert found[-1].status_code == 200, found[-1].text
        url = found[-1].links.get("next", {}).get("url", "")
    return found


def events_in(path: Path) -> int:
    found = json.loads(path.read_bytes())
    return len(event_list(found)[1]) if "epcisBody" in found else 0


async def test_public_documents_come_in_go_out_in_every_form_and_are_known_again(
    asked: Asked,
) -> None:
    documents = [path for path in valid_documents(load=False) if events_in(path)]
    assert len(documents) > 50
    for path in documents:
        job = await job_of(asked, path.read_bytes(), "application/json", "proceed")
        # some examples give the id of one event to another
        rules = {error["rule"] for error in job["errors"]}
        assert rules <= {"event_id_taken"}, (path.name, job["errors"][:3])
    whole = [one for page in await all_pages(asked) for one in events_of(page)]
    for form in ("Always_GS1_Digital_Link", "Always_EPC_URN", "Never_Translates"):
        for media in ("application/json", "application/xml"):
            known = refused = 0
            for page in await all_pages(asked, GS1_EPC_Format=form, Accept=media):
                job = await job_of(asked, page.content, media, "proceed")
                rules = {error["rule"] for error in job["errors"]}
                assert rules <= {"duplicate"}, (form, media, job["errors"][:3])
                refused += job["refused"]
                known += job["duplicates"]
            assert known + refused == len(whole), (form, media)
            # one example lists one thing twice, spelt in two ways: in one way it is a double
            assert refused == (form != "Never_Translates"), (form, media)


def spoilt(events: list[Any], place: int) -> list[Any]:
    """Return the same with one more that has no time."""
    bad = {name: value for name, value in events[place].items() if name != "eventTime"}
    return [*events[:place], {**bad, "eventID": "urn:x:spoilt"}, *events[place:]]


@pytest.mark.parametrize("behaviour", ["rollback", "proceed"])
async def test_large_public_document_in_each_behaviour(asked: Asked, behaviour: str) -> None:
    whole = json.loads((epcis_data() / "load" / "generated-932-events.json").read_bytes())
    _, events = event_list(whole)
    assert len(events) == 932
    whole["epcisBody"]["eventList"] = spoilt(events, 500)
    job = await job_of(asked, json.dumps(whole).encode(), "application/json", behaviour)
    assert job["errors"][0]["pointer"] == "/epcisBody/eventList/500"
    assert (job["success"], job["stored"]) == (
        (False, 0) if behaviour == "rollback" else (False, 932)
    )
    whole["epcisBody"]["eventList"] = events
    job = await job_of(asked, json.dumps(whole).encode(), "application/json", behaviour)
    told = job["success"], job["stored"], job["duplicates"]
    assert told == (True, *((932, 0) if behaviour == "rollback" else (0, 932)))


@pytest.mark.parametrize("behaviour", ["rollback", "proceed"])
async def test_bad_event_among_ten_thousand_in_each_behaviour(asked: Asked, behaviour: str) -> None:
    events = spoilt([event(number) for number in range(9_999)], 7_777)
    data = json.dumps(document(*events)).encode()
    job = await job_of(asked, data, "application/json", behaviour)
    assert [one["pointer"] for one in job["errors"]] == ["/epcisBody/eventList/7777"]
    assert job["stored"] == (0 if behaviour == "rollback" else 9_999)
    too_many = json.dumps(document(*events, event(10_000))).encode()
    job = await job_of(asked, too_many, "application/json", behaviour)
    assert (job["success"], job["stored"]) == (False, 0)
