"""Configuration and commands from afar: real gateway, broker and cloud."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.trust.signing import anchors
from tests.support.stack import Stack, running, wait_until

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path, lifts=2, poll_interval_s=0.2)
    trust(stack)
    with running(stack):
        wait_until(lambda: online(stack), timeout_s=20, what="gateway online")
        yield stack


def trust(stack: Stack) -> None:
    """Let the gateway trust the cloud's signing key, as enrolment does."""
    identity = stack.edge_state / "identity"
    identity.mkdir(parents=True)
    keys = [key.hex() for key in anchors(stack.cloud_data)]
    (identity / "anchors.json").write_text(json.dumps({"schema": 1, "keys": keys}))


def online(stack: Stack) -> bool:
    return bool(stack.get(f"/api/v1/gateways/{stack.gateway}")["online"])


def ask(stack: Stack, op: str, **args: Any) -> dict[str, Any]:
    """Send a command and wait for its end."""
    path = f"/api/v1/gateways/{stack.gateway}/commands"
    answer = stack.http.post(path, json={"op": op, "args": args, "expires_in_s": 10})
    assert answer.status_code == 202, answer.text
    entry = answer.json()["id"]

    def ended() -> dict[str, Any]:
        found: dict[str, Any] = stack.get(f"{path}/{entry}")
        return found if found["state"] in ("done", "failed", "expired") else {}

    return wait_until(ended, timeout_s=12, what=op)


def push(stack: Stack, site: str, **overlay: str) -> int:
    answer = stack.http.post(
        f"/api/v1/gateways/{stack.gateway}/config", json={"site": site, "overlay": overlay}
    )
    assert answer.status_code == 202, answer.text
    return int(answer.json()["version"])


def outcome(stack: Stack, version: int, timeout_s: float = 15) -> dict[str, Any]:
    def ended() -> dict[str, Any]:
        (found,) = [
            one
            for one in stack.get(f"/api/v1/gateways/{stack.gateway}/config")
            if one["version"] == version
        ]
        return found if found["state"] not in ("pending", "sent", "trying") else {}

    return wait_until(ended, timeout_s=timeout_s, what=f"outcome of {version}")


def test_commands_are_answered(stack: Stack) -> None:
    assert ask(stack, "ping")["state"] == "done"
    status = ask(stack, "status")["result"]
    assert (status["gateway_id"], status["config_version"]) == (stack.gateway, 0)
    lift = stack.asset(1)
    read = ask(stack, "read_registers", asset=lift, table="holding_register", address=0, count=4)
    assert len(read["result"]["registers"]) == 4
    assert ask(stack, "log_tail", lines=5)["result"]["lines"]
    assert ask(stack, "restart_source", source="shaft-1")["state"] == "done"
    assert ask(stack, "set_rate", asset=lift, poll_interval_s=0.1, for_s=2)["state"] == "done"
    refused: dict[str, dict[str, Any]] = {
        "write": {},
        "restart_source": {"source": "no"},
        "set_rate": {"asset": "elevator:no", "poll_interval_s": 1},
        "read_registers": {"asset": lift, "table": "holding_register", "address": 0, "count": 999},
    }
    reasons = {op: ask(stack, op, **args)["result"]["reason"] for op, args in refused.items()}
    assert reasons == {
        "write": "unknown_op",
        "restart_source": "unknown_source",
        "set_rate": "unknown_asset",
        "read_registers": "bad_args",
    }


def test_configuration_is_applied_refused_and_taken_back(stack: Stack) -> None:
    good = stack.site.read_text() + "[remote]\nproof_s = 3\n"
    assert outcome(stack, push(stack, good))["state"] == "applied"

    faulty = good.replace("poll_interval_s = 0.2", "poll_interval_s = 0.0001")
    refused = outcome(stack, push(stack, faulty))
    assert (refused["state"], refused["reason"]) == ("refused", "site_faults")
    assert "poll_interval_s" in refused["detail"]

    elsewhere = good.replace(str(stack.broker.port), "1")
    back = outcome(stack, push(stack, elsewhere))
    assert (back["state"], back["reason"]) == ("rolled_back", "no_link")
    assert ask(stack, "status")["result"]["config_version"] == 1

    stack.edge.kill()
    stack.edge.start()
    assert ask(stack, "status")["result"]["config_version"] == 1
    stack.edge.stop()
    stack.site.write_text(stack.site.read_text() + "# by hand\n")
    stack.edge.start()
    assert ask(stack, "status")["result"]["config_version"] == 0
    assert outcome(stack, 1)["state"] == "superseded"
    assert outcome(stack, push(stack, good))["state"] == "applied"


def test_what_stays_the_same_misses_no_poll(stack: Stack) -> None:
    text = stack.site.read_text() + "[remote]\nproof_s = 3\n"
    second = text[text.index("[[buses]]") : text.index("[remote]")]
    second = second.replace("shaft-1", "shaft-2").replace("elevator:3110", "elevator:9110")
    before = ask(stack, "status")["result"]
    assert outcome(stack, push(stack, text + second))["state"] == "applied"
    assert outcome(stack, push(stack, text))["state"] == "applied"
    after = ask(stack, "status")["result"]
    polls = [one["sources"]["shaft-1"]["counters"] for one in (before, after)]
    expected = 2 * (after["uptime_s"] - before["uptime_s"]) / 0.2
    assert abs(polls[1]["polls_due"] - polls[0]["polls_due"] - expected) <= 4
    assert polls[1]["read_link_down"] == polls[0]["read_link_down"]
    assert set(after["sources"]) == {"shaft-1"}
