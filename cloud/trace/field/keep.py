"""Keeps the events of scans, in the transaction in which the log's cursor moves."""

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from cloud.model.field_tables import trace_left_out
from cloud.model.logged import LoggedBatch
from cloud.trace.field.codes import WHOLE, LeftOut
from cloud.trace.field.event import Made, Mapper, Place, Sighting
from cloud.trace.field.names import RecordKey
from cloud.trace.field.place import places_of
from cloud.trace.insert import Insertion
from cloud.trace.numbers import Memory
from cloud.trace.prepare import prepare
from protocols.clock import Clock
from protocols.codes.registry import SchemeRegistry
from protocols.epcis.standard import Standard
from protocols.records import Scan

NAME, MARK = "field", b'"scan"'
"""Of the follower."""
_KEY = ("gateway", "spool", "stream", "seq", "record_index", "code_index")
Count = Callable[[str], None]
"""Is told of each scan and each code left out: `stored`, `duplicate`, `no_step`, or a reason."""
_One = tuple[Sighting, Made]


class FieldCapture:
    """What a `LogFollower` does with batches that hold scans."""

    def __init__(
        self,
        mapper: Mapper,
        *,
        standard: Standard,
        registry: SchemeRegistry,
        clock: Clock,
        count: Count,
    ) -> None:
        """Build it.

        Args:
            mapper: makes the events.
            standard: as the repository's.
            registry: for identifiers of places.
            clock: for the time of record.
            count: for figures.

        """
        self._mapper, self._standard, self._registry = mapper, standard, registry
        self._clock, self._count = clock, count

    def keep(self, connection: Connection, batches: Sequence[LoggedBatch]) -> None:
        """Capture the events of batches; those that are there already stay as they are."""
        seen = [one for batch in batches for one in sightings(batch)]
        places = places_of(connection, {one.key.gateway for one in seen}, self._registry)
        nowhere = Place()
        made = [
            (one, self._mapper.event_of(one, places.get(one.key.gateway, nowhere))) for one in seen
        ]
        by_firm: dict[str, list[_One]] = {}
        for one in made:
            if one[1].event is not None:
                by_firm.setdefault(one[1].organisation, []).append(one)
        rows = [(one.key, left) for one, what in made for left in what.left_out]
        for organisation, some in by_firm.items():
            rows += self._capture(connection, organisation, some)
        _insert_left_out(connection, rows, self._clock.wall_ms())
        for _, left in rows:
            self._count(left.reason)
        for _ in (one for one in seen if one.scan.step is None):
            self._count("no_step")

    def _capture(
        self, connection: Connection, organisation: str, some: Sequence[_One]
    ) -> list[tuple[RecordKey, LeftOut]]:
        events = [made.event for _, made in some if made.event is not None]
        insertion = Insertion(connection, Memory(), organisation)
        outcomes = insertion.write(
            prepare(events, self._standard),
            at_us=self._clock.wall_ms() * 1000,
            behaviour="proceed",
            job=None,
        )
        taken = []
        for (one, _), outcome in zip(some, outcomes, strict=True):
            if outcome.outcome == "conflict":
                taken.append((one.key, LeftOut(WHOLE, "event_id_taken", outcome.event_id)))
            else:
                self._count(outcome.outcome)
        return taken


def sightings(batch: LoggedBatch) -> Iterator[Sighting]:
    """Yield the scans of a batch."""
    for index, record in batch.taken():
        if isinstance(record, Scan):
            yield Sighting(
                key=RecordKey(batch.gateway, batch.spool, batch.stream, batch.seq, index),
                scan=record,
                observed_at_ms=record.at + batch.offset_ms,
                received_at_ms=batch.received_at,
                time_unknown=batch.placing == "unknown",
            )


def _insert_left_out(
    connection: Connection, rows: Sequence[tuple[RecordKey, LeftOut]], at_ms: int
) -> None:
    """Keep what was left out; what was kept at an earlier reading stays."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = [
        {
            "gateway": key.gateway,
            "spool": key.spool,
            "stream": key.stream,
            "seq": key.seq,
            "record_index": key.index,
            "code_index": left.index,
            "reason": left.reason,
            "detail": left.detail,
            "noted_at": at_ms,
        }
        for key, left in rows
    ]
    statement = dialect.insert(trace_left_out).on_conflict_do_nothing(index_elements=_KEY)
    connection.execute(statement, values)
