"""What can be asked of an event beside its columns and uses, as flat rows.

A facet has a name and a value. Names, where `full` is the full name of an extension:

    bizTransaction:TYPE source:TYPE destination:TYPE   TYPE canonical, or empty
    disposition.set  disposition.unset                 persistent dispositions
    errorDeclaration.reason  errorDeclaration.correctiveEventIDs
    sensorElementList                                  there is one
    sensor.FIELD                                       of a metadata or report, such as sensor.type
    FAMILY:full  inner FAMILY:full                     extensions, at the top or within another one

where FAMILY is `event`, `ilmd`, `error`, `sensorElement`, `sensorMetadata`, `sensorReport`,
`readPoint` or `bizLocation`. A text of more than `TEXT_MAX` characters is cut, see `storable`.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from cloud.trace.canon import canonical_word, expand_name
from protocols.codes.epc_uri import canonical_id
from protocols.epcis.event import Event
from protocols.epcis.standard import Standard

TEXT_MAX = 400
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_US = timedelta(microseconds=1)
_IDENTIFIERS = ("deviceID", "rawData", "dataProcessingMethod", "bizRules", "microorganism")
_IDS = frozenset((*_IDENTIFIERS, "chemicalSubstance", "deviceMetadata", "uriValue"))
_TEXTS = frozenset(("stringValue", "hexBinaryValue"))
_TIMES = frozenset(("time", "startTime", "endTime"))
MEASURES = ("value", "minValue", "maxValue", "meanValue", "sDev", "percValue")


class Facet(NamedTuple):
    """One row; all values None: the name alone is said."""

    name: str
    text: str | None = None
    number: float | None = None
    time_us: int | None = None


class Said(NamedTuple):
    """What holds for all of an event's body."""

    standard: Standard
    namespaces: Mapping[str, str]

    def word(self, list_id: str, text: str) -> str:
        """Return a vocabulary value, canonical and storable."""
        return storable(canonical_word(self.standard, list_id, text, self.namespaces))


def facets(event: Event, standard: Standard) -> list[Facet]:
    """Return the facets of an event, in the order in which its body says them."""
    found: list[Facet] = []
    said = Said(standard, event.namespaces)
    for key, value in event.body.items():
        reader = _READERS.get(key)
        if reader is not None:
            found.extend(reader(value, said))
        elif ":" in key:
            found.extend(_extension("event", key, value, said))
    return found


def storable(text: str) -> str:
    """Return a text that an index takes: a long one is cut and told by its digest."""
    if len(text) <= TEXT_MAX:
        return text
    return f"{text[:TEXT_MAX]}…{hashlib.sha256(text.encode()).hexdigest()}"


def as_number(text: str) -> float | None:
    """Return the number that a text reads as."""
    if len(text) > 40 or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def as_instant(text: str) -> int | None:
    """Return the instant that a text reads as, a date and time with zone; us since 1970 UTC."""
    if len(text) > 40 or not _TIME.fullmatch(text):
        return None
    try:
        whole, _, rest = text.partition(".")
        digits = re.match(r"\d*", rest)[0][:6]  # type: ignore[index]
        zone = text[-1] if text[-1] == "Z" else text[-6:]
        start = whole if rest else whole[: -len(zone)]
        moment = datetime.fromisoformat(start + zone.replace("Z", "+00:00"))
        return (moment - _EPOCH) // _US + int(digits.ljust(6, "0"))
    except ValueError:
        return None


def extension_name(family: str, full: str, *, inner: bool = False) -> str:
    """Return the facet name of an extension with a full name."""
    return storable(f"{'inner ' if inner else ''}{family}:{full}")


def _extension(
    family: str, key: str, value: Any, said: Said, *, inner: bool = False
) -> Iterator[Facet]:
    name = extension_name(family, expand_name(key, said.namespaces), inner=inner)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            yield Facet(name)
            yield from _inner(family, one, said)
        elif isinstance(one, list):
            yield from _extension(family, key, one, said, inner=inner)
        else:
            yield _value(name, one)


def _inner(family: str, value: Mapping[str, Any], said: Said) -> Iterator[Facet]:
    for key, one in value.items():
        if ":" in key:
            yield from _extension(family, key, one, said, inner=True)
        else:  # no name to ask for, but what is within may have one
            for part in one if isinstance(one, list) else [one]:
                if isinstance(part, dict):
                    yield from _inner(family, part, said)


def _value(name: str, value: object) -> Facet:
    if isinstance(value, bool):
        return Facet(name, "true" if value else "false")
    if isinstance(value, int | float):
        return Facet(name, number_text(value), float(value))
    if not isinstance(value, str):
        return Facet(name)
    text = storable(canonical_id(value))
    return Facet(name, text, as_number(value), as_instant(value))


def number_text(value: float) -> str:
    """Return a number as text, the same for 2 and 2.0."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _of(family: str, value: Any, said: Said) -> Iterator[Facet]:
    """Read the extensions of an object of the standard."""
    if isinstance(value, dict):
        for key, one in value.items():
            if ":" in key:
                yield from _extension(family, key, one, said)


def _ilmd(value: Any, said: Said) -> Iterator[Facet]:
    return _of("ilmd", value, said)


def _read_point(value: Any, said: Said) -> Iterator[Facet]:
    return _of("readPoint", value, said)


def _biz_location(value: Any, said: Said) -> Iterator[Facet]:
    return _of("bizLocation", value, said)


def _transactions(value: Any, said: Said) -> Iterator[Facet]:
    return _typed(value, "bizTransaction", "bizTransactionType", said)


def _sources(value: Any, said: Said) -> Iterator[Facet]:
    return _typed(value, "source", "sourceDestinationType", said)


def _destinations(value: Any, said: Said) -> Iterator[Facet]:
    return _typed(value, "destination", "sourceDestinationType", said)


def _typed(value: Any, key: str, list_id: str, said: Said) -> Iterator[Facet]:
    for one in value:
        kind = one.get("type")
        word = said.word(list_id, kind) if kind else ""
        yield Facet(storable(f"{key}:{word}"), storable(canonical_id(one[key])))


def _persistent(value: Any, said: Said) -> Iterator[Facet]:
    for key in ("set", "unset"):
        for one in value.get(key, ()):
            yield Facet(f"disposition.{key}", said.word("disposition", one))


def _declaration(value: Any, said: Said) -> Iterator[Facet]:
    if value.get("reason"):
        yield Facet("errorDeclaration.reason", said.word("errorReason", value["reason"]))
    for one in value.get("correctiveEventIDs", ()):
        yield Facet("errorDeclaration.correctiveEventIDs", storable(one))
    yield from _of("error", value, said)


def _sensors(value: Any, said: Said) -> Iterator[Facet]:
    yield Facet("sensorElementList")
    for element in value:
        yield from _of("sensorElement", element, said)
        metadata = element.get("sensorMetadata", {})
        yield from _sensor(metadata, said)
        yield from _of("sensorMetadata", metadata, said)
        for report in element.get("sensorReport", ()):
            yield from _sensor(report, said)
            yield from _of("sensorReport", report, said)


def _sensor(value: Mapping[str, Any], said: Said) -> Iterator[Facet]:
    for key, one in value.items():
        name = f"sensor.{key}"
        if key in MEASURES:
            yield Facet(name, value.get("uom"), float(one))
        elif key in _TIMES:
            yield Facet(name, None, None, as_instant(one))
        elif key in _IDS:
            yield Facet(name, storable(canonical_id(one)))
        elif key in _TEXTS:
            yield Facet(name, storable(one))
        elif key == "type":
            yield Facet(name, said.word("measurementType", one))
        elif key == "booleanValue":
            yield Facet(name, "true" if one else "false")
        elif key == "percRank":
            yield Facet(name, None, float(one))


_READERS = {
    "ilmd": _ilmd,
    "readPoint": _read_point,
    "bizLocation": _biz_location,
    "bizTransactionList": _transactions,
    "sourceList": _sources,
    "destinationList": _destinations,
    "persistentDisposition": _persistent,
    "errorDeclaration": _declaration,
    "sensorElementList": _sensors,
}
