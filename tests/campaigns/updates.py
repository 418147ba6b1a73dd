"""A hundred software updates of one gateway: good, broken, tampered with; with kills.

After each the gateway must run the last good release or, where it was good, the new one; it must
come up within few starts; and its card must have lost nothing.
"""

import random
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from edge.remote.launch import TRIAL
from edge.status import read_status
from tests.support.field import Field, online
from tests.support.stack import wait_until

GOOD = "good"
BROKEN = ("dies", "deaf", "mute", "no_check")
HOSTILE = ("bad_hash", "unsigned", "stale")
KINDS = (*(GOOD,) * 8, *BROKEN, *BROKEN, *HOSTILE)
KILLED_SHARE = 0.5
PROOF_S = 8.0
STARTS_MAX = 6
"""So often the gateway may end in one update beside those times that it is killed."""


class Updates:
    """One campaign."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.field = Field(folder, proof_s=PROOF_S)
        self.stack = self.field.stack
        self.last_good = "1.0.0"
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.kills = 0
        self._stale: dict[str, Any] | None = None

    def run(self, count: int) -> None:
        """Make so many updates."""
        self.stack.start()
        wait_until(lambda: online(self.stack), timeout_s=60, what="gateway online")
        for number in range(1, count + 1):
            kind = self.rng.choice(KINDS)
            kills = self.rng.choice((1, 1, 2)) if self.rng.random() < KILLED_SHARE else 0
            ended, before = self._ended(), self.kills
            try:
                self._one(kind, kills=kills)
            except (TimeoutError, AssertionError, httpx.HTTPError) as error:
                self.faults.append(f"{number} {kind} kills={kills}: {error}")
            self.done[kind] += 1
            loops = self._ended() - ended - (self.kills - before)
            if loops > STARTS_MAX:
                self.faults.append(f"{number} {kind}: the gateway ended {loops} times")
            if not self.field.gateway.running():
                self.faults.append(f"{number} {kind}: the launcher ended by itself")
                self.field.gateway.start()
            print(f"\r  update {number}/{count}: {kind:10} faults {len(self.faults)}", end="")
        print()

    def _one(self, kind: str, *, kills: int) -> None:
        good = None
        if kind in HOSTILE:
            self._hostile(kind)
        else:
            release = self.field.release("" if kind == GOOD else kind)
            good = release.version if kind == GOOD else None
            rollout = self.field.roll_out(release.serial, timeout_s=120, failures_max=1)
            for _ in range(kills):
                self._kill()
            state = self.field.wait_end(rollout, 150)
            self._expect(kind, state, kills)
        self._expect_running(good)

    def _expect(self, kind: str, member: dict[str, Any], kills: int) -> None:
        if kind == GOOD and not kills:
            assert member["state"] == "updated", member
        if kind != GOOD:
            assert member["state"] == "failed", member

    def _expect_running(self, good: str | None) -> None:
        allowed = {self.last_good, good}

        def settled() -> str:
            found = read_status(self.stack.edge_state) or {}
            quiet = not (self.field.base / TRIAL).exists()
            up = found.get("running") and found["link"]["up"]
            return str(found["version"]) if quiet and up else ""

        version = wait_until(settled, timeout_s=60, what="the gateway runs, nothing is on trial")
        assert version in allowed, f"runs {version}, expected one of {allowed}"
        self.last_good = version

    def _kill(self) -> None:
        """Kill the gateway, or it and the launcher as a power cut does, at any moment."""
        time.sleep(self.rng.uniform(0, 9))
        self.kills += 1
        with suppress(FileNotFoundError):
            if self.rng.random() < 0.5 and self.field.gateway.kill_gateway():
                return
        self.field.gateway.kill()
        time.sleep(self.rng.uniform(0, 0.5))
        self.field.gateway.start()

    def _hostile(self, kind: str) -> None:
        release = self.field.release()
        url = f"http://127.0.0.1:{self.stack.http_port}/releases/{release.serial}"
        manifest = self.field.releases.manifest(release.serial)
        if kind == "bad_hash":
            wheel = self.field.releases.file(release.serial, release.wheels[0].name)
            raw = bytearray(wheel.read_bytes())
            raw[self.rng.randrange(len(raw))] ^= 1
            wheel.write_bytes(raw)
            found = self.field.wait_end(self.field.roll_out(release.serial), 60)
            assert found["detail"].startswith("bad_hash"), found
            return
        if kind == "unsigned":
            manifest = manifest.replace(release.version, "6.6.6")
        args = {"manifest": manifest, "url": url}
        if kind == "stale":
            self._stale, args = self._stale or args, self._stale or args
        answer = self._order(args)
        if kind == "unsigned":
            assert answer["result"]["reason"] == "bad_signature", answer
        elif answer["state"] == "done":  # the first of them is not stale yet
            self._wait_idle()
        else:
            assert answer["result"]["reason"] == "stale", answer

    def _order(self, args: dict[str, Any]) -> dict[str, Any]:
        path = f"/api/v1/gateways/{self.stack.gateway}/commands"
        answer = self.stack.http.post(path, json={"op": "update", "args": args})
        assert answer.status_code == 202, answer.text

        def ended() -> dict[str, Any]:
            found: dict[str, Any] = self.stack.get(f"{path}/{answer.json()['id']}")
            return found if found["state"] in ("done", "failed", "expired") else {}

        return wait_until(ended, timeout_s=60, what="the answer to update")

    def _wait_idle(self) -> None:
        """Let an update that was taken after all come to its end."""
        before = self.last_good
        wait_until(
            lambda: (
                (read_status(self.stack.edge_state) or {}).get("version") not in (None, before)
                and not (self.field.base / TRIAL).exists()
            ),
            timeout_s=60,
            what="the end of an update",
        )
        self.last_good = str((read_status(self.stack.edge_state) or {})["version"])

    def _ended(self) -> int:
        log = self.stack.folder / "launched.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return text.count("launch: the gateway ended with")
