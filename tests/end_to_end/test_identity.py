"""Gateways with certificates, from the invitation on, as real processes."""

import json
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.topics import of
from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import TOKEN, Lifts, wait_until
from tests.support.trust_stack import TrustStack, trusting

pytestmark = pytest.mark.skipif(
    not Path(MOSQUITTO).exists(), reason="mosquitto is not installed (Debian: mosquitto)"
)

SHORT = "[trust]\ncertificate_days = 0.00018\n"
"""16 s: renewed after 10 to 12."""
BUS = """
[[buses]]
id = "shaft-1"
kind = "modbus_tcp"
host = "127.0.0.1"
port = {port}
timeout_s = 1.0
  [[buses.devices]]
  asset = "elevator:31101109920240000"
  controller = "gbt24476-adapter"
  unit_id = 1
  poll_interval_s = 0.2
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrustStack]:
    """One for all tests; each has gateways of its own."""
    with trusting(tmp_path_factory.mktemp("trust")) as one:
        one.enrol_by_command("gw-1")
        for gateway in ("gw-revoked", "gw-replaced"):
            one.enrol(gateway)
        for gateway in ("gw-1", "gw-revoked", "gw-replaced"):  # they start side by side
            one.run_gateway(gateway)
        yield one


def _in_log(stack: TrustStack, gateway: str, more_than: int = 0) -> int:
    """Wait until more records of a gateway are in the log; returns how many."""
    wait_until(
        lambda: stack.records(gateway) > more_than,
        timeout_s=20,
        what=f"records of {gateway} in the log",
    )
    return stack.records(gateway)


def _refusals_of(stack: TrustStack, who: str) -> dict[tuple[str, str], int]:
    refusals = stack.get("/api/v1/refusals")
    return {(one["kind"], one["what"]): one["count"] for one in refusals if one["who"] == who}


def _as_gateway(stack: TrustStack, gateway: str) -> mqtt.Client:
    """Connect with the certificate of an enrolled gateway."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="whatever")
    folder = stack.state(gateway) / "identity"
    ca, certificate, key = (str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    client.tls_set(ca, certificate, key)
    client.connect("127.0.0.1", stack.port)
    client.loop_start()
    wait_until(client.is_connected, timeout_s=5, what="connection")
    return client


def test_enrol_run_and_the_batch_is_in_the_log(stack: TrustStack) -> None:
    key = stack.state("gw-1") / "identity" / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    _in_log(stack, "gw-1")
    status = stack.status("gw-1")
    assert status["link"]["broker"] == f"mqtts://127.0.0.1:{stack.port}"
    assert status["identity"]["certificate_until"]


def test_gateway_that_pretends_is_refused_and_seen(stack: TrustStack) -> None:
    """It writes as another, and asks for the acks of another: the broker lets nothing through."""
    stack.enrol("gw-intruder")
    alarm, ack = of("gw-victim", "up/alarm"), of("gw-victim", "down/ack")
    client = _as_gateway(stack, "gw-intruder")
    for _ in range(3):
        client.publish(alarm, b"{}", 1).wait_for_publish(5)
    client.subscribe(ack, 1)
    wait_until(
        lambda: len(_refusals_of(stack, "gw-intruder")) == 2, timeout_s=10, what="the refusals"
    )
    client.disconnect()
    client.loop_stop()
    told = _refusals_of(stack, "gw-intruder")
    assert told == {("publish", alarm): 3, ("subscribe", ack): 1}
    assert stack.metric('suyuan_broker_refusals_total{kind="publish"}') >= 3
    stack.http.post("/login", data={"token": TOKEN})
    assert alarm in stack.http.get("/fleet").text
    assert stack.http.get("/api/v1/gateways/gw-victim").status_code == 404


def test_revoked_gateway_is_cut_off_and_told_what_to_do(stack: TrustStack) -> None:
    _in_log(stack, "gw-revoked")
    done = stack.call("cloud", "gateway", "revoke", "gw-revoked", "--data", str(stack.data))
    assert done.stdout == "gw-revoked: 1 certificates revoked; its connection was ended\n"
    wait_until(
        lambda: "was revoked" in stack.status("gw-revoked")["link"]["why"],
        timeout_s=15,
        what="the gateway told why",
    )
    assert not stack.status("gw-revoked")["link"]["up"]
    listed = stack.call("cloud", "gateway", "list", "--data", str(stack.data)).stdout
    assert "gw-revoked: revoked 2" in listed


def test_replaced_gateway_takes_the_place_of_the_old_one(stack: TrustStack) -> None:
    first = _in_log(stack, "gw-replaced")
    stack.enrol("gw-replaced", "-new")
    stack.run_gateway("gw-replaced", "-new")
    _in_log(stack, "gw-replaced", first)
    wait_until(
        lambda: "revoked" in stack.status("gw-replaced")["link"]["why"],
        timeout_s=15,
        what="the old card is out",
    )
    assert stack.status("gw-replaced", "-new")["link"]["up"]


def test_certificate_is_renewed_under_load_and_nothing_is_lost(tmp_path: Path) -> None:
    with trusting(tmp_path, cloud_config=SHORT) as stack:
        lifts = Lifts(tmp_path, 1, "gbt24476-adapter")
        lifts.start()
        try:
            stack.enrol("gw-1")
            certificate = stack.state("gw-1") / "identity" / "cert.pem"
            first = certificate.read_text()
            stack.run_gateway("gw-1", buses=BUS.format(port=lifts.port))
            _in_log(stack, "gw-1")
            wait_until(
                lambda: certificate.read_text() != first, timeout_s=45, what="a new certificate"
            )
            wait_until(
                lambda: stack.status("gw-1")["counters"]["connects"] >= 2,
                timeout_s=10,
                what="the link with it",
            )
            _in_log(stack, "gw-1", stack.records("gw-1"))
            assert stack.gateways["gw-1"].stop() == 0
            _check_account(stack.get("/api/v1/gateways/gw-1"))
        finally:
            lifts.child.kill()


def _check_account(gateway: dict[str, Any]) -> None:
    """Every batch up to the newest is stored, without a hole, and none is declared lost."""
    for spool in gateway["spools"]:
        assert spool["received"] == []
        assert spool["batches"] == spool["through"]
        assert spool["declared_lost"] == 0


def test_gateway_without_a_clock_enrols_and_sends(stack: TrustStack) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed (Debian: apt-get install faketime)")
    prefix = ("env", "DONT_FAKE_MONOTONIC=1", "faketime", "-f", "@1970-01-01 00:01:00")
    stack.enrol_by_command("gw-1970", prefix=prefix)
    stack.run_gateway("gw-1970", prefix=prefix)
    _in_log(stack, "gw-1970")
    clock = wait_until(
        lambda: stack.status("gw-1970")["clock"]["state"] == "synced",
        timeout_s=10,
        what="the time from the cloud",
    )
    assert clock
    assert stack.status("gw-1970")["counters"]["certificate_renewals_failed"] == 0


def test_what_is_typed_wrong_is_told(stack: TrustStack) -> None:
    """A code that was used, no server, no site file: a line each, and the exit code."""
    code = stack.invite("gw-typed")
    there = ("--server", stack.url, "--code", code)
    stack.call("edge", "enroll", *there, "--state", str(stack.state("gw-typed")))
    again = stack.call("edge", "enroll", *there, "--state", str(stack.folder / "other"), expect=2)
    assert "refused: code_used" in again.stderr
    away = ("--server", "http://127.0.0.1:9", "--code", code)
    done = stack.call("edge", "enroll", *away, "--state", str(stack.folder / "other"), expect=1)
    assert "try again with the same code" in done.stderr
    state = stack.state("gw-typed")
    missing = ("--site", str(state / "nowhere.toml"), "--state", str(state))
    done = stack.call("edge", "run", *missing, expect=1)
    assert f"use --site {state / 'site.toml'}" in done.stderr


def test_tls_alone_lets_nobody_in(stack: TrustStack) -> None:
    """Without a certificate there is no session at all."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gw-1", reconnect_on_failure=False)
    client.tls_set(str(stack.data / "ca" / "ca.crt"), cert_reqs=ssl.CERT_REQUIRED)
    client.connect("127.0.0.1", stack.port)
    for _ in range(20):
        if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
            break
    assert not client.is_connected()
    wait_until(
        lambda: any(
            kind == "certificate" and "not return a certificate" in what
            for kind, what in _refusals_of(stack, "127.0.0.1")
        ),
        timeout_s=5,
        what="the refusal",
    )


def test_enrolled_gateway_takes_configuration_and_answers(
    stack: TrustStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYUAN_ADMIN_TOKEN", TOKEN)
    stack.enrol("gw-remote")
    stack.run_gateway("gw-remote")
    wait_until(lambda: stack.status("gw-remote").get("running"), timeout_s=20, what="gateway runs")
    site = tmp_path / "pushed.toml"
    site.write_text('schema = 1\ngateway_id = "gw-remote"\n[remote]\nproof_s = 5\n')
    said = stack.call(
        *("cloud", "remote", "push-config", "gw-remote", "--url", stack.url, "--site", str(site))
    )
    assert said.stdout.splitlines() == ["version 1: pending", "applied"]
    answer = stack.call("cloud", "remote", "command", "gw-remote", "status", "--url", stack.url)
    told = json.loads(answer.stdout)
    assert (told["config_version"], told["link"]["up"]) == (1, True)
    refused = stack.call(
        *("cloud", "remote", "command", "gw-remote", "no_such_thing", "--url", stack.url), expect=1
    )
    assert "unknown_op" in refused.stdout
