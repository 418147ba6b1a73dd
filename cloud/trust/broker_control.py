"""Makes a running mosquitto read its files again, and ends the connection of one gateway."""

import os
import signal
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from protocols.errors import RefuseInput

RELOAD_S = 0.5
"""mosquitto looks for its signal about ten times a second."""
CONNECT_S = 5.0


class BrokerControl:
    """By its process id and, to cut somebody off, as a client of the service's name."""

    def __init__(self, pid_file: Path, *, host: str, port: int, ca: Path) -> None:
        """Name a broker.

        Args:
            pid_file: mosquitto's; may be missing when it runs elsewhere.
            host: of the service's listener.
            port: of the same.
            ca: the authority's folder, for the service's certificate.

        """
        self._pid_file, self._host, self._port, self._ca = pid_file, host, port, ca
        self._told = False

    def reload(self) -> bool:
        """Send SIGHUP; False when no broker of ours runs here, so that files must be copied."""
        self._told = False
        try:
            pid = int(self._pid_file.read_text())
            if Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto":
                os.kill(pid, signal.SIGHUP)
                self._told = True
        except (OSError, ValueError):
            pass  # no such file or process, or another user's
        return self._told

    def cut_off(self, gateway_id: str) -> str:
        """End a gateway's connection; returns a sentence for people.

        A list of the revoked is looked at when a connection begins, so one that stands would go
        on. A client of the same id takes its place and leaves.
        """
        if not self._told:
            file = self._ca / "broker" / "ca.crl"
            return f"NO BROKER WAS TOLD: copy {file} to it and send mosquitto SIGHUP"
        time.sleep(RELOAD_S)
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=gateway_id,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        taken: list[bool] = []

        def connected(*told: object) -> None:
            taken.append(not getattr(told[3], "is_failure", True))
            client.disconnect()

        client.on_connect = connected
        try:
            client.tls_set(
                str(self._ca / "ca.crt"),
                str(self._ca / "suyuan-cloud.crt"),
                str(self._ca / "suyuan-cloud.key"),
            )
            client.connect(self._host, self._port)
            deadline = time.monotonic() + CONNECT_S
            while not taken and time.monotonic() < deadline:
                if client.loop(0.2) != mqtt.MQTT_ERR_SUCCESS:
                    break
        except (OSError, ValueError) as error:
            return f"the broker at {self._host}:{self._port} was not reached: {error}"
        if taken != [True]:
            return f"the broker at {self._host}:{self._port} did not let the service in"
        return "its connection was ended"


def read_pid_file(path: Path | None, ca: Path) -> Path:
    """Return the pid file to use; RefuseInput `bad_request` for one that was named and is none."""
    if path is not None and not path.is_file():
        raise RefuseInput("bad_request", f"--broker-pid-file: expected a file, found {path}")
    return path or ca / "broker" / "run" / "mosquitto.pid"
