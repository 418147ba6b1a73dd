"""What a reading costs, beside the cost of decoding it from JSON in the same process."""

import random
import time
from collections.abc import Callable

from cloud.model.logged import PlacedReadings, flattened
from cloud.rules.engine import Engine
from cloud.rules.load import load_rules
from protocols.envelope import decode_records
from protocols.readings import Value
from protocols.records import Readings, encode_records

GROUPS, RECORDS, POINTS = 12, 80, 20
RATIO_MAX = 8.0
"""Measured: 2, with noise; the bar is there for what makes it ten times dearer."""
T = 1_764_000_000_000


def _record(rng: random.Random, lift: int, at: int) -> Readings:
    values: dict[str, list[Value]] = {
        "service_mode": ["normal"],
        "car_status": [rng.choice(["running", "stopped"]) if rng.random() < 0.02 else "running"],
        "car_position": [rng.randint(1, 30)],
        "door_status": [True],
        "door_zone": [True],
        "passenger_status": [False],
        "message_code": [[]],
        "speed": [round(rng.random(), 3)],
        "safety_circuit": [True],
        "power_status": ["mains"],
    }
    values |= {f"own_{n}": [rng.randint(0, 9)] for n in range(POINTS - len(values))}
    return Readings(asset=f"elevator:{lift:05d}", at=[at], values=values)


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def test_judging_costs_no_more_than_a_few_decodes() -> None:
    rng, engine = random.Random(1), Engine(load_rules())
    groups = [
        [_record(rng, lift, T + 1000 * group) for lift in range(RECORDS)] for group in range(GROUPS)
    ]
    encoded = [encode_records(list(group)) for group in groups]
    placed = [
        [
            PlacedReadings(
                asset=one.asset,
                gateway="gw-1",
                seq=1,
                received_at=one.at[-1],
                at=one.at,
                points=points,
                flat=flat,
                quality={},
            )
            for one in group
            for points, flat in [flattened(one.values)]
        ]
        for group in groups
    ]
    decoding = min(_seconds(lambda: [decode_records(raw) for raw in encoded]) for _ in range(3))

    def judge() -> None:
        for group in placed:
            for reading in group:
                engine.apply(reading, T)

    judging = min(_seconds(judge) for _ in range(3))
    assert judging < RATIO_MAX * decoding, (judging, decoding)
