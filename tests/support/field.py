"""A gateway that runs from two environments under the launcher, and its releases in the cloud."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from cloud.remote.releases import Releases
from cloud.trust.signing import anchors, sign
from edge.remote import launch
from protocols.signed import Release
from tests.support.stack import Child, Stack, wait_until
from tests.support.wheels import make_environment, make_release


class Launched(Child):
    """The launcher with its gateway, in a process group of their own."""

    def __init__(self, stack: Stack, base: Path, proof_s: float) -> None:
        super().__init__("launched", [], stack.folder)
        self._script = base / "launch.py"
        self._words = [
            *("--environments", str(base), "--proof-s", str(proof_s), "--"),
            *("run", "--site", str(stack.site), "--state", str(stack.edge_state)),
        ]

    def start(self) -> None:
        """Start it; its output goes to `launched.log`."""
        with (self._folder / "launched.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(self._script), *self._words],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def kill_gateway(self) -> bool:
        """Kill the gateway alone, not the launcher; False when none runs."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        return bool(children)


class Field:
    """A stack whose gateway updates itself."""

    def __init__(self, folder: Path, *, proof_s: float = 15.0) -> None:
        self.stack = Stack(folder, lifts=2, poll_interval_s=0.5)
        self.base = folder / "environments"
        self.releases = Releases(self.stack.cloud_data / "releases")
        self._versions = 0
        site = self.stack.site
        site.write_text(site.read_text() + "[remote]\nproof_s = 4\n")
        trust(self.stack)
        wheels = make_release(folder / "first", "1.0.0")
        make_environment(self.base / "a", wheels)
        (self.base / "launch.py").write_bytes(Path(launch.__file__).read_bytes())
        self.gateway = Launched(self.stack, self.base, proof_s)
        self.stack.edge = self.gateway  # what a stack starts and stops

    def release(self, poison: str = "") -> Release:
        """Make and sign the next release."""
        self._versions += 1
        folder = self.stack.folder / f"wheels-{self._versions}"
        wheels = make_release(folder, f"1.0.{self._versions}", poison)
        return self.releases.add(
            wheels,
            requires_python=">=3.11",
            issued_at=time.time_ns() // 1_000_000,
            sign=partial(sign, self.stack.cloud_data),
        )

    def roll_out(self, serial: int, **fields: object) -> int:
        """Begin a rollout to the gateway; return its id."""
        body = {"serial": serial, "stages": [], "gateways": [self.stack.gateway], **fields}
        answer = self.stack.http.post("/api/v1/rollouts", json=body)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["id"])

    def member(self, rollout: int) -> dict[str, Any]:
        """Return what is known of the gateway in a rollout."""
        found: dict[str, Any] = self.stack.get(f"/api/v1/rollouts/{rollout}")["gateways"][0]
        return found

    def wait_end(self, rollout: int, timeout_s: float) -> dict[str, Any]:
        """Wait until the gateway was updated, or failed."""

        def ended() -> dict[str, Any]:
            found = self.member(rollout)
            return found if found["state"] in ("updated", "failed") else {}

        return wait_until(ended, timeout_s=timeout_s, what=f"end of rollout {rollout}")

    def version(self) -> str:
        """Return the version that runs, as the gateway says."""
        return str(self.stack.get(f"/api/v1/gateways/{self.stack.gateway}")["version"])


def trust(stack: Stack) -> None:
    """Let the gateway trust the cloud's signing keys, as enrolment does."""
    identity = stack.edge_state / "identity"
    identity.mkdir(parents=True, exist_ok=True)
    keys = [key.hex() for key in anchors(stack.cloud_data)]
    (identity / "anchors.json").write_text(json.dumps({"schema": 1, "keys": keys}))


def online(stack: Stack) -> bool:
    """Tell whether the cloud sees the gateway."""
    return bool(stack.get(f"/api/v1/gateways/{stack.gateway}")["online"])
