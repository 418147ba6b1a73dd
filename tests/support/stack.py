"""The whole system as real processes on free loopback ports: lifts, gateway, broker, cloud."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.support.mosquitto import Mosquitto, free_port, wait_for_port

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-tests"
T = TypeVar("T")


def wait_until(check: Callable[[], T], *, timeout_s: float, what: str, every_s: float = 0.05) -> T:
    """Wait until `check` returns something true; it may raise httpx errors meanwhile."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = check()
        except (httpx.HTTPError, OSError) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(every_s)
    raise TimeoutError(f"{what}: not within {timeout_s} s; last seen: {last!r}")


class Child:
    """A child process that can be killed and started again."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name, self._arguments, self._folder = name, arguments, folder
        self._prefix, self._environment = prefix, environment or {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output goes to `NAME.log`."""
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", *self._arguments],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,  # so that a wrapper such as faketime ends with its child
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
            )

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait(10)

    def stop(self, timeout_s: float = 12) -> int:
        """End it with SIGTERM; return its exit code."""
        if self.process is None:
            return 0
        self._signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def _signal(self, number: int) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self.process.pid, number)

    def running(self) -> bool:
        """Tell whether it runs."""
        return self.process is not None and self.process.poll() is None

    def tail(self, lines: int = 30) -> str:
        """Return the end of its output."""
        text = (self._folder / f"{self.name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


class Lifts:
    """Simulated lifts on one Modbus TCP port, and their control socket."""

    def __init__(self, folder: Path, count: int, controller: str) -> None:
        self.port, self.control = free_port(), free_port()
        self.count, self.controller = count, controller
        self.child = Child(
            "lifts",
            [
                *("simulators", "serve", "--controller", controller, "--lifts", str(count)),
                *("--port", str(self.port), "--control", str(self.control)),
            ],
            folder,
        )

    def start(self) -> None:
        """Start and wait until both ports answer."""
        self.child.start()
        assert self.child.process is not None
        for port in (self.port, self.control):
            wait_for_port(port, self.child.process)

    def order(self, **message: object) -> dict[str, Any]:
        """Send one control message and return the reply."""
        with socket.create_connection(("127.0.0.1", self.control), 5) as link:
            link.sendall(json.dumps(message).encode() + b"\n")
            reply: dict[str, Any] = json.loads(link.makefile().readline())
        assert reply.get("ok", True), reply
        return reply

    def hold(self, lift: int, **values: object) -> None:
        """Hold points of a lift at these values."""
        self.order(op="set", lift=lift, values=values)

    def release(self, lift: int) -> None:
        """Let the physics go on."""
        self.order(op="release", lift=lift)


class Stack:
    """Broker, cloud, one gateway and its lifts."""

    def __init__(
        self,
        folder: Path,
        *,
        lifts: int = 4,
        controller: str = "gbt24476-adapter",
        poll_interval_s: float = 0.5,
        gateway: str = "gw-test-1",
        edge_prefix: Sequence[str] = (),
        cloud_config: str = "",
        broker_port: int | None = None,
        cloud_arguments: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.gateway = folder, gateway
        self.broker = Mosquitto(folder / "broker")
        self.http_port = free_port()
        self.lifts = Lifts(folder, lifts, controller)
        self.edge_state, self.cloud_data = folder / "edge", folder / "cloud"
        config = self.cloud_config = folder / "cloud.toml"
        config.write_text(f"schema = 1\n{cloud_config}")
        self.cloud = Child(
            "cloud",
            [
                *("cloud", "serve", "--data", str(self.cloud_data)),
                *("--http", f"127.0.0.1:{self.http_port}"),
                *("--broker", self.broker.url, "--config", str(config), *cloud_arguments),
            ],
            folder,
            environment={"SUYUAN_ADMIN_TOKEN": TOKEN},
        )
        self.site = folder / "site.toml"
        self.write_site(broker_port or self.broker.port, poll_interval_s)
        self.edge = Child(
            "edge-process",
            ["edge", "run", "--site", str(self.site), "--state", str(self.edge_state)],
            folder,
            prefix=edge_prefix,
        )
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=10,
        )

    def asset(self, lift: int) -> str:
        """Return the asset id of a lift, counted from 0."""
        return f"elevator:3110110992024{lift:07d}"

    def write_site(self, broker_port: int, poll_interval_s: float) -> None:
        """Write the gateway's site file."""
        lines = [
            "schema = 1",
            f'gateway_id = "{self.gateway}"',
            "[uplink]",
            f'broker = "mqtt://127.0.0.1:{broker_port}"',
            'username = ""',
            "[[buses]]",
            'id = "shaft-1"',
            'kind = "modbus_tcp"',
            'host = "127.0.0.1"',
            f"port = {self.lifts.port}",
            "timeout_s = 1.0",
        ]
        for lift in range(self.lifts.count):
            lines += [
                "  [[buses.devices]]",
                f'  asset = "{self.asset(lift)}"',
                f'  controller = "{self.lifts.controller}"',
                f"  unit_id = {lift + 1}",
                f"  poll_interval_s = {poll_interval_s}",
            ]
        self.site.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start everything and wait until the service is ready."""
        self.broker.start()
        self.lifts.start()
        self.cloud.start()
        self.wait_ready()
        self.edge.start()

    def wait_ready(self, timeout_s: float = 30) -> None:
        """Wait until the cloud is subscribed."""
        try:
            wait_until(
                lambda: self.http.get("/readyz").status_code == 200,
                timeout_s=timeout_s,
                what="cloud ready",
            )
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.cloud.tail()}") from None

    def stop(self) -> None:
        """End everything, whatever state it is in."""
        for child in (self.edge, self.cloud, self.lifts.child):
            child.kill()
        self.broker.kill()
        self.http.close()

    def get(self, path: str, **parameters: str | int) -> Any:
        """GET JSON."""
        answer = self.http.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    def latest(self, lift: int) -> dict[str, Any]:
        """Return the latest points of a lift."""
        points: dict[str, Any] = self.get(f"/api/v1/assets/{self.asset(lift)}/latest")["points"]
        return points

    def alarms(self, asset: str | None = None, alert: str | None = None) -> list[dict[str, Any]]:
        """Return all alarms, oldest first, that fit."""
        parameters = {"asset": asset} if asset else {}
        rows: list[dict[str, Any]] = self.get("/api/v1/alarms", limit=1000, **parameters)
        return sorted(
            (one for one in rows if alert in (None, one["alert"])), key=lambda one: one["id"]
        )

    def feed(self, after: int = 0, *, until_idle_s: float = 1.0) -> list[dict[str, Any]]:
        """Read the feed from an offset until nothing comes for a while."""
        items: list[dict[str, Any]] = []
        timeout = httpx.Timeout(10, read=until_idle_s)
        try:
            with self.http.stream(
                "GET", "/api/v1/feed", params={"after": after}, timeout=timeout
            ) as answer:
                items.extend(parse_events(answer.iter_lines()))
        except httpx.ReadTimeout:
            pass
        return items

    def ledger(self) -> list[dict[str, Any]]:
        """Return the gateway's ledger by spool and stream."""
        spools: list[dict[str, Any]] = self.get(f"/api/v1/gateways/{self.gateway}")["spools"]
        return spools


def parse_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Turn the lines of an SSE answer into {offset, event, data}."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields.get("data"):
            yield {
                "offset": int(fields["id"]),
                "event": fields.get("event"),
                "data": json.loads(fields["data"]),
            }
            fields = {}


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Start a stack for the length of a block."""
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
