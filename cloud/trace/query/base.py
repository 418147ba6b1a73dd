"""What a query is to the rest of the service; EPCIS 2.0 section 8.2.7.1 names its parameters."""

from typing import Literal

from msgspec import Struct

from protocols.epcis.event import Role

Column = Literal[
    "type",
    "action",
    "biz_step",
    "disposition",
    "read_point",
    "biz_location",
    "transformation_id",
    "event_id",
]
TimeColumn = Literal["event_time", "record_time", "declared_at"]
Operator = Literal["EQ", "GT", "GE", "LT", "LE"]
PARAMETERS_MAX = 100
"""Of one query."""
VALUES_MAX = 1000
"""Of one parameter."""


class QueryFault(Exception):
    """A query is refused; the name is that of the standard's exception."""

    name: Literal["QueryParameterException", "QueryTooComplexException", "QueryTooLargeException"]

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadParameter(QueryFault):
    """A parameter is unknown, or its value is not of its kind."""

    name = "QueryParameterException"


class TooComplex(QueryFault):
    """More parameters, or more values of one, than this service takes."""

    name = "QueryTooComplexException"


class TooLarge(QueryFault):
    """More events than the query's own `maxEventCount`."""

    name = "QueryTooLargeException"


class OneOf(Struct, frozen=True, tag=True):
    """A column of the event holds one of some values, canonical."""

    column: Column
    values: tuple[str, ...]


class Within(Struct, frozen=True, tag=True):
    """A place is one of some, or a direct or indirect descendant of one by master data."""

    column: Literal["read_point", "biz_location"]
    values: tuple[str, ...]


class Time(Struct, frozen=True, tag=True):
    """A time of the event is at or after (GE), or before (LT) an instant; us since 1970 UTC."""

    column: TimeColumn
    operator: Operator
    us: int


class Span(Struct, frozen=True):
    """A range of canonical ids: those from `low` to before `high`."""

    low: str
    high: str
    holds: str | None = None
    """What each of them holds too, such as `/21/`."""


class Match(Struct, frozen=True, tag=True):
    """The event names, in one of some roles, one of some ids or of some ranges of them."""

    roles: tuple[Role, ...]
    by_class: bool
    ids: tuple[str, ...]
    spans: tuple[Span, ...] = ()


class Quantity(Struct, frozen=True, tag=True):
    """A quantity element of the event compares so with one of some values."""

    operator: Operator
    values: tuple[float, ...]
    uom: str | None
    """The values' unit; None: numbers as written, whatever their unit."""


class Facet(Struct, frozen=True, tag=True):
    """A facet of the event (cloud/trace/facets.py) compares so with one of some values.

    A text is compared as text; a number with what is a number, or a text that reads as one; an
    instant (us) with a text that reads as one. Without values: the facet exists.
    """

    names: tuple[str, ...]
    """Any of these; what exists for `EXISTS_`."""
    operator: Operator = "EQ"
    texts: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    instants: tuple[int, ...] = ()


class Measured(Struct, frozen=True, tag=True):
    """A sensor report's value, in any convertible unit, compares so with one of some values."""

    field: str
    """`value`, `minValue`, `maxValue`, `meanValue`, `sDev`, `percValue`."""
    operator: Operator
    values: tuple[float, ...]
    uom: str


class Declared(Struct, frozen=True, tag=True):
    """The event is an error declaration."""


class Attribute(Struct, frozen=True, tag=True):
    """A field's value is a vocabulary element whose master data has one of some attributes.

    With values: one of its attributes of these names has one of them.
    """

    field: str
    """`biz_step`, `disposition`, `read_point`, `biz_location`, `epc_class`, the name of a facet,
    or with a colon at the end the beginning of such names."""
    names: tuple[str, ...]
    values: tuple[str, ...] = ()
    """Empty: any value."""


Condition = OneOf | Within | Time | Match | Quantity | Facet | Measured | Declared | Attribute


class Order(Struct, frozen=True):
    """By what the events are sorted; among equal ones the order is fixed, but says nothing."""

    by: str = ""
    """`event_time`, `record_time`, the name of a facet, or empty for the order of record."""
    descending: bool = False


class EventQuery(Struct, frozen=True, kw_only=True):
    """What one query asks: all conditions hold."""

    conditions: tuple[Condition, ...] = ()
    order: Order = Order()
    event_count_limit: int | None = None
    """The first so many in `order` are the answer."""
    max_event_count: int | None = None
    """More than so many is a fault."""
