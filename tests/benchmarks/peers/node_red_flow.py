"""Writes the folder that Node-RED runs from: settings and one flow."""

import json
from pathlib import Path
from typing import Any, Literal

from tests.benchmarks.peers.store import DATABASE, MEASUREMENT, TOPIC_FILTER

HERE = Path(__file__).parent / "node_red"
SETTINGS = """\
module.exports = {
  uiPort: %d, uiHost: "127.0.0.1", flowFile: "flows.json", credentialSecret: "bench",
  mqttReconnectTime: 1000, telemetry: { enabled: false }, logging: { console: { level: "error" } },
};
"""
JOINED_MAX, JOINED_S = "125", "1"
"""Messages or seconds that the batching flow gathers."""

Form = Literal["batch", "single"]
Node = dict[str, Any]


def write(folder: Path, form: Form, *, broker_port: int, store_port: int, ui_port: int) -> None:
    """Write the flow `form`: joined messages in one POST, or the usual POST for each message."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.js").write_text(SETTINGS % ui_port)
    nodes = [
        _broker(broker_port),
        _store(store_port),
        *(_batch() if form == "batch" else _single()),
    ]
    (folder / "flows.json").write_text(json.dumps(nodes))


def _batch() -> list[Node]:
    join = _node("join", "join", "flatten", mode="custom", build="array", property="payload")
    join |= {"propertyType": "msg", "count": JOINED_MAX, "timeout": JOINED_S, "accumulate": False}
    return [
        _in("to_points"),
        _function("to_points", "join"),
        join,
        _function("flatten", "out"),
        _node("out", "influxdb batch", influxdb="store", precision="ms"),
    ]


def _single() -> list[Node]:
    out = _node("out", "influxdb out", influxdb="store", precision="ms", measurement=MEASUREMENT)
    return [_in("to_rows"), _function("to_rows", "out"), out]


def _node(name: str, kind: str, *to: str, **fields: Any) -> Node:
    return {"id": name, "type": kind, "z": "flow", "x": 1, "y": 1, "wires": [list(to)]} | fields


def _in(to: str) -> Node:
    return _node("in", "mqtt in", to, topic=TOPIC_FILTER, qos="1", datatype="json", broker="broker")


def _function(name: str, to: str) -> Node:
    return _node(name, "function", to, func=(HERE / f"{name}.js").read_text(), outputs=1)


def _broker(port: int) -> Node:
    address = {"broker": "127.0.0.1", "port": str(port), "clientid": "peer-node-red"}
    session = {
        "cleansession": False,
        "autoConnect": True,
        "protocolVersion": "4",
        "keepalive": "60",
    }
    return {"id": "broker", "type": "mqtt-broker", "usetls": False} | address | session


def _store(port: int) -> Node:
    address = {"hostname": "127.0.0.1", "port": str(port), "database": DATABASE}
    login = {"username": "", "password": ""}
    return {
        "id": "store",
        "type": "influxdb",
        "influxdbVersion": "1.x",
        "credentials": login,
    } | address
