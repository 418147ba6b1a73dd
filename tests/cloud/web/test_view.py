from zoneinfo import ZoneInfo

import pytest

from cloud.model.alarm import Severity
from cloud.web.format import clock_time, duration, value_text
from cloud.web.texts import load_texts
from cloud.web.view import points_of, worst_first
from protocols.clock import ManualClock
from protocols.readings import Value
from tests.support.http_services import entrapment

SHANGHAI = ZoneInfo("Asia/Shanghai")
T0 = 1_764_000_000_000  # 2025-11-25 00:00 in Shanghai


def test_worst_first_by_severity_then_unanswered_then_longest() -> None:
    clock = ManualClock()
    order: list[tuple[int, Severity, str, int]] = [
        (5, "emergency", "unacknowledged", 10),
        (2, "emergency", "return_to_normal_unacknowledged", 20),
        (9, "emergency", "unacknowledged", 30),
        (1, "emergency", "acknowledged", 5),
        (4, "critical", "unacknowledged", 1),
        (3, "warning", "acknowledged", 1),
        (6, "info", "unacknowledged", 1),
    ]
    alarms = [
        entrapment(clock, number, severity=severity, state=state, raised_at=at)
        for number, severity, state, at in order
    ]
    assert [one.id for one in worst_first(alarms[::-1])] == [number for number, *_ in order]


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0:00"),
        (-5, "0:00"),
        (65_999, "1:05"),
        (3_600_000, "1:00:00"),
        (90_061_000, "1d 01:01"),
    ],
)
def test_duration(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_clock_time_in_its_zone_with_date_when_not_today() -> None:
    assert clock_time(T0, SHANGHAI, T0 + 1_000) == "00:00:00"
    assert clock_time(T0 - 1_000, SHANGHAI, T0) == "2025-11-24 23:59:59"
    assert clock_time(None, SHANGHAI, T0) == ""


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("service_mode", "inspection", "检修"),
        ("service_mode", "never_heard", "never_heard"),
        ("car_position", "B1", "B1"),
        ("car_position", 12, "12"),
        ("passenger_status", True, "是"),
        ("speed", 1.75, "1.75 m/s"),
        ("speed", 2.0, "2 m/s"),
        ("speed", None, "—"),
        ("fault_code", "normal", "normal"),
        ("message_code", [], "无"),
        ("message_code", ["90", "77"], "90 报警按钮动作, 77"),
        ("not_in_the_catalog", 3, "3"),
    ],
)
def test_value_text(name: str, value: Value, text: str) -> None:
    catalog, codes = points_of("elevator")
    assert value_text(value, catalog.get(name), codes, load_texts("zh")) == text


def test_points_of_a_kind_without_catalog_are_none() -> None:
    assert points_of("cylinder_of_nobody") == ({}, {})
