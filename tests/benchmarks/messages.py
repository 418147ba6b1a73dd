"""What a fleet of gateways says, encoded beforehand: only seq and times are put in at sending.

One record is one moment of one lift with all 20 points that a device reports: words, booleans, a
list, whole numbers, decimal fractions, now and then a null.
"""

import hashlib
import random
from dataclasses import dataclass
from typing import Any

import msgspec

from protocols.topics import of

VALUES_PER_RECORD = 20
CHANGES = 0.02
"""So many records change the input of a rule."""
NULLS = 0.01
"""So many records have a point that is not known."""
VARIANTS = 4
AT = 1_111_111_111_111
"""Stands in for the moment until a message is sent."""
_AT = str(AT).encode()


def gateway_id(number: int) -> str:
    """Name a gateway."""
    return f"gw-load-{number:05d}"


def asset_id(gateway: int, lift: int) -> str:
    """Name a lift of a gateway."""
    return f"elevator:3110{gateway:06d}{lift:07d}"


def spool_id(gateway: str, run: str) -> str:
    """Make the spool id of a gateway in one run."""
    return hashlib.md5(f"{gateway} {run}".encode(), usedforsecurity=False).hexdigest()


def values_of(rng: random.Random, *, stopped: bool) -> dict[str, list[Any]]:
    """Make the values of one moment; `stopped` changes inputs of rules and raises no alarm."""
    return {
        "service_mode": ["normal"],
        "car_status": ["stopped" if stopped else "running"],
        "car_direction": [rng.choice(["up", "down", "none"])],
        "door_zone": [True],
        "car_position": [rng.randint(1, 32)],
        "door_status": [not stopped],
        "passenger_status": [False],
        "message_code": [["40"] if stopped else []],
        "total_running_time": [round(rng.uniform(1_000, 50_000), 1)],
        "present_counter_value": [rng.randint(10_000, 900_000)],
        "speed": [None if rng.random() < NULLS else round(rng.uniform(0, 2.5), 2)],
        "load_percent": [round(rng.uniform(0, 100), 1)],
        "fault_code": [rng.choice(["E00", "E00", "E00", "E17"])],
        "safety_circuit": [True],
        "power_status": ["mains"],
        "next_stopping_floor": [rng.randint(1, 32)],
        "door_operation_count": [rng.randint(10_000, 900_000)],
        "energy_meter": [round(rng.uniform(100, 90_000), 1)],
        "motor_current": [round(rng.uniform(0, 30), 1)],
        "drive_temperature": [round(rng.uniform(20, 60), 1)],
    }


@dataclass(frozen=True)
class Message:
    """One message that can be sent again and again."""

    records: bytes
    """The records' JSON with AT for every moment."""
    count: int
    nulls: int

    def records_at(self, at_ms: int) -> bytes:
        """Return the records with every moment put in."""
        return self.records.replace(_AT, b"%d" % at_ms)

    def payload(self, spool: bytes, seq: int, at_ms: int) -> bytes:
        """Put seq and times in."""
        return (
            b'{"schema":1,"spool":"%b","seq":%d,"boot_id":"load","clock":"synced",'
            b'"sent_at":%d,"records":%b}' % (spool, seq, at_ms, self.records_at(at_ms))
        )


class Pool:
    """The messages of one gateway, in turn."""

    def __init__(self, gateway: int, *, lifts: int, records: int, seed: int) -> None:
        rng = random.Random(seed * 1_000_003 + gateway)
        self.gateway = gateway_id(gateway)
        self.topic = of(self.gateway, "up/data").encode()
        lists = max(VARIANTS, -(-lifts * 2 // records))
        order = [lift for _ in range(-(-lists * records // lifts)) for lift in range(lifts)]
        self.messages = [
            _message(gateway, order[at * records : (at + 1) * records], rng) for at in range(lists)
        ]


def _message(gateway: int, lifts: list[int], rng: random.Random) -> Message:
    records, nulls = [], 0
    for lift in lifts:
        # one moment that differs makes two records that change something: it, and the next one
        values = values_of(rng, stopped=rng.random() < CHANGES / 2)
        nulls += sum(column == [None] for column in values.values())
        records.append(
            {"kind": "readings", "asset": asset_id(gateway, lift), "at": [AT], "values": values}
        )
    return Message(msgspec.json.encode(records), len(records), nulls)
