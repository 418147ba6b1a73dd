"""The service as separate processes on PostgreSQL and InfluxDB; each of them killed in turn."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import Cluster
from tests.support.mosquitto import MOSQUITTO, free_port
from tests.support.postgres import BIN, MISSING, Postgres
from tests.support.stack import wait_until
from tests.support.telemetry_engines import InfluxDbServer, missing_for

TELEMETRY = '[telemetry]\nurl = "{url}"\n'


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two ingesters, two consumers of which one stands by, and one that serves."""
    missing = missing_for(InfluxDbServer) or ("" if BIN else MISSING)
    if missing or not Path(MOSQUITTO).exists():
        pytest.skip(missing or "mosquitto is not installed (Debian: apt-get install mosquitto)")
    postgres, engine = Postgres(tmp_path / "postgres"), InfluxDbServer(tmp_path / "engine")
    postgres.start()
    engine.start()
    one = Cluster(
        tmp_path / "cluster",
        postgres,
        groups=4,
        roles=("api",),
        more_config=TELEMETRY.format(url=engine.new_url()),
    )
    consumers = [one.process(f"consume-{n}", free_port(), "consume") for n in (1, 2)]
    try:
        consumers[0].start()
        one.start()
        wait_until(lambda: one.owner("consume") == "consume-1", timeout_s=20, what="consumer")
        consumers[1].start()
        one.others = {child.name: child for child in consumers}
        yield one
    finally:
        for child in consumers:
            child.kill()
        one.stop()
        engine.stop()
        postgres.stop()


def _entrapment_comes(cluster: Cluster, lift: int, *, within_s: float) -> None:
    """Trap somebody and wait for the one alarm of it; let them out again."""
    stack, asset = cluster.stack, cluster.stack.asset(lift)
    before = len(stack.alarms(asset, "Entrapment"))
    stack.lifts.order(op="fault", lift=lift, name="entrapment", evidence="alarm_button")
    wait_until(
        lambda: len(stack.alarms(asset, "Entrapment")) == before + 1,
        timeout_s=within_s,
        what=f"alarm of lift {lift}",
    )
    (alarm,) = stack.alarms(asset, "Entrapment")[before:]
    answer = stack.http.post(f"/api/v1/alarms/{alarm['id']}/acknowledge", json={"note": "seen"})
    assert answer.status_code == 200
    stack.lifts.order(op="clear", lift=lift)
    wait_until(
        lambda: stack.alarms(asset, "Entrapment")[-1]["state"] == "normal",
        timeout_s=within_s + 20,
        what=f"lift {lift} back to normal",
    )


@pytest.mark.long
@pytest.mark.timeout(240)
def test_parts_apart_each_killed_in_turn(cluster: Cluster) -> None:
    stack = cluster.stack
    wait_until(lambda: "car_position" in stack.latest(0), timeout_s=10, what="latest")
    until = time.time_ns() // 1_000_000 + 600_000
    readings = f"/api/v1/assets/{stack.asset(0)}/readings"
    wait_until(
        lambda: stack.get(readings, point="car_position", **{"from": 0, "to": until})["points"],
        timeout_s=10,
        what="readings",
    )
    _entrapment_comes(cluster, 0, within_s=10)

    group = cluster.group_of(stack.gateway)
    first = cluster.owner(group)
    other = next(name for name in cluster.ingesters if name != first)
    cluster.move(group, other)
    _entrapment_comes(cluster, 1, within_s=10)

    cluster.ingesters[other].kill()
    _entrapment_comes(cluster, 2, within_s=30)
    assert cluster.owner(group) == first

    cluster.others["consume-1"].kill()
    _entrapment_comes(cluster, 3, within_s=30)
    assert cluster.owner("consume") == "consume-2"

    items = [one["data"] for one in stack.feed(0) if one["event"] == "alarm"]
    told = [(one["id"], one["state"]) for one in items]
    emergencies = [alarm["id"] for alarm in stack.alarms(alert="Entrapment")]
    assert len(emergencies) == 4
    for number in emergencies:
        states = [state for alarm, state in told if alarm == number]
        assert states == ["unacknowledged", "acknowledged", "normal"], number
    ledger = stack.ledger()
    assert sum(row["declared_lost"] for row in ledger) == 0
    metrics = httpx.get(f"{stack.http.base_url}/metrics", headers=stack.http.headers).text
    assert 'suyuan_consumer_lag_seconds{consumer="rules"}' in metrics
