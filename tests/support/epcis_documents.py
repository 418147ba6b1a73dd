"""The public EPCIS documents of the test data, and the standard they are held against."""

import os
from pathlib import Path
from typing import Any

import pytest

from protocols.catalog.files import data_root
from protocols.epcis.standard import Standard, load_standard

NOW_US = 1_900_000_000_000_000
"""A receiver's clock in 2030: all documents are of the past."""
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def standard() -> Standard:
    """Load what is shipped."""
    return load_standard(data_root() / "epcis")


def epcis_data() -> Path:
    """Return the folder of EPCIS test data, or skip the test."""
    folder = os.environ.get("SUYUAN_TEST_DATA")
    if not folder:
        pytest.skip("SUYUAN_TEST_DATA does not name the folder of test data")
    return Path(folder) / "epcis"


def valid_documents(*, load: bool = True) -> list[Path]:
    """List the documents that must be taken: GS1's, those with hashes, the generated one."""
    folder = epcis_data()
    found = [*folder.glob("gs1/**/*.jsonld"), *folder.glob("hash/**/*.json*")]
    return sorted([*found, *folder.glob("load/*.json")] if load else found)


def event_list(document: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return pointer and list of the events of a document."""
    body = document["epcisBody"]
    if "queryResults" in body:
        at = "/epcisBody/queryResults/resultsBody/eventList"
        return at, body["queryResults"]["resultsBody"]["eventList"]
    return "/epcisBody/eventList", body["eventList"]


def minimal_event(**others: Any) -> dict[str, Any]:
    """Make a small valid ObjectEvent."""
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-01-31T08:00:00.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "bizStep": "shipping",
        "epcList": ["urn:epc:id:sgtin:0614141.107346.2018"],
        **others,
    }


def document_of(*events: Any, **others: Any) -> dict[str, Any]:
    """Make a document of some events."""
    return {
        "@context": [CONTEXT, {"ex": "https://example.org/ns/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-31T09:00:00Z",
        "epcisBody": {"eventList": list(events)},
        **others,
    }
