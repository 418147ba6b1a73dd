"""Two hundred configurations for one gateway: good, faulty, hostile, unhealthy; with kills.

After each the gateway must run with the last good configuration or, after a kill, the new one; it
must never end by itself; and a bus of which nothing new was said must not have stopped polling.
"""

import json
import random
import socket
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from paho.mqtt import publish

from cloud.trust.signing import sign
from edge.status import read_status
from protocols.signed import SIGNED_BYTES_MAX, Configuration, seal
from protocols.topics import of
from tests.support.field import online, trust
from tests.support.mosquitto import free_port
from tests.support.stack import Stack, wait_until

PROOF_S = 3
GOOD, ELSEWHERE = "good", "elsewhere"
HOSTILE = {
    "unsigned": "unsigned",
    "foreign_key": "unknown_key",
    "broken_signature": "bad_signature",
    "other_gateway": "foreign_gateway",
    "renamed": "changes_gateway_id",
    "stale": "stale",
    "late": "expired",
    "dotted": "bad_path",
    "absolute": "bad_path",
    "faulty": "site_faults",
    "unknown_controller": "site_faults",
    "large": "too_large",
    "garbage": "malformed",
    "other_purpose": "wrong_purpose",
}
"""What somebody may put on the topic, and the gateway's word for it."""
KINDS = (*(GOOD,) * 12, *(ELSEWHERE,) * 4, *HOSTILE)
KILLED_SHARE = 0.35


class Pushes:
    """One campaign."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.stack = Stack(folder, lifts=2, poll_interval_s=0.2)
        trust(self.stack)
        self.last_good = 0
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.kills = 0
        self._old: bytes = b""
        self._sequence = 0
        self.stack.site.write_text(self._site(0.2, self.stack.broker.port))

    def run(self, count: int) -> None:
        """Push so many configurations."""
        self.stack.start()
        wait_until(lambda: online(self.stack), timeout_s=30, what="gateway online")
        for number in range(1, count + 1):
            kind = self.rng.choice(KINDS)
            if kind == "stale" and not self._old:
                kind = GOOD
            killed = self.rng.random() < KILLED_SHARE
            try:
                self._one(kind, killed=killed)
            except (TimeoutError, AssertionError) as error:
                self.faults.append(f"{number} {kind} killed={killed}: {error}")
            self.done[kind] += 1
            if not self.stack.edge.running():
                self.faults.append(f"{number} {kind}: the gateway ended by itself")
                self.stack.edge.start()
            print(f"\r  push {number}/{count}: {kind:20} faults {len(self.faults)}", end="")
        print()

    def _one(self, kind: str, *, killed: bool) -> None:
        polls = self._polls()
        if kind in HOSTILE:
            version = 0
            told = self._refusals()
            self._publish(self._hostile(kind))
        else:
            version = self._push(self._good_site(kind))
        if killed:
            self._kill()
        if kind in HOSTILE:
            self._expect_refusal(kind, told, killed=killed)
        else:
            self._expect_outcome(kind, version, killed=killed)
        self._expect_running(polls, killed=killed)

    def _expect_outcome(self, kind: str, version: int, *, killed: bool) -> None:
        state = wait_until(
            partial(self._state_of, version), timeout_s=40, what=f"outcome of {kind} {version}"
        )
        if kind == GOOD and state == "applied":
            self.last_good = version
            self._old = self._document(version)
        elif kind == GOOD and not killed:
            raise AssertionError(f"a good configuration ended as {state}")
        elif kind == ELSEWHERE and state != "rolled_back":
            raise AssertionError(f"an unhealthy configuration ended as {state}")

    def _expect_refusal(self, kind: str, told: int, *, killed: bool) -> None:
        if killed:  # it is retained and comes again, or was remembered as refused
            time.sleep(1)
        else:
            wait_until(lambda: self._refusals() > told, timeout_s=30, what=f"refusal of {kind}")
        self._publish(b"")

    def _expect_running(self, polls: int, *, killed: bool) -> None:
        wait_until(
            lambda: self._status().get("config_version") == self.last_good,
            timeout_s=20,
            what=f"configuration {self.last_good} in effect, found {self._status()}"[:200],
        )
        if self.last_good:
            told = self._state_of(self.last_good)
            assert told == "applied", f"the cloud thinks that {self.last_good} is {told}"
        if not killed:
            now = self._polls()
            assert now >= polls, f"the bus of which nothing was said started anew: {polls}, {now}"

    def _kill(self) -> None:
        time.sleep(self.rng.choice((0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6, 3.2)))
        self.stack.edge.kill()
        self.kills += 1
        self.stack.edge.start()
        wait_until(lambda: self._status().get("running"), timeout_s=30, what="gateway runs again")

    # --- what is pushed ------------------------------------------------------------------------

    def _good_site(self, kind: str) -> str:
        port = self.stack.broker.port if kind == GOOD else _closed_port()
        return self._site(self.rng.choice((0.1, 0.2, 0.3, 0.5)), port)

    def _site(self, poll_interval_s: float, broker_port: int) -> str:
        self._sequence += 1
        lines = [
            f"schema = 1  # {self._sequence}",
            f'gateway_id = "{self.stack.gateway}"',
            f'[uplink]\nbroker = "mqtt://127.0.0.1:{broker_port}"',
            f"[remote]\nproof_s = {PROOF_S}",
        ]
        for lift, interval_s in enumerate((0.2, poll_interval_s)):
            lines += [
                f'[[buses]]\nid = "shaft-{lift}"\nkind = "modbus_tcp"\nhost = "127.0.0.1"',
                f"port = {self.stack.lifts.port}",
                f'[[buses.devices]]\nasset = "{self.stack.asset(lift)}"\nunit_id = {lift + 1}',
                f'controller = "gbt24476-adapter"\npoll_interval_s = {interval_s}',
            ]
        return "\n".join(lines) + "\n"

    def _hostile(self, kind: str) -> bytes:
        document = self._hostile_document(kind)
        if kind == "stale":
            other = b'"schema": 1,' + b" " * self._sequence  # a repeated one is only counted
            return self._old.replace(b'"schema":1,', other)
        if kind == "garbage":
            return self.rng.randbytes(self.rng.randrange(1, 4000))
        keys = self.stack.cloud_data
        if kind == "foreign_key":
            keys = self.stack.folder / "stranger"
        purpose = "release" if kind == "other_purpose" else "config"
        raw = seal(purpose, document, partial(sign, keys))  # type: ignore[arg-type]
        signed = json.loads(raw)
        if kind == "unsigned":
            signed["signatures"] = []
        if kind == "broken_signature":
            signed["body"] = signed["body"].replace("proof_s = 3", "proof_s = 4")
        return json.dumps(signed).encode()

    def _hostile_document(self, kind: str) -> Configuration:
        site = self._site(0.2, self.stack.broker.port)
        gateway, overlay, not_after = self.stack.gateway, {}, None
        if kind == "other_gateway":
            gateway = "gw-of-somebody-else"
        if kind == "renamed":
            site = site.replace(self.stack.gateway, "gw-of-somebody-else")
        if kind == "late":
            not_after = time.time_ns() // 1_000_000 - 1
        if kind == "dotted":
            overlay = {self.rng.choice(("../x.toml", "controllers/../../x.toml", "a/..toml")): ""}
        if kind == "absolute":
            overlay = {self.rng.choice(("/etc/x.toml", "//x.toml", "controllers/x.sh")): ""}
        if kind == "faulty":
            site = self.rng.choice((site + "nonsense = 1\n", site[:-40], site.replace("0.2", "-1")))
        if kind == "unknown_controller":
            site = site.replace("gbt24476-adapter", "nobody-knows")
        if kind == "large":
            overlay = {"controllers/x.toml": "# " + "x" * SIGNED_BYTES_MAX}
        return Configuration(
            gateway_id=gateway,
            version=1_000_000 + self._sequence,
            issued_at=0,
            not_after=not_after,
            site=site,
            overlay=overlay,
        )

    # --- what is there -------------------------------------------------------------------------

    def _push(self, site: str) -> int:
        answer = self.stack.http.post(self._path("config"), json={"site": site})
        assert answer.status_code == 202, answer.text
        return int(answer.json()["version"])

    def _publish(self, payload: bytes) -> None:
        publish.single(
            of(self.stack.gateway, "down/config"),
            payload,
            qos=1,
            retain=True,
            hostname="127.0.0.1",
            port=self.stack.broker.port,
        )

    def _path(self, leaf: str) -> str:
        return f"/api/v1/gateways/{self.stack.gateway}/{leaf}"

    def _state_of(self, version: int) -> str:
        rows = self.stack.get(self._path("config"), limit=100)
        state = next(row["state"] for row in rows if row["version"] == version)
        return "" if state in ("pending", "sent", "trying") else str(state)

    def _document(self, version: int) -> bytes:
        """Return the signed document as it was published."""
        from cloud.model import tables
        from cloud.model.database import Database

        database = Database(f"sqlite:///{self.stack.cloud_data / 'state.db'}", name="look")
        table = tables.config_push
        query = table.select().where(table.c.version == version)
        row = database.read_now(lambda c: c.execute(query).one())
        database.close()
        return bytes(row.document.encode())

    def _refusals(self) -> int:
        """Count what the gateway says that it refused; after a kill it counts anew."""
        return int(self._status().get("counters", {}).get("configs_refused", 0))

    def _polls(self) -> int:
        source = self._status().get("sources", {}).get("shaft-0", {})
        return int(source.get("counters", {}).get("polls_due", 0))

    def _status(self) -> dict[str, Any]:
        found = read_status(self.stack.edge_state) or {}
        return found if found.get("running") else {}


def _closed_port() -> int:
    port = free_port()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port))
    return port
