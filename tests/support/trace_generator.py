"""Random events and random queries about them, of a seed."""

import random
from collections.abc import Callable, Mapping
from typing import Any

ID = "https://id.gs1.org/"
GTINS = ("06141411073464", "10614141073464", "04012345444445", "06901234567892")
URN_PATTERNS = (
    "urn:epc:idpat:sgtin:0614141.107346.*",
    "urn:epc:idpat:sgtin:0614141.007346.*",
    "urn:epc:idpat:sgtin:0614141.*.*",
    "urn:epc:idpat:sgtin:4012345.*.*",
)
EPCS = [f"{ID}01/{gtin}/21/{serial}" for gtin in GTINS for serial in range(12)]
EPCS += [f"{ID}00/36901234000000{n:03}7" for n in range(4)] + ["urn:uuid:6a", "urn:x:crate:7"]
CLASSES = [f"{ID}01/{gtin}" for gtin in GTINS]
CLASSES += [f"{ID}01/{gtin}/10/{lot}" for gtin in GTINS for lot in ("A", "B1", "C 2")]
PLACES = [f"{ID}414/690123400001{n}" for n in range(8)] + ["https://example.com/dock/1"]
PARTIES = [f"{ID}417/690123400001{n}" for n in range(4)]
STEPS = ("shipping", "receiving", "packing", "commissioning", "https://example.com/steps/filling")
DISPOSITIONS = ("in_transit", "active", "recalled", "in_progress")
ACTIONS = ("ADD", "OBSERVE", "DELETE")
TYPES = (
    "ObjectEvent",
    "AggregationEvent",
    "AssociationEvent",
    "TransformationEvent",
    "TransactionEvent",
)
MASSES = ((1, "KGM"), (1000, "GRM"), (2.5, "KGM"), (0.001, "TNE"), (3, None), (7, "XPK"))
TEMPERATURES = ((20, "CEL"), (68, "FAH"), (293.15, "KEL"), (-18, "CEL"), (4.5, "CEL"), (0, "CEL"))
TIMES = [f"2026-11-{day:02}T08:00:00.{ms:03}+08:00" for day in range(1, 29) for ms in (0, 250)]
INSTANTS = ("2026-11-05T08:00:00.000+08:00", "2026-11-05T00:00:00Z")
TEXTS = ("10", "20", "2.5", "lot A", *INSTANTS, "true")
NUMBERS = (10, 20, 2.5, -3)
FIELDS = ("ex:a", "ex:b", "ex:c_d")
WORDS = ("po", "desadv", "inv")
TRANSACTIONS = [f"https://example.com/po/{n}" for n in range(6)]
SENSED = ("Temperature", "RelativeHumidity")
MEASURES = ("value", "minValue", "maxValue", "meanValue", "sDev", "percValue")
OPERATORS = ("EQ", "GT", "GE", "LT", "LE")
CHILDREN = {PLACES[0]: [PLACES[1], PLACES[2]], PLACES[2]: [PLACES[3]], PLACES[3]: [PLACES[0]]}
"""With a cycle, as bad master data have."""
CITY, COUNTRY = "urn:epcglobal:cbv:mda:city", "urn:epcglobal:cbv:mda:countryOfOrigin"
ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    PLACES[0]: {CITY: "Jilin", COUNTRY: "CN"},
    PLACES[1]: {CITY: "Jilin"},
    PLACES[4]: {CITY: "Changchun"},
    CLASSES[0]: {COUNTRY: "CN"},
    CLASSES[5]: {COUNTRY: "KR"},
    "lot A": {CITY: "Jilin"},
}
Maker = Callable[["Queries"], tuple[str, Any]]


class Events:
    """Bodies, one after the other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any]:
        """Return a body; now and then an error declaration of an earlier one."""
        r = self.random
        if self.made and r.random() < 0.06:
            again = r.choice(self.made)
            if "eventID" in again and "errorDeclaration" not in again:
                return {**again, "errorDeclaration": self._declaration()}
        body = self._body()
        self.made.append(body)
        return body

    def _body(self) -> dict[str, Any]:
        r = self.random
        type_ = r.choice(TYPES)
        body: dict[str, Any] = {
            "type": type_,
            "eventTime": r.choice(TIMES),
            "eventTimeZoneOffset": "+08:00",
            "ex:number": len(self.made),
            **self._what(type_),
        }
        if r.random() < 0.7:
            body["eventID"] = f"urn:uuid:{len(self.made):032x}"
        self._maybe(body, 0.8, "bizStep", lambda: r.choice(STEPS))
        self._maybe(body, 0.6, "disposition", lambda: r.choice(DISPOSITIONS))
        self._maybe(body, 0.7, "readPoint", self._place)
        self._maybe(body, 0.5, "bizLocation", self._place)
        self._maybe(body, 0.4, "bizTransactionList", self._transactions)
        self._maybe(body, 0.3, "sourceList", lambda: self._parties("source"))
        self._maybe(body, 0.3, "destinationList", lambda: self._parties("destination"))
        self._maybe(body, 0.2, "persistentDisposition", self._persistent)
        self._maybe(body, 0.4, "sensorElementList", self._sensors)
        self._maybe(body, 0.3, "ilmd", self._extensions)
        return {**body, **(self._extensions() if r.random() < 0.5 else {})}

    def _maybe(self, body: dict[str, Any], share: float, key: str, make: Callable[[], Any]) -> None:
        if self.random.random() < share:
            body[key] = make()

    def _what(self, type_: str) -> dict[str, Any]:
        epcs, amounts = self._epcs, self._amounts
        if type_ == "TransformationEvent":
            made = {"inputEPCList": epcs(), "outputEPCList": epcs(), "inputQuantityList": amounts()}
            if self.random.random() < 0.5:
                made["transformationID"] = self.random.choice(TRANSACTIONS)
            return {**made, "outputQuantityList": amounts()}
        action = {"action": self.random.choice(ACTIONS)}
        if type_ in ("AggregationEvent", "AssociationEvent"):
            parent = self.random.choice(EPCS)
            return {
                **action,
                "parentID": parent,
                "childEPCs": epcs(),
                "childQuantityList": amounts(),
            }
        return {**action, "epcList": epcs(), "quantityList": amounts()}

    def _epcs(self) -> list[str]:
        return self.random.sample(EPCS, self.random.randrange(4))

    def _amounts(self) -> list[dict[str, Any]]:
        found = []
        for one in self.random.sample(CLASSES, self.random.choice((0, 0, 1, 2))):
            quantity, uom = self.random.choice(MASSES)
            element = {"epcClass": one, "quantity": quantity}
            found.append({**element, "uom": uom} if uom else element)
        return found

    def _place(self) -> dict[str, Any]:
        more = self._extensions() if self.random.random() < 0.2 else {}
        return {"id": self.random.choice(PLACES), **more}

    def _transactions(self) -> list[dict[str, Any]]:
        r = self.random
        return [
            {"type": r.choice(WORDS), "bizTransaction": r.choice(TRANSACTIONS)} for _ in range(2)
        ]

    def _parties(self, key: str) -> list[dict[str, Any]]:
        types = ("owning_party", "possessing_party")
        return [{"type": self.random.choice(types), key: self.random.choice(PARTIES)}]

    def _persistent(self) -> dict[str, Any]:
        return {
            "set": self.random.sample(DISPOSITIONS, 2),
            "unset": self.random.sample(DISPOSITIONS, 1),
        }

    def _declaration(self) -> dict[str, Any]:
        r = self.random
        body = {
            "declarationTime": r.choice(TIMES),
            "correctiveEventIDs": [f"urn:uuid:{r.randrange(9):032x}"],
        }
        more = self._extensions() if r.random() < 0.4 else {}
        reason = {"reason": r.choice(("incorrect_data", "did_not_occur"))}
        return {**body, **more, **(reason if r.random() < 0.8 else {})}

    def _sensors(self) -> list[dict[str, Any]]:
        return [self._element() for _ in range(self.random.choice((1, 1, 2)))]

    def _element(self) -> dict[str, Any]:
        r = self.random
        metadata = {"time": r.choice(TIMES), "deviceID": f"{ID}8004/69012340{r.randrange(3)}"}
        if r.random() < 0.5:
            metadata |= {"startTime": r.choice(TIMES), "endTime": r.choice(TIMES)}
            metadata |= {
                "dataProcessingMethod": "https://example.com/m",
                "bizRules": "https://example.com/r",
            }
        if r.random() < 0.3:
            metadata |= self._extensions()
        element = {"sensorMetadata": metadata, "sensorReport": [self._report(), self._report()]}
        return {**element, **(self._extensions() if r.random() < 0.2 else {})}

    def _report(self) -> dict[str, Any]:
        r = self.random
        report: dict[str, Any] = {"type": r.choice(SENSED)}
        uom = r.choice(TEMPERATURES)[1]
        for measure in r.sample(MEASURES, 2):
            report[measure] = r.choice([v for v, u in TEMPERATURES if u == uom])
        report["uom"] = uom
        self._maybe(report, 0.2, "percRank", lambda: r.choice((50, 95)))
        self._maybe(report, 0.2, "stringValue", lambda: r.choice(("ok", "alarm")))
        self._maybe(report, 0.2, "booleanValue", lambda: r.random() < 0.5)
        self._maybe(report, 0.2, "hexBinaryValue", lambda: r.choice(("f0", "0F")))
        self._maybe(report, 0.2, "uriValue", lambda: r.choice(TRANSACTIONS))
        self._maybe(report, 0.2, "microorganism", lambda: "https://example.com/tax/1")
        self._maybe(report, 0.2, "chemicalSubstance", lambda: "https://example.com/inchi/2")
        return {**report, **(self._extensions() if r.random() < 0.2 else {})}

    def _extensions(self, depth: int = 0) -> dict[str, Any]:
        return {field: self._value(depth) for field in self.random.sample(FIELDS, 2)}

    def _value(self, depth: int) -> Any:
        r = self.random
        kind = r.random()
        if depth < 2 and kind < 0.2:
            return self._extensions(depth + 1)
        if depth < 2 and kind < 0.35:
            return [self._value(depth + 1), self._value(depth + 1)]
        return r.choice(NUMBERS) if kind < 0.55 else r.choice(TEXTS)


class Queries:
    """Query objects of the JSON binding, one after the other."""

    def __init__(self, seed: int, events: Events) -> None:
        self.random, self._events = random.Random(seed), events

    def next(self) -> dict[str, Any]:
        """Return a query of one to four parameters, or rarely of none."""
        r = self.random
        names = r.choices(list(_MAKERS), k=r.choice((0, 1, 1, 1, 2, 2, 3, 4)))
        query = dict(_MAKERS[name](self) for name in names)
        if r.random() < 0.3:
            query["orderBy"] = r.choice(("eventTime", "recordTime", "ex:a", "ILMD_ex:b"))
            query["orderDirection"] = r.choice(("ASC", "DESC"))
            if r.random() < 0.3:
                query["eventCountLimit"] = r.randrange(1, 40)
        return query

    def some(self, values: Any, most: int = 3) -> list[Any]:
        """Return a few of some values."""
        return self.random.sample(list(values), self.random.randrange(1, most + 1))

    def one(self, values: Any) -> Any:
        """Return one of some values."""
        return self.random.choice(list(values))

    def match(self) -> tuple[str, Any]:
        """Return a MATCH parameter."""
        what = self.one(("epc", "parentID", "inputEPC", "outputEPC", "anyEPC"))
        prefixes = [f"{ID}01/06141411073464/21/*", f"{ID}01/*", f"{ID}00/3*"]
        return f"MATCH_{what}", self.some([*EPCS, *URN_PATTERNS, *prefixes])

    def match_class(self) -> tuple[str, Any]:
        """Return a MATCH parameter of classes."""
        what = self.one(("epcClass", "inputEPCClass", "outputEPCClass", "anyEPCClass"))
        return f"MATCH_{what}", self.some([*CLASSES, *URN_PATTERNS, f"{ID}01/06141411073464/*"])

    def quantity(self) -> tuple[str, Any]:
        """Return a comparison of quantities, with or without unit."""
        operator, (number, uom) = self.one(OPERATORS), self.one(MASSES)
        name = f"{operator}_quantity" + (f"_{uom}" if uom and self.random.random() < 0.7 else "")
        return name, [number] if operator == "EQ" else number

    def measured(self) -> tuple[str, Any]:
        """Return a comparison of measured values."""
        operator, (number, uom) = self.one(OPERATORS), self.one(TEMPERATURES)
        name = f"{operator}_{self.one(MEASURES)}_{uom}"
        return name, [number] if operator == "EQ" else number

    def rank(self) -> tuple[str, Any]:
        """Return a comparison of ranks."""
        return f"{self.one(OPERATORS[1:])}_percRank", self.one((50, 95))

    def extension(self) -> tuple[str, Any]:
        """Return a comparison of an extension's values."""
        families = ("", "", "ILMD_", "ERROR_DECLARATION_", "SENSORELEMENT_", "SENSORMETADATA_")
        places = ("SENSORREPORT_", "readPoint_", "bizLocation_")
        name = self.one(("", "INNER_")) + self.one((*families, *places)) + self.one(FIELDS)
        operator = self.one((*OPERATORS, "EQ", "EXISTS"))
        if operator == "EXISTS":
            return f"EXISTS_{name}", self.one((True, True, None, 1, False))
        if operator == "EQ":
            return f"EQ_{name}", self.one((self.some(TEXTS), self.one(NUMBERS)))
        return f"{operator}_{name}", self.one((*NUMBERS, *INSTANTS))

    def time(self) -> tuple[str, Any]:
        """Return a bound of a time."""
        declared = ("errorDeclarationTime", "errorDeclaration_Time")
        field = self.one(("eventTime", "eventTime", "time", "startTime", "endTime", *declared))
        return f"{self.one(('GE', 'LT'))}_{field}", self.one(TIMES)

    def record_time(self) -> tuple[str, Any]:
        """Return a bound of the record time, among those of the test."""
        return f"{self.one(('GE', 'LT'))}_recordTime", f"1970-01-01T00:00:{self.one(range(60)):02}Z"

    def attribute(self) -> tuple[str, Any]:
        """Return a question to master data."""
        field = self.one(("readPoint", "bizLocation", "epcClass", *FIELDS))
        if self.random.random() < 0.5:
            return f"HASATTR_{field}", self.some(("cbvmda:city", COUNTRY), 2)
        name = self.one(("cbvmda:city", "cbvmda:countryOfOrigin"))
        return f"EQ_ATTR_{field}_{name}", self.some(("Jilin", "Changchun", "CN"), 2)

    def id(self) -> tuple[str, Any]:
        """Return some event ids."""
        ids = [body.get("eventID", "urn:uuid:none") for body in self._events.made]
        return "EQ_eventID", self.some(ids, 9)


_MAKERS: Mapping[str, Maker] = {
    "match": Queries.match,
    "match again": Queries.match,
    "match_class": Queries.match_class,
    "quantity": Queries.quantity,
    "measured": Queries.measured,
    "measured again": Queries.measured,
    "rank": Queries.rank,
    "extension": Queries.extension,
    "extension again": Queries.extension,
    "extension once more": Queries.extension,
    "time": Queries.time,
    "record_time": Queries.record_time,
    "attribute": Queries.attribute,
    "id": Queries.id,
    "type": lambda q: ("eventType", q.some(TYPES)),
    "action": lambda q: ("EQ_action", q.some(ACTIONS, 2)),
    "step": lambda q: ("EQ_bizStep", q.some(STEPS)),
    "disposition": lambda q: ("EQ_disposition", q.some(DISPOSITIONS)),
    "set": lambda q: ("EQ_persistentDisposition_set", q.some(DISPOSITIONS)),
    "unset": lambda q: ("EQ_persistentDisposition_unset", q.some(DISPOSITIONS)),
    "read point": lambda q: (f"{q.one(('EQ', 'WD'))}_readPoint", q.some(PLACES)),
    "location": lambda q: (f"{q.one(('EQ', 'WD'))}_bizLocation", q.some(PLACES)),
    "transformation": lambda q: ("EQ_transformationID", q.some(TRANSACTIONS)),
    "transaction": lambda q: (f"EQ_bizTransaction_{q.one(WORDS)}", q.some(TRANSACTIONS)),
    "source": lambda q: ("EQ_source_owning_party", q.some(PARTIES, 2)),
    "destination": lambda q: ("EQ_destination_possessing_party", q.some(PARTIES, 2)),
    "declared": lambda q: ("EXISTS_errorDeclaration", q.one((True, None, False))),
    "reason": lambda q: ("EQ_errorReason", q.some(("incorrect_data", "did_not_occur"), 1)),
    "correction": lambda q: ("EQ_correctiveEventID", [f"urn:uuid:{q.one(range(9)):032x}"]),
    "sensors": lambda q: ("EXISTS_sensorElementList", q.one((True, 1, False))),
    "sensed": lambda q: ("EQ_type", q.some(SENSED, 1)),
    "device": lambda q: ("EQ_deviceID", [f"{ID}8004/69012340{q.one(range(3))}"]),
    "method": lambda q: ("EQ_dataProcessingMethod", ["https://example.com/m"]),
    "rules": lambda q: ("EQ_bizRules", ["https://example.com/r"]),
    "microorganism": lambda q: ("EQ_microorganism", ["https://example.com/tax/1"]),
    "substance": lambda q: ("EQ_chemicalSubstance", ["https://example.com/inchi/2"]),
    "string": lambda q: ("EQ_stringValue", q.some(("ok", "alarm", "x"), 2)),
    "boolean": lambda q: ("EQ_booleanValue", q.one((True, False))),
    "hex": lambda q: ("EQ_hexBinaryValue", q.some(("f0", "0F"), 1)),
    "uri": lambda q: ("EQ_uriValue", q.some(TRANSACTIONS)),
}
