"""Documents of GS1 and of public projects, where the environment says they are."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

FOLDER = os.environ.get("SUYUAN_TEST_DATA", "")
_UNSET = "SUYUAN_TEST_DATA does not name the folder of test data"
PREFIXES = {
    "cbv": "https://ref.gs1.org/cbv/",
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "epcis": "https://ref.gs1.org/epcis/",
    "gs1": "https://gs1.org/voc/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
}
"""What the EPCIS context declares, of what these documents use."""


def epcis_files(*patterns: str) -> list[Any]:
    """List files below `epcis/` as parameters of a test; without the folder it is skipped."""
    if not FOLDER:
        return [pytest.param(None, marks=pytest.mark.skip(_UNSET), id="no-data")]
    root = Path(FOLDER) / "epcis"
    paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [pytest.param(path, id=str(path.relative_to(root))) for path in paths]


def event_list(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a document in the shape of the JSON binding."""
    body = document.get("epcisBody", {"event": document})
    if "queryResults" in body:
        body = body["queryResults"]["resultsBody"]
    events = body["eventList"] if "eventList" in body else [body["event"]]
    return list(events)


def namespaces(document: Mapping[str, Any]) -> dict[str, str]:
    """Return namespaces by prefix of a document's context."""
    context = document.get("@context", [])
    entries = context if isinstance(context, list) else [context]
    found = dict(PREFIXES)
    for entry in entries:
        if isinstance(entry, dict):
            found.update({key: one for key, one in entry.items() if isinstance(one, str)})
    return found


def ignored_fields(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield names that the document says are not hashed, wherever it says so."""
    for key, value in document.items():
        if key.endswith(":ignoreFields"):
            yield from [value] if isinstance(value, str) else value
        elif isinstance(value, dict):
            yield from ignored_fields(value)
