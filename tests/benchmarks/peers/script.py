"""The script that people write: paho-mqtt's callback feeds influxdb-client's batching writer.

Runs in an environment of its own and imports nothing of the project:
script.py lines|points BROKER_PORT TOPIC_FILTER STORE_URL DATABASE MEASUREMENT
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.domain.write_precision import WritePrecision
from paho.mqtt.enums import CallbackAPIVersion

Row = tuple[str, int, dict[str, Any]]


def rows(payload: bytes | bytearray) -> Iterator[Row]:
    """Give (asset, at, fields) of each moment in an envelope."""
    for record in json.loads(payload)["records"]:
        if record["kind"] != "readings":
            continue
        for index, at in enumerate(record["at"]):
            values = ((name, column[index]) for name, column in record["values"].items())
            yield record["asset"], at, {name: value for name, value in values if value is not None}


def line(measurement: str, row: Row) -> str:
    """Write one row as line protocol."""
    asset, at, fields = row
    return (
        f"{measurement},asset={asset} "
        + ",".join([f"{name}={field(value)}" for name, value in fields.items()])
        + f" {at}"
    )


def field(value: Any) -> str:
    """Write a field's value: every number is a float, a list goes as JSON text."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return field(json.dumps(value)) if isinstance(value, list) else str(value)


def point(measurement: str, row: Row) -> Any:
    """Build one row as a Point."""
    asset, at, fields = row
    built: Any = Point(measurement)  # type: ignore[no-untyped-call]
    built.tag("asset", asset).time(at, WritePrecision.MS)
    for name, value in fields.items():
        if isinstance(value, list):
            built.field(name, json.dumps(value))
        else:
            built.field(name, float(value) if type(value) is int else value)
    return built


def main(
    form: str, broker_port: str, topic_filter: str, store_url: str, database: str, measurement: str
) -> None:
    """Run until ended."""
    writer = InfluxDBClient(store_url, token="any", org="any").write_api()

    def on_lines(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        text = "\n".join([line(measurement, row) for row in rows(message.payload)])
        writer.write(database, record=text, write_precision=WritePrecision.MS)  # type: ignore[arg-type]

    def on_points(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        points = [point(measurement, row) for row in rows(message.payload)]
        writer.write(database, record=points)

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="peer-script", clean_session=False)
    client.on_connect = lambda c, *_: c.subscribe(topic_filter, qos=1)
    client.on_message = {"lines": on_lines, "points": on_points}[form]
    client.connect("127.0.0.1", int(broker_port))
    client.loop_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
