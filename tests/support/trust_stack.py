"""Authority, broker with certificates, service and gateways, all by our own commands."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from cloud.trust.authority import load_authority, make_key, to_pem
from edge.identity.asking import ask
from edge.identity.enrol import enrol
from protocols.clock import SystemClock
from tests.support.mosquitto import free_port, wait_for_port
from tests.support.stack import ROOT, TOKEN, Child, wait_until

SITE = """\
schema = 1
gateway_id = "{gateway}"
"""


class TrustStack:
    """Everything in one folder; gateways are added by `gateway`."""

    def __init__(self, folder: Path, *, cloud_config: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data = folder, folder / "data"
        self.port, self.service_port, self.http_port = free_port(), free_port(), free_port()
        config = folder / "cloud.toml"
        config.write_text(f"schema = 1\n{cloud_config}")
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.broker = Child("broker", ["cloud", "broker", "--data", str(self.data)], folder)
        self.cloud = Child(
            "cloud",
            [
                *("cloud", "serve", "--data", str(self.data)),
                *("--http", f"127.0.0.1:{self.http_port}", "--config", str(config)),
                *("--broker", f"mqtts://127.0.0.1:{self.service_port}"),
            ],
            folder,
            environment={"SUYUAN_ADMIN_TOKEN": TOKEN},
        )
        self.gateways: dict[str, Child] = {}
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
        )

    def start(self) -> None:
        """Make the authority; start broker and service."""
        self.init()
        self.start_broker()
        self.cloud.start()
        self.wait_ready()

    def init(self) -> None:
        """Make the authority."""
        self.call(
            *("cloud", "ca", "init", "--data", str(self.data), "--name", "127.0.0.1"),
            *("--port", str(self.port), "--service-port", str(self.service_port)),
        )

    def certify(self, *names: str) -> None:
        """Write `NAME.crt` and `NAME.key` of the authority, without any enrolment."""
        authority, now_ms = load_authority(self.data / "ca"), SystemClock().wall_ms()
        for name in names:
            key = make_key(self.folder / f"{name}.key")
            made = authority.sign(key.public_key(), name, usage="client", now_ms=now_ms, days=1)
            (self.folder / f"{name}.crt").write_text(to_pem(made))

    def start_broker(self) -> None:
        """Start the broker and wait until it listens."""
        self.broker.start()
        assert self.broker.process is not None
        for port in (self.port, self.service_port):
            wait_for_port(port, self.broker.process)

    def wait_ready(self) -> None:
        """Wait until the service is subscribed."""
        wait_until(
            lambda: self.http.get("/readyz").status_code == 200, timeout_s=30, what="cloud ready"
        )

    def stop(self) -> None:
        """End everything."""
        for child in [*self.gateways.values(), self.cloud]:
            child.kill()
        if self.broker.running():
            self.broker.stop()
        self.http.close()

    @staticmethod
    def call(
        *arguments: str, expect: int = 0, prefix: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run one of our programs to its end."""
        done = subprocess.run(
            [*prefix, sys.executable, "-m", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=60,
        )
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done

    def invite(self, gateway: str, *more: str) -> str:
        """Return a new code."""
        done = self.call("cloud", "gateway", "invite", gateway, "--data", str(self.data), *more)
        return done.stdout.strip()

    def state(self, gateway: str, card: str = "") -> Path:
        """Return a gateway's state folder; `card` tells several of one id apart."""
        return self.folder / f"{gateway}{card}"

    def enrol(self, gateway: str, card: str = "") -> Path:
        """Invite and enrol over HTTP, without a process; returns the state folder."""
        answer = self.http.post(f"/api/v1/gateways/{gateway}/invite")
        answer.raise_for_status()
        state = self.state(gateway, card)
        enrol(self.url, answer.json()["code"], state, ask)
        return state

    def enrol_by_command(self, gateway: str, *, prefix: Sequence[str] = ()) -> None:
        """The same by our two commands, as people type them."""
        told = ("--server", self.url, "--code", self.invite(gateway))
        self.call("edge", "enroll", *told, "--state", str(self.state(gateway)), prefix=prefix)

    def run_gateway(
        self, gateway: str, card: str = "", *, buses: str = "", prefix: Sequence[str] = ()
    ) -> Child:
        """Start the daemon of an enrolled gateway."""
        state = self.state(gateway, card)
        site = state / "site.toml"
        if buses:
            site.write_text(SITE.format(gateway=gateway) + buses)
        name = f"{gateway}{card}"
        child = self.gateways[name] = Child(
            f"{name}-process",
            ["edge", "run", "--site", str(site), "--state", str(state)],
            self.folder,
            prefix=prefix,
        )
        child.start()
        return child

    def status(self, gateway: str, card: str = "") -> dict[str, Any]:
        """Return what the daemon tells of itself."""
        from edge.status import read_status

        return read_status(self.state(gateway, card)) or {}

    def get(self, path: str) -> Any:
        """GET JSON."""
        answer = self.http.get(path)
        answer.raise_for_status()
        return answer.json()

    def records(self, gateway: str) -> int:
        """Count the records of a gateway that are in the log."""
        answer = self.http.get(f"/api/v1/gateways/{gateway}")
        if answer.status_code != 200:
            return 0
        return sum(spool["records"] for spool in answer.json()["spools"])

    def metric(self, name: str) -> float:
        """Return a figure of /metrics, 0 when it is not there yet."""
        text = self.http.get("/metrics").text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@contextmanager
def trusting(folder: Path, **options: Any) -> Iterator[TrustStack]:
    """Run a stack for the length of a block."""
    stack = TrustStack(folder, **options)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
