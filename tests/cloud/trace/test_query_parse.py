"""Queries are read whole, and what is wrong in one is told by name."""

from typing import Any

import pytest

from cloud.trace.query.base import (
    PARAMETERS_MAX,
    VALUES_MAX,
    Attribute,
    BadParameter,
    Declared,
    EventQuery,
    Facet,
    Match,
    Measured,
    OneOf,
    Order,
    Quantity,
    Span,
    Time,
    TooComplex,
    Within,
)
from cloud.trace.query.parse import read_extensions, read_query, read_url
from protocols.epcis.standard import Standard

EX = {"ex": "https://ns.example.com/epcis/"}
ID = "https://id.gs1.org/"
US = 1_767_571_200_000_000


@pytest.mark.parametrize(
    ("name", "value", "condition"),
    [
        ("eventType", "ObjectEvent|ex:Own", OneOf("type", ("ObjectEvent", f"{EX['ex']}Own"))),
        ("GE_eventTime", "2026-01-05T08:00:00+08:00", Time("event_time", "GE", US)),
        ("LT_recordTime", "2026-01-05T00:00:00.000000Z", Time("record_time", "LT", US)),
        ("GE_errorDeclaration_Time", "2026-01-05T00:00:00Z", Time("declared_at", "GE", US)),
        ("LT_errorDeclarationTime", "2026-01-05T00:00:00Z", Time("declared_at", "LT", US)),
        (
            "GE_startTime",
            "2026-01-05T00:00:00Z",
            Facet(("sensor.startTime",), "GE", instants=(US,)),
        ),
        ("EQ_action", "ADD|DELETE", OneOf("action", ("ADD", "DELETE"))),
        (
            "EQ_bizStep",
            "shipping|urn:epcglobal:cbv:bizstep:packing|https://e.com/s",
            OneOf(
                "biz_step",
                (
                    "https://ref.gs1.org/cbv/BizStep-shipping",
                    "https://ref.gs1.org/cbv/BizStep-packing",
                    "https://e.com/s",
                ),
            ),
        ),
        (
            "EQ_readPoint",
            "urn:epc:id:sgln:0614141.07346.0",
            OneOf("read_point", (f"{ID}414/0614141073467",)),
        ),
        ("WD_bizLocation", "https://e.com/l", Within("biz_location", ("https://e.com/l",))),
        (
            "MATCH_epc",
            "urn:epc:id:sgtin:0614141.107346.2017",
            Match(("epc", "child"), False, (f"{ID}01/10614141073464/21/2017",)),
        ),
        (
            "MATCH_inputEPC",
            "urn:epc:idpat:sgtin:0614141.107346.*",
            Match(
                ("input",),
                False,
                (),
                (Span(f"{ID}01/10614141073464/21/", f"{ID}01/10614141073464/210"),),
            ),
        ),
        (
            "MATCH_epcClass",
            "urn:epc:idpat:sgtin:4012345.044444.*",
            Match(
                ("epc", "child"),
                True,
                (f"{ID}01/04012345444445",),
                (Span(f"{ID}01/04012345444445/", f"{ID}01/040123454444450"),),
            ),
        ),
        ("GT_quantity", "2.5", Quantity("GT", (2.5,), None)),
        ("EQ_quantity_KGM", "1|2", Quantity("EQ", (1.0, 2.0), "KGM")),
        ("LE_maxValue_CEL", "-18", Measured("maxValue", "LE", (-18.0,), "CEL")),
        ("GE_percRank", "95", Facet(("sensor.percRank",), "GE", numbers=(95.0,))),
        ("EXISTS_errorDeclaration", "true", Declared()),
        ("EXISTS_sensorElementList", "", Facet(("sensorElementList",))),
        (
            "EQ_type",
            "Temperature",
            Facet(("sensor.type",), texts=("https://gs1.org/voc/Temperature",)),
        ),
        ("EQ_booleanValue", "false", Facet(("sensor.booleanValue",), texts=("false",))),
        (
            "EQ_bizTransaction_po",
            "https://e.com/1",
            Facet(("bizTransaction:https://ref.gs1.org/cbv/BTT-po",), texts=("https://e.com/1",)),
        ),
        (
            "EQ_source_owning_party",
            "urn:epc:id:pgln:4012345.00225",
            Facet(
                ("source:https://ref.gs1.org/cbv/SDT-owning_party",),
                texts=(f"{ID}417/4012345002256",),
            ),
        ),
        ("EQ_ex:a_b", "x|10", Facet((f"event:{EX['ex']}a_b",), texts=("x", "10"))),
        ("GE_ILMD_ex:a", "2", Facet((f"ilmd:{EX['ex']}a",), "GE", numbers=(2.0,))),
        (
            "LT_INNER_SENSORREPORT_ex:a",
            "2026-01-05T00:00:00Z",
            Facet((f"inner sensorReport:{EX['ex']}a",), "LT", instants=(US,)),
        ),
        ("EXISTS_INNER_ERROR_DECLARATION_ex:a", "true", Facet((f"inner error:{EX['ex']}a",))),
        ("EQ_readPoint_ex:a", "x", Facet((f"readPoint:{EX['ex']}a",), texts=("x",))),
        ("EQ_https://n.example/x", "y", Facet(("event:https://n.example/x",), texts=("y",))),
        (
            "HASATTR_readPoint",
            "cbvmda:city",
            Attribute("read_point", ("urn:epcglobal:cbv:mda:city",)),
        ),
        (
            "EQ_ATTR_ex:a_b_cbvmda:city",
            "Jilin",
            Attribute(f"event:{EX['ex']}a_b", ("urn:epcglobal:cbv:mda:city",), ("Jilin",)),
        ),
    ],
)
def test_parameter_is_read(name: str, value: str, condition: object, standard: Standard) -> None:
    assert read_url([(name, value)], standard, namespaces=EX).conditions == (condition,)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"EQ_bizstep": ["shipping"]}, "EQ_bizstep"),
        ({"GT_eventTime": "2026-01-05T00:00:00Z"}, "GT_eventTime"),
        ({"GE_eventTime": "2026-01-05T00:00:00"}, "date and time with zone"),
        ({"GE_eventTime": 5}, "date and time with zone"),
        ({"EQ_action": ["MOVE"]}, "ADD, OBSERVE or DELETE"),
        ({"EQ_bizStep": ["shippingg"]}, "standard value of bizStep"),
        ({"EQ_bizStep": []}, "list of texts"),
        ({"EQ_bizStep": [7]}, "list of texts"),
        ({"EQ_bizStep": [None]}, "list of texts"),
        ({"GE_quantity": "5"}, "a number"),
        ({"GE_quantity": True}, "a number"),
        ({"EQ_value_CEL": ["x"]}, "list of numbers"),
        ({"GE_value": 5}, "GE_value"),
        ({"GE_value_celsius": 5}, "GE_value_celsius"),
        ({"EQ_booleanValue": "yes"}, "true or false"),
        ({"EXISTS_errorDeclaration": 7}, "true, false or nothing"),
        ({"EQ_nope:a": ["x"]}, "GS1-Extensions or @context"),
        ({"EQ_bizTransaction_pp": ["x"]}, "bizTransactionType"),
        ({"MATCH_epc": ["urn:epc:idpat:sgtin:*.107346.*"]}, "EPC pattern"),
        ({"MATCH_epc": ["urn:epc:idpat:nope:1.*"]}, "EPC pattern"),
        ({"HASATTR_nope": ["x"]}, "name of a field"),
        ({"EQ_ATTR_readPoint": ["x"]}, "EQ_ATTR_field_attribute"),
        ({"orderBy": "bizStep"}, "eventTime, recordTime"),
        ({"orderBy": "eventTime", "orderDirection": "UP"}, "ASC or DESC"),
        ({"orderDirection": "UP"}, "ASC or DESC"),
        ({"eventCountLimit": 5}, "with orderBy"),
        ({"orderBy": "eventTime", "eventCountLimit": 0}, "above 0"),
        ({"orderBy": "eventTime", "eventCountLimit": 5, "maxEventCount": 5}, "maxEventCount"),
        ({"maxEventCount": 1.5}, "whole number"),
        ({"@context": [7]}, "@context"),
    ],
)
def test_query_that_is_none_is_refused(
    query: dict[str, Any], told: str, standard: Standard
) -> None:
    with pytest.raises(BadParameter) as refused:
        read_query(query, standard)
    assert told in refused.value.detail


def test_parameter_given_twice_in_a_url_is_refused(standard: Standard) -> None:
    with pytest.raises(BadParameter, match="once"):
        read_url([("EQ_action", "ADD"), ("EQ_action", "DELETE")], standard)


def test_too_much_is_told_as_too_complex(standard: Standard) -> None:
    with pytest.raises(TooComplex):
        read_query({"EQ_eventID": ["x"] * (VALUES_MAX + 1)}, standard)
    many = {f"EXISTS_gs1:{n}": True for n in range(PARAMETERS_MAX + 1)}
    with pytest.raises(TooComplex):
        read_query(many, standard)


def test_context_of_a_query_declares_prefixes(standard: Standard) -> None:
    query = {"@context": [{"own": "https://own.example/"}], "EXISTS_own:x": True}
    asked = EventQuery(conditions=(Facet(("event:https://own.example/x",)),))
    assert read_query(query, standard) == asked


def test_order_is_descending_unless_told(standard: Standard) -> None:
    query = read_query({"orderBy": "ILMD_ex:a"}, standard, namespaces=EX)
    assert query.order == Order(f"ilmd:{EX['ex']}a", descending=True)


def test_what_must_not_exist_asks_nothing(standard: Standard) -> None:
    assert read_url([("EXISTS_errorDeclaration", "false")], standard) == EventQuery()


def test_extensions_header_is_read() -> None:
    assert read_extensions("a=https://a.example/, b=urn:b") == {
        "a": "https://a.example/",
        "b": "urn:b",
    }
    with pytest.raises(BadParameter, match="prefix=namespace"):
        read_extensions("a")
