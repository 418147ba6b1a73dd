"""What mosquitto's lines tell of refusals, and what they do not."""

import pytest

from cloud.model.refusal import Refusal
from cloud.trust.broker import what_matters
from cloud.trust.broker_log import DISTINCT_MAX, OTHERS, LogReader, may_read
from protocols.topics import of

NOW = 1_764_000_000_000
AT = "2026-11-25T23:17:11+0000: "
AT_MS = 1_795_648_631_000
ALARM = of("gw-2", "up/alarm")


def _read(*lines: str) -> list[tuple[str, str, str, int]]:
    found = LogReader().read([AT + line for line in lines], NOW)
    return [(one.kind, one.who, one.what, one.count) for one in found]


def test_refused_publish_names_gateway_and_topic() -> None:
    line = f"Denied PUBLISH from gw-1 (d0, q1, r0, m1, '{ALARM}', ... (6 bytes))"
    assert _read(line, line) == [("publish", "gw-1", ALARM, 2)]


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (f"1795648632: Denied PUBLISH from gw-1 (d0, q0, r1, m0, '{ALARM}', ... (6 bytes))", 0),
        (f"soon: Denied PUBLISH from gw-1 (d0, q0, r1, m0, '{ALARM}', ... (6 bytes))", NOW),
        (f"{AT}Denied PUBLISH from gw-1 (d0, q0, r1, m0, '{ALARM}', ... (6 bytes))", AT_MS),
    ],
)
def test_time_in_either_form_or_ours(line: str, at: int) -> None:
    at = at or 1_795_648_632_000
    refusal = Refusal(kind="publish", who="gw-1", what=ALARM, first_at=at, last_at=at)
    assert LogReader().read([line], NOW) == [refusal]


@pytest.mark.parametrize(
    ("who", "topic_filter", "right"),
    [
        ("gw-2", of("gw-2", "down/ack"), True),
        ("gw-2", of("gw-2", "down/+"), True),
        ("gw-1", of("gw-2", "down/ack"), False),
        ("gw-1", "suyuan/v1/+/+/down/ack", False),
        ("gw-1", "#", False),
        ("gw-1", "$SYS/#", False),
        ("gw-1", f"{of('gw-1', 'down/ack')}/../x", True),
        ("suyuan-ingest-alarm-0a", "suyuan/v1/+/+/up/alarm", True),
        ("mosq-x/Y", "#", True),
    ],
)
def test_foreign_filter_is_told_from_ones_own(who: str, topic_filter: str, right: bool) -> None:
    assert may_read(who, topic_filter) is right
    assert bool(_read(f"{who} 1 {topic_filter}")) is not right


def test_certificate_that_is_not_taken_names_the_address() -> None:
    verify = "certificate verify failed"
    error = f"error:0A000086:SSL routines::{verify}"
    assert _read(f"Client connection from 10.0.0.9 failed: {error}.") == [
        ("certificate", "10.0.0.9", verify, 1)
    ]
    opening = "New connection from 10.0.0.9:40145 on port 8883."
    late = [opening, f"OpenSSL Error[0]: {error}", "Client <unknown> disconnected: Protocol error."]
    assert _read(*late, *late) == [("certificate", "10.0.0.9", verify, 2)]


def test_address_is_not_guessed() -> None:
    error = "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed"
    two = [f"New connection from 10.0.0.{n}:40145 on port 8883." for n in (8, 9)]
    assert _read(*two, error)[0][1] == "?"
    opened = "New client connected from 10.0.0.8:40145 as gw-1 (p2, c1, k60, u'gw-1')."
    assert _read(*two, opened, error)[0][1] == "10.0.0.9"


@pytest.mark.parametrize(
    "line",
    [
        "Client connection from 127.0.0.1 failed: error:0A000126:SSL routines::unexpected eof.",
        "mosquitto version 2.0.11 running",
        "New client connected from 127.0.0.1:5 as gw-1 (p2, c1, k60, u'gw-1').",
        "Client gw-1 disconnected.",
        "Received PUBLISH from gw-1 (d0, q1, r0, m1, 'Denied PUBLISH from gw-9', ... (6 bytes))",
        "",
    ],
)
def test_what_is_no_refusal_is_none(line: str) -> None:
    assert _read(line) == []


def test_flood_of_different_things_is_bounded() -> None:
    lines = [
        f"Denied PUBLISH from gw-1 (d0, q1, r0, m1, 'x/{number}', ... (6 bytes))"
        for number in range(10_000)
    ]
    found = _read(*lines)
    assert len(found) == DISTINCT_MAX + 1
    assert sum(one[3] for one in found) == 10_000
    assert found[-1][2] == OTHERS


def test_lines_of_passing_messages_are_left_out() -> None:
    topic = "suyuan/v1/aa/gw-1/up/data"
    kept = [
        f"{AT}Denied PUBLISH from gw-1 (d0, q1, r0, m1, '{ALARM}', ... (6 bytes))",
        f"{AT}gw-1 1 suyuan/v1/+/+/down/ack",
        f"{AT}New connection from 127.0.0.1:38897 on port 25644.",
    ]
    passing = [
        f"{AT}Received PUBLISH from gw-1 (d0, q1, r0, m7, '{topic}', ... (212 bytes))",
        f"{AT}Sending PUBACK to gw-1 (m7, rc0)",
        f"{AT}Received SUBSCRIBE from gw-1",
        f"{AT}\tsuyuan/v1/+/+/down/ack (QoS 1)",
        f"{AT}No will message specified.",
    ]
    mixed = [line for pair in zip(passing, [*kept, *kept[:2]], strict=True) for line in pair]
    assert what_matters("\n".join([*mixed, ""]).encode()) == [*kept, *kept[:2]]
