"""Nothing forgotten, nothing repeated: the rules on a log, through kills at every commit."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from cloud.model import tables
from cloud.model.logged import PlacedReadings
from cloud.rules import consumer as consumer_module
from cloud.rules import store
from cloud.rules.engine import Engine
from cloud.rules.rule import RuleSet
from protocols.errors import StopService
from protocols.readings import Value
from protocols.records import Gap
from tests.support.rules_stage import ALARM, DATA, LIFT, SPOOL, Killed, RulesStage

SHUT_IN: dict[str, Value] = {
    "service_mode": "normal",
    "car_status": "stopped",
    "passenger_status": True,
    "door_status": True,
    "door_zone": True,
}
WRITES = 27
"""Transactions that the script takes: each of them is killed once before and once after."""
FIELDS = ("alert", "asset", "change", "state", "evidence", "late", "stale")


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[RulesStage]:
    stage = RulesStage(database_url)
    await stage.rules_consumer.start()
    yield stage
    stage.database.close()


async def test_button_reaches_the_feed_with_its_values(stage: RulesStage) -> None:
    stage.say({"car_position": 7, "service_mode": "normal"})
    stage.say({"message_code": ["90"]}, urgent=True)
    await stage.settle()
    (alarm,) = await stage.desk.find(states=["unacknowledged"])
    assert (alarm.alert, alarm.asset, alarm.severity) == ("Entrapment", LIFT, "emergency")
    assert (alarm.evidence, alarm.late, alarm.stale) == ("alarm_button", False, False)
    assert alarm.values["message_code"] == ["90"]
    assert alarm.observed_at == alarm.raised_at == stage.start_ms
    assert alarm.annotations["response_zh"]
    assert await stage.told("id", "state", "evidence") == [
        (alarm.id, "unacknowledged", "alarm_button")
    ]


async def test_alarm_stream_goes_before_each_group_of_data(stage: RulesStage) -> None:
    for _ in range(20):
        stage.say({"car_position": 1})
    order: list[str] = []
    take = stage.rules_consumer._take

    async def note(group: object, **words: bool) -> None:
        order.append(group.partition)  # type: ignore[attr-defined]
        if len(order) == 3:
            stage.say({"message_code": ["90"]}, urgent=True)
        await take(group, **words)  # type: ignore[arg-type]

    stage.rules_consumer._take = note  # type: ignore[method-assign]
    await stage.settle()
    assert order == [DATA] * 3 + [ALARM] + [DATA] * 17


async def test_deadline_waits_until_the_log_is_read_up_to_it(stage: RulesStage) -> None:
    stage.say(SHUT_IN)
    await stage.settle()
    stage.clock.advance(15_000)
    stage.say({"door_status": False})  # logged, but the consumer was away
    stage.clock.advance(60_000)
    await stage.settle()
    assert await stage.told(*FIELDS) == []


async def test_deadline_fires_without_news(stage: RulesStage) -> None:
    stage.say(SHUT_IN)
    await stage.pass_to(19.9)
    assert await stage.told("change") == []
    await stage.pass_to(20)
    assert await stage.told("change", "evidence") == [("fired", "at_level")]
    (alarm,) = await stage.desk.find()
    assert alarm.observed_at == stage.start_ms
    assert alarm.raised_at == stage.start_ms + 20_000


async def test_run_fires_by_itself_and_stops_when_cancelled(stage: RulesStage) -> None:
    running = asyncio.create_task(stage.rules_consumer.run())
    stage.say({"message_code": ["90"]}, urgent=True)
    async with asyncio.timeout(5):
        assert await stage.feed.wait(0, 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_lag_tells_the_age_of_the_oldest_group(stage: RulesStage) -> None:
    await stage.settle()
    assert stage.rules_consumer.lag_ms(stage.clock.wall_ms()) == 0
    stage.say({"car_position": 1})
    assert stage.rules_consumer.lag_ms(stage.clock.wall_ms() + 700) == 700
    await stage.settle()
    assert stage.rules_consumer.lag_ms(stage.clock.wall_ms() + 700) == 0


def _script(stage: RulesStage) -> list[tuple[float, Callable[[], None]]]:
    """Return what happens when: two lifts, a gateway that goes, a broker, pending and ended."""

    def lift(name: str, **values: Value) -> Callable[[], None]:
        urgent = "message_code" in values
        return lambda: stage.say(values, asset=f"elevator:{name}", urgent=urgent)

    def own(asset: str, **values: Value) -> Callable[[], None]:
        return lambda: stage.say(values, asset=asset, urgent=True, gateway=asset.split(":")[1])

    return [
        (0, own("gateway:gw-1", online=True)),
        (0.5, own("service:cloud", broker_connected=True)),
        (1, lift("A", **SHUT_IN)),
        (2, lift("A", message_code=["90"])),
        (3, lift("B", service_mode="normal", car_status="running", message_code=[])),
        (6, lift("A", message_code=[])),
        (8, lift("B", message_code=["02"])),
        (9, lift("B", **SHUT_IN)),
        (12, lift("B", door_status=False)),
        (14, lift("B", message_code=["02", "05"])),
        (22, lift("A", car_position=3)),
        (25, lift("A", door_zone=False)),
        (30, lift("B", message_code=[])),
        (40, own("gateway:gw-1", online=False)),
        (47, lift("A", door_zone=False)),
        (101, own("gateway:gw-1", online=True)),
        (103, lift("A", passenger_status=False)),
        (110, lift("B", service_mode="inspection", message_code=["02"])),
        (118, lift("B", service_mode="normal")),
        (121, lambda: None),
    ]


async def _play(stage: RulesStage, kills: list[tuple[str, int]]) -> list[tuple[object, ...]]:
    """Play the script; each kill is (before or after, number of the write since the last one)."""
    pending = list(kills)

    def arm() -> None:
        stage.database.writes = 0
        stage.database.kill_before = stage.database.kill_after = None
        if pending:
            when, number = pending[0]
            setattr(stage.database, f"kill_{when}", number)

    async def survive(second: float) -> None:
        starting = False
        while True:
            try:
                if starting:
                    await stage.rules_consumer.start()
                await stage.pass_to(second)
                return
            except Killed:
                pending.pop(0)
                arm()
                stage.restart()
                starting = True

    arm()
    await stage.rules_consumer.start()
    for second, act in _script(stage):
        await survive(second - 0.001)
        stage.clock.advance(1)
        act()
        await survive(second)
    await survive(200)
    return await stage.told(*FIELDS)


EXPECTED = [
    ("Entrapment", "elevator:A", "fired", "unacknowledged", "alarm_button", False, False),
    ("CarDoorNotClosing", "elevator:B", "fired", "unacknowledged", None, False, False),
    ("UnintendedCarMovement", "elevator:B", "fired", "unacknowledged", None, False, False),
    ("Entrapment", "elevator:A", "upgraded", "unacknowledged", "at_level", False, False),
    (
        "CarDoorNotClosing",
        "elevator:B",
        "resolved",
        "return_to_normal_unacknowledged",
        None,
        False,
        False,
    ),
    (
        "UnintendedCarMovement",
        "elevator:B",
        "resolved",
        "latched_unacknowledged",
        None,
        False,
        False,
    ),
    # the gateway is away when the 20 s off level end
    ("Entrapment", "elevator:A", "upgraded", "unacknowledged", "off_level", False, True),
    ("GatewayOffline", "gateway:gw-1", "fired", "unacknowledged", None, False, False),
    (
        "GatewayOffline",
        "gateway:gw-1",
        "resolved",
        "return_to_normal_unacknowledged",
        None,
        False,
        False,
    ),
    # what the gateway's return alone does not confirm, the lift's own word does
    (
        "StoppedOutsideUnlockingZone",
        "elevator:A",
        "fired",
        "unacknowledged",
        "inferred",
        False,
        False,
    ),
    (
        "Entrapment",
        "elevator:A",
        "resolved",
        "return_to_normal_unacknowledged",
        "off_level",
        False,
        True,
    ),
    ("CarDoorNotClosing", "elevator:B", "fired", "unacknowledged", None, False, False),
]


async def test_script_without_kills(database_url: str) -> None:
    stage = RulesStage(database_url)
    assert await _play(stage, []) == EXPECTED
    assert stage.database.writes == WRITES
    stage.database.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
async def test_kill_at_any_commit_forgets_and_repeats_nothing(
    database_url: str, when: str, number: int
) -> None:
    stage = RulesStage(database_url)
    assert await _play(stage, [(when, number)]) == EXPECTED
    stage.database.close()


@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_kill_again_and_again_forgets_and_repeats_nothing(
    database_url: str, when: str, step: int
) -> None:
    stage = RulesStage(database_url)
    # a kill before each first write would never let it pass: at least every other one is done
    kills = [(when if index % 2 else "after", step) for index in range(12)]
    assert await _play(stage, kills) == EXPECTED
    stage.database.close()


async def test_restart_keeps_values_alerts_and_deadlines(stage: RulesStage) -> None:
    stage.say(SHUT_IN | {"car_position": 4})
    await stage.settle()
    await stage.pass_to(6)  # values are stored
    stage.say({"car_position": 5}, at=5.5)
    await stage.pass_to(9)  # the cursor is stored, these values are not
    stage.restart()
    await stage.rules_consumer.start()
    latest = stage.rules_consumer.latest(LIFT)
    assert latest["car_position"].value == 5
    assert latest["car_position"].observed_at == stage.start_ms + 5500
    assert stage.rules_consumer.assets_of("gw-1") == [LIFT]
    await stage.pass_to(20)
    assert await stage.told("change", "evidence") == [("fired", "at_level")]


async def test_deadline_that_fell_while_the_process_was_down_fires_at_once(
    stage: RulesStage,
) -> None:
    stage.say(SHUT_IN)
    await stage.pass_to(3)
    stage.restart()
    stage.clock.advance(600_000)
    await stage.rules_consumer.start()
    await stage.settle()
    assert await stage.told("change", "late", "stale") == [("fired", False, False)]


async def test_positions_let_the_log_be_trimmed_only_behind_the_stored_values(
    stage: RulesStage,
) -> None:
    stage.say({"car_position": 1})
    stage.say({"message_code": ["90"]}, urgent=True)
    await stage.settle()
    assert stage.rules_consumer.positions() == {}
    await stage.pass_to(6)
    assert stage.rules_consumer.positions() == {ALARM: 1, DATA: 1}
    stage.log.write(DATA, stage.clock.wall_ms())  # a group without readings passes as well
    await stage.pass_to(12)
    assert stage.rules_consumer.positions() == {ALARM: 1, DATA: 2}


async def test_values_of_many_assets_are_stored_in_slices(stage: RulesStage) -> None:
    count = 2 * consumer_module.ASSETS_PER_SLICE + 10
    for index in range(count):
        stage.say({"car_position": index % 40}, asset=f"elevator:N{index}")
    await stage.settle()
    await stage.pass_to(5.1)
    assert await _stored_assets(stage) == consumer_module.ASSETS_PER_SLICE
    assert stage.rules_consumer.positions().get(DATA, 0) == 0  # the round is not over
    await stage.pass_to(5.4)
    await stage.pass_to(5.7)
    assert await _stored_assets(stage) == count
    assert stage.rules_consumer.positions().get(DATA, 0) == count


async def _stored_assets(stage: RulesStage) -> int:
    rows = await stage.database.read(lambda c: c.execute(select(tables.asset_state)).all())
    return len(rows)


async def test_record_that_fails_three_times_goes_to_the_dead_letters(
    stage: RulesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    apply = Engine.apply

    def fail(self: Engine, reading: PlacedReadings, now_ms: int, **words: bool) -> None:
        nonlocal tries
        if reading.asset == "elevator:BAD":
            tries += 1
            raise ValueError("nobody foresaw this")
        apply(self, reading, now_ms, **words)

    monkeypatch.setattr(Engine, "apply", fail)
    gap = Gap(spool=SPOOL, stream="data", from_seq=1, to_seq=1, reason="test")
    good = stage.batch(LIFT, [0], {"message_code": [["90"]]}).records[0]
    batch = stage.batch("elevator:BAD", [0], {"message_code": [["90"]]}, more=[gap, good])
    stage.log.write(DATA, stage.clock.wall_ms(), batch)
    await stage.settle()
    assert tries == 3
    assert stage.dead == [(DATA, 1, 0, "ValueError: nobody foresaw this")]
    assert await stage.told("asset", "change") == [(LIFT, "fired")]


async def test_records_set_aside_feed_no_rule(stage: RulesStage) -> None:
    batch = stage.batch(LIFT, [0], {"message_code": [["90"]]})
    aside = type(batch)(
        **{n: getattr(batch, n) for n in batch.__struct_fields__} | {"set_aside": (0,)}
    )
    stage.log.write(DATA, stage.clock.wall_ms(), aside)
    await stage.settle()
    assert await stage.told("change") == []


async def test_readings_of_unknown_time_raise_emergencies_late(stage: RulesStage) -> None:
    codes: dict[str, list[Value]] = {"message_code": [["90", "02"]]}
    batch = stage.batch(LIFT, [-9000], codes, placing="unknown")
    stage.log.write(DATA, stage.clock.wall_ms(), batch)
    await stage.settle()
    assert await stage.told("alert", "late") == [("Entrapment", True)]
    assert stage.rules_consumer.latest(LIFT) == {}
    stage.say({"message_code": []}, urgent=True)  # live data show that it ended
    await stage.settle()
    assert (await stage.told("change", "state"))[1:] == []
    await stage.pass_to(11)
    assert (await stage.told("change"))[1:] == [("resolved",)]


async def test_gateway_cannot_speak_for_the_cloud(stage: RulesStage) -> None:
    for asset, values in (
        ("service:cloud", {"broker_connected": False}),
        ("gateway:gw-1", {"online": False, "key_conflict": True}),
    ):
        batch = stage.batch(asset, [0], {name: [value] for name, value in values.items()})
        stage.log.write(ALARM, stage.clock.wall_ms(), batch)
    await stage.pass_to(100)
    assert await stage.told("alert") == []


async def test_broker_loss_is_one_alarm_for_a_thousand_gateways(stage: RulesStage) -> None:
    stage.say({"broker_connected": True}, asset="service:cloud", urgent=True, gateway="cloud")
    for index in range(1000):
        stage.say({"online": True}, asset=f"gateway:g{index}", urgent=True, gateway=f"g{index}")
    await stage.settle()
    stage.say({"broker_connected": False}, asset="service:cloud", urgent=True, gateway="cloud")
    for index in range(1000):
        stage.say({"online": False}, asset=f"gateway:g{index}", urgent=True, gateway=f"g{index}")
    await stage.pass_to(300)
    assert await stage.told("alert", "change") == [("BrokerUnreachable", "fired")]
    stage.say({"broker_connected": True}, asset="service:cloud", urgent=True, gateway="cloud")
    await stage.settle()
    for index in range(999):
        stage.say({"online": True}, asset=f"gateway:g{index}", urgent=True, gateway=f"g{index}")
    await stage.pass_to(400)
    assert await stage.told("alert", "asset", "change") == [
        ("BrokerUnreachable", "service:cloud", "fired"),
        ("BrokerUnreachable", "service:cloud", "resolved"),
        ("GatewayOffline", "gateway:g999", "fired"),
    ]


async def test_alert_whose_rule_is_gone_ends(stage: RulesStage, database_url: str) -> None:
    stage.say({"message_code": ["02", "90"]}, urgent=True)
    await stage.settle()
    kept = [rule for rule in stage.rules.rules if rule.alert != "CarDoorNotClosing"]
    stage.rules = RuleSet(tuple(kept))
    stage.restart()
    await stage.rules_consumer.start()
    await stage.settle()
    assert (await stage.told("alert", "change"))[2:] == [("CarDoorNotClosing", "resolved")]
    rows = await stage.database.read(store.load_alerts)
    assert [key for key, _ in rows] == [(LIFT, "Entrapment")]


async def test_rule_that_is_new_judges_what_is_known(stage: RulesStage) -> None:
    everything = stage.rules
    stage.rules = RuleSet(tuple(r for r in everything.rules if r.alert == "MainsOff"))
    stage.restart()
    await stage.rules_consumer.start()
    stage.say({"message_code": ["02"]}, urgent=True)
    await stage.pass_to(6)
    assert await stage.told("alert") == []
    stage.rules = everything
    stage.restart()
    await stage.rules_consumer.start()
    await stage.settle()
    assert await stage.told("alert") == [("CarDoorNotClosing",)]


async def test_log_put_back_by_some_commits_is_read_from_its_new_groups(
    stage: RulesStage,
) -> None:
    for _ in range(5):
        stage.say({"car_position": 1})
    await stage.pass_to(6)
    del stage.log.groups[DATA][3:]
    stage.restart()
    await stage.rules_consumer.start()
    stage.say({"message_code": ["90"]})
    await stage.settle()
    assert await stage.told("change") == [("fired",)]


async def test_commit_that_fails_for_a_while_is_tried_again(
    stage: RulesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 3
    write = stage.database.write

    async def sometimes(work: object) -> object:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OperationalError("COMMIT", {}, Exception("database is locked"))
        return await write(work)  # type: ignore[arg-type]

    async def no_wait(_seconds: float) -> None:
        return

    monkeypatch.setattr(stage.database, "write", sometimes)
    monkeypatch.setattr("cloud.rules.consumer.asyncio.sleep", no_wait)
    stage.say({"message_code": ["90"]}, urgent=True)
    await stage.settle()
    assert await stage.told("change") == [("fired",)]
    failures = 100
    stage.say({"message_code": ["90", "02"]}, urgent=True)
    with pytest.raises(StopService):
        await stage.settle()


async def test_what_was_logged_before_a_restart_is_judged_in_the_order_of_its_commits(
    stage: RulesStage,
) -> None:
    stage.say({"service_mode": "inspection"})
    stage.clock.advance(100)
    stage.say({"message_code": ["90"]}, urgent=True)  # the technician's
    stage.clock.advance(100)
    stage.restart()
    await stage.rules_consumer.start()
    await stage.settle()
    assert await stage.told("change") == []


async def test_alarms_go_first_when_the_backlog_of_a_restart_is_long(
    stage: RulesStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "REPLAY_GROUPS_MAX", 10)
    for _ in range(20):
        stage.say({"car_position": 1})
        stage.clock.advance(100)
    stage.say({"message_code": ["90"]}, urgent=True)
    stage.restart()
    await stage.rules_consumer.start()
    stage.log.reads.clear()
    await stage.rules_consumer.advance()
    assert await stage.told("change") == [("fired",)]
    assert stage.rules_consumer.lag_ms(stage.clock.wall_ms()) > 0
