"""Every valid document with every single fault: the verdict is that of the fault's definition."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocols.epcis.document import Document
from protocols.epcis.faults import CaptureFault
from protocols.epcis.read import read_document
from tests.support import epcis_faults, epcis_object_faults
from tests.support.epcis_document_faults import BYTES_FAULTS, DOCUMENT_FAULTS
from tests.support.epcis_documents import NOW_US, epcis_data, event_list, standard, valid_documents
from tests.support.epcis_single_faults import EVENT_FAULTS, Json, SingleFault, Told

STANDARD = standard()
FAULTS_MIN = 40
"""That fit any event."""
_TABLES = (epcis_faults, epcis_object_faults)
"""Modules that fill EVENT_FAULTS."""
OF_TWO_TIMES = frozenset({"sensor_after_event", "declared_before_event"})


def _read(document: Json | bytes) -> Document:
    return read_document(document, STANDARD, now_us=NOW_US)


def _told(faults: Iterable[CaptureFault]) -> set[Told]:
    return {(one.pointer, one.rule, one.severity) for one in faults}


def _expected(fault: SingleFault, place: str) -> set[Told]:
    return {
        (f"{place}/{pointer}" if pointer else place, rule, severity)
        for pointer, rule, severity in fault.told
    }


def _document(path: Path) -> Json:
    """Read a document, and declare the prefix `ex0` in it."""
    document: Json = msgspec.json.decode(path.read_bytes())
    found = document["@context"]
    contexts = found if isinstance(found, list) else [found]
    document["@context"] = [*contexts, {"ex0": "https://example.org/zero/"}]
    return document


def _alone(document: Json, event: Json) -> Json:
    """Return the document with one event alone."""
    body = document["epcisBody"]
    if "queryResults" not in body:
        return {**document, "epcisBody": {"eventList": [event]}}
    results = {**body["queryResults"], "resultsBody": {"eventList": [event]}}
    return {**document, "epcisBody": {"queryResults": results}}


def _lost(document: Json, told: set[Told]) -> Iterator[str]:
    """Yield the pointers that point at nothing."""
    for pointer, rule, _ in told:
        value: Any = document
        try:
            for part in pointer.split("/")[1:]:
                name = part.replace("~1", "/").replace("~0", "~")
                value = value[int(name)] if isinstance(value, list) else value[name]
        except (KeyError, IndexError, ValueError, TypeError):
            yield f"{rule} at {pointer}: there is nothing"


def _wrong_in_event(document: Json, event: Json) -> Iterator[str]:
    """Try every fault in one event; yield where the verdict is wrong."""
    place = f"{event_list(document)[0]}/0"
    before = _told(_read(_alone(document, event)).events[0].faults)
    fitting = [one for one in EVENT_FAULTS if event["type"] in one.types and one.fits(event)]
    if len(fitting) < FAULTS_MIN:
        yield f"only {len(fitting)} faults fit"
    for fault in fitting:
        changed, expected = fault.of(event), _expected(fault, place)
        read = _read(_alone(document, changed))
        assert not {one for one in read.faults if one.severity == "error"}
        after = _told(read.events[0].faults)
        yield from _lost(_alone(document, changed), after)
        touched = tuple(
            f"{place}/{name}" for name in {*event, *changed} if event.get(name) != changed.get(name)
        )
        quiet = {
            one
            for one in before - after
            if one[0] != place and one[1] not in OF_TWO_TIMES and not one[0].startswith(touched)
        }
        if not after - before <= expected <= after or quiet:
            yield f"{fault.name}: expected {expected}, told {after - before}, not {quiet}"
        if (read.events[0].event is not None) != fault.harmless:
            yield f"{fault.name}: {'refused' if read.events[0].event is None else 'taken'}"


def _wrong_in_document(document: Json) -> Iterator[str]:
    """Try every fault besides the events; yield where the verdict is wrong."""
    before = _told(_read(document).faults)
    for fault in DOCUMENT_FAULTS:
        if not fault.fits(document):
            continue
        read = _read(fault.of(document))
        index = str(len(document["@context"]))
        expected = {
            (pointer.replace("@context/-", f"@context/{index}"), rule, severity)
            for pointer, rule, severity in _expected(fault, "")
        }
        told = _told(read.faults)
        if not told - before <= expected <= told:
            yield f"{fault.name}: expected {expected}, told {told - before}"
        if not fault.harmless and read.events:
            yield f"{fault.name}: events were read"
        yield from _lost(fault.of(document), told)


def _wrong_in_bytes(data: bytes) -> Iterator[str]:
    for name, (change, expected) in BYTES_FAULTS.items():
        told = _told(_read(change(data.strip())).faults)
        if told != {expected}:
            yield f"{name}: expected {expected}, told {told}"


def _gs1() -> list[Path]:
    return sorted(epcis_data().glob("gs1/**/*.jsonld"))


def test_first_event_of_each_gs1_document_with_each_fault() -> None:
    assert len(_gs1()) == 47
    wrong = [
        f"{path.name}: {one}"
        for path in _gs1()
        for document in (_document(path),)
        for one in _wrong_in_event(document, event_list(document)[1][0])
    ]
    assert wrong == []


def test_each_gs1_document_with_each_fault_besides_its_events() -> None:
    wrong = [
        f"{path.name}: {one}"
        for path in _gs1()
        for one in (*_wrong_in_document(_document(path)), *_wrong_in_bytes(path.read_bytes()))
    ]
    assert wrong == []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_event_of_every_document_with_each_fault() -> None:
    wrong = [
        f"{path.name}: {one}"
        for path in valid_documents()
        for document in (_document(path),)
        for event in event_list(document)[1]
        for one in _wrong_in_event(document, event)
    ]
    assert wrong == []
