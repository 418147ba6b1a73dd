"""Figures of rescues: folded as counted by hand, and as the database has them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cloud.incidents.figures import Rescue, fold, grouped, key_of, year_begins
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.rescue_figures import Figures, FiguresBy
from cloud.model.rescue_policy import load_rescue
from protocols.clock import ManualClock
from tests.support.rescues import Centre, operator, worker

RULES, ZONE = load_rescue(), ZoneInfo("Asia/Shanghai")
RATES = RULES.policies.rates
T0 = 1_764_000_000_000  # 2025-11-25 00:00 in the city
MINUTE = 60_000


def rescue(**fields: object) -> Rescue:
    given = {"state": "closed", "source": "alarm", "level": 1, "detected_at": T0, **fields}
    return Rescue(**given)  # type: ignore[arg-type]


def test_fold_as_counted_by_hand() -> None:
    found = fold(
        [
            rescue(
                responded_at=T0 + 3 * MINUTE,
                arrived_at=T0 + 10 * MINUTE,
                released_at=T0 + 14 * MINUTE,
                released_people=2,
                satisfaction=5,
            ),
            rescue(
                responded_at=T0 + 4 * MINUTE,
                arrived_at=T0 + 31 * MINUTE,
                released_at=T0 + 37 * MINUTE,
                released_people=1,
                injured=1,
                satisfaction=2,
            ),
            rescue(state="released", released_at=T0 + MINUTE, released_people=0),
            rescue(state="dispatched"),
            rescue(state="false_alarm", responded_at=T0),
            rescue(state="merged"),
        ],
        RATES,
    )
    assert found == Figures(
        rescues=6,
        entrapments=4,
        false_alarms=1,
        open=2,
        freed=3,
        injured=1,
        responded=2,
        response_rate=50.0,
        arrived=2,
        arrival_rate=50.0,
        late=1,
        response_mean_s=210.0,
        arrival_mean_s=1_230.0,
        on_site_mean_s=300.0,
        satisfaction_mean=3.5,
    )


def test_nothing_has_no_rates() -> None:
    assert fold([], RATES) == Figures()


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("month", ["2025-11", "2025-12"]),
        ("hour", ["00", "23"]),
        ("class", ["", "door_system"]),
        ("cause", ["", "door"]),
        ("firm", ["firm-a", "firm-b"]),
        ("level", ["1", "2"]),
        ("brand", ["", "X"]),
        ("site", ["", "mall"]),
        ("district", ["", "chuanying"]),
        ("unit", ["", "station"]),
        ("source", ["alarm", "call"]),
    ],
)
def test_groups_are_of_the_city(by: FiguresBy, keys: list[str]) -> None:
    some = [
        rescue(firm="firm-a"),
        rescue(
            detected_at=T0 + 5 * 86_400_000,
            firm="firm-a",
        ),
        rescue(
            detected_at=T0 + 7 * 86_400_000 - 1,
            firm="firm-b",
            cause="door",
            level=2,
            brand="X",
            site_type="mall",
            district="chuanying",
            unit="station",
            source="call",
        ),
    ]
    found = grouped(some, key_of(by, RULES.causes, ZONE), RATES, {})
    assert [one.key for one in found] == keys
    assert sum(one.figures.rescues for one in found) == 3


def test_a_year_is_the_citys() -> None:
    new_year = datetime(2026, 1, 1, tzinfo=ZONE)
    at_ms = int(new_year.timestamp() * 1_000)
    assert year_begins(at_ms + 1, ZONE) == at_ms
    assert year_begins(at_ms, ZONE) == int(datetime(2025, 1, 1, tzinfo=ZONE).timestamp() * 1_000)


async def test_figures_of_a_database(centre: Centre) -> None:
    desk, clock = operator(), centre.clock
    assert isinstance(clock, ManualClock)
    await centre.lift(manufacturer="X", site_type="mall")
    began = clock.wall_ms()
    for number in range(4):
        one = await centre.opened()
        await centre.act(one, "dispatch", desk)
        clock.advance(60_000)
        await centre.act(one, "accept", worker("firm-a"))
        clock.advance(600_000 + number * 600_000)
        await centre.act(one, "arrive", desk)
        note = "" if number else "自行脱困"
        await centre.act(one, "release", desk, people=number, note=note)
        await centre.act(one, "close", desk, cause="door")
        await centre.alarm("resolved")
    await centre.call(asset="elevator:2", drill=True)
    to_at = clock.wall_ms() + 1
    asked = {"from_at": began, "to_at": to_at}
    found = await centre.desk.figures(EVERYTHING, **asked, by="firm")
    assert (found.total.entrapments, found.total.freed, found.total.late) == (4, 6, 2)
    assert (found.total.response_rate, found.total.arrival_rate) == (100.0, 50.0)
    assert found.year_to_date == found.total
    assert [(one.key, one.figures.rescues) for one in found.groups] == [("firm-a", 4)]
    by_class = await centre.desk.figures(EVERYTHING, **asked, by="class")
    assert [(one.key, one.title) for one in by_class.groups] == [("door_system", "门系统故障")]
    for by, key in (("brand", "X"), ("site", "mall"), ("district", "chuanying")):
        (group,) = (await centre.desk.figures(EVERYTHING, **asked, by=by)).groups  # type: ignore[arg-type]
        assert group.key == key
    own = await centre.desk.figures(Scope(organisations=frozenset({"firm-b"})), **asked, by="month")
    assert own.total == Figures()
