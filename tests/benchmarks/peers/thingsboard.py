"""Writes the folder that thingsboard-gateway runs from; it polls the lifts that our gateway polls.

Everything that would hold it back is off: rate limits, statistics, remote configuration; its
storage is the one in memory, its default.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from protocols.catalog.point_map import PointMap

Form = Literal["tags", "ranges"]
"""One named entry a value, as documented; or neighbouring registers together, without names."""
JsonObject = dict[str, Any]
UNLIMITED = "0:0,"
LIMITS = (
    "rateLimits",
    "dpRateLimits",
    "messagesRateLimits",
    "deviceMessagesRateLimits",
    "deviceRateLimits",
    "deviceDpRateLimits",
)
FUNCTION_CODES = {"holding_register": 3, "input_register": 4}


class Lift(NamedTuple):
    """Where one lift answers."""

    asset: str
    host: str
    port: int
    unit_id: int


def write(
    folder: Path,
    python: Path,
    *,
    lifts: Iterable[Lift],
    points: Sequence[PointMap],
    form: Form,
    broker_port: int,
) -> list[str]:
    """Write configuration and folders; return the command that runs it."""
    config = folder / "config"
    config.mkdir(parents=True)
    (folder / "logs").mkdir()
    [package] = python.parents[1].glob("lib/python*/site-packages/thingsboard_gateway")
    shutil.copyfile(package / "config" / "logs.json", config / "logs.json")
    (config / "tb_gateway.json").write_text(json.dumps(_gateway(broker_port)))
    series = _tags(points) if form == "tags" else _ranges(points)
    slaves = [_device(lift, series) for lift in lifts]
    connector = {"name": "lifts", "logLevel": "INFO", "master": {"slaves": slaves}}
    (config / "modbus.json").write_text(json.dumps(connector))
    program = python.parent / "thingsboard-gateway"
    return ["env", "-C", str(folder), f"TB_GW_CONFIG_DIR={config}", str(python), str(program)]


def _tags(points: Sequence[PointMap]) -> list[JsonObject]:
    return [_entry(one.name, one, one.address) for one in points]


def _ranges(points: Sequence[PointMap]) -> list[JsonObject]:
    series = []
    for registers, run in groupby(sorted(points, key=lambda one: one.address), key=_registers):
        first, *rest = run
        last = rest[-1] if rest else first
        addresses = f"{first.address}-{last.address + registers - 1}"
        series.append(_entry(f"r{registers}_${{address}}", first, addresses))
    return [entry | {"maxRegistersPerRequest": 125} for entry in series]


def _entry(tag: str, point: PointMap, address: int | str) -> JsonObject:
    registers = _registers(point)
    return {
        "tag": tag,
        "type": f"{16 * registers}uint",
        "functionCode": FUNCTION_CODES[point.table],
        "objectsCount": registers,
        "address": address,
    }


def _registers(point: PointMap) -> int:
    return 2 if point.type in {"uint32", "int32", "float32"} else 1


def _device(lift: Lift, series: list[JsonObject]) -> JsonObject:
    return {
        "host": lift.host,
        "port": lift.port,
        "type": "tcp",
        "method": "socket",
        "unitId": lift.unit_id,
        "deviceName": lift.asset,
        "deviceType": "elevator",
        "timeout": 35,
        "byteOrder": "BIG",
        "wordOrder": "BIG",
        "retries": 3,
        "pollPeriod": 1000,
        "connectAttemptTimeMs": 5000,
        "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 30_000,
        "timeseries": series,
        "attributes": [],
        "attributeUpdates": [],
        "rpc": [],
    }


def _gateway(broker_port: int) -> JsonObject:
    thingsboard: JsonObject = {
        "host": "127.0.0.1",
        "port": broker_port,
        "remoteShell": False,
        "remoteConfiguration": False,
        "statistics": {"enable": False},
        "deviceFiltering": {"enable": False},
        "checkingDeviceActivity": {"checkDeviceInactivity": False},
        "maxPayloadSizeBytes": 8196,
        "minPackSendDelayMS": 50,
        "minPackSizeToSend": 500,
        "checkConnectorsConfigurationInSeconds": 60,
        "handleDeviceRenaming": True,
        "security": {"type": "accessToken", "accessToken": "token"},
        "qos": 1,
        "reportStrategy": {"type": "ON_RECEIVED"},
    }
    limits = dict.fromkeys(LIMITS, UNLIMITED)
    storage = {"type": "memory", "read_records_count": 100, "max_records_count": 100_000}
    connector = {"type": "modbus", "name": "lifts", "configuration": "modbus.json"}
    return {
        "thingsboard": thingsboard | limits,
        "storage": storage,
        "grpc": {"enabled": False},
        "connectors": [connector],
    }
