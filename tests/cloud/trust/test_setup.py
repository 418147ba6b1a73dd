"""`ca init` makes what is missing and keeps what is there; the service lives without it, too."""

import os
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from cloud.__main__ import app
from cloud.model.database import Database
from cloud.roles.common import Common
from cloud.roles.trust import TrustPart
from cloud.settings import BrokerSettings, Settings, broker_address
from cloud.trust.broker_files import hosts_of, load_plan
from protocols.clock import SystemClock

KEYS = ("ca/ca.key", "ca/broker/server.key", "ca/suyuan-cloud.key", "ca/signing/signing-1.pem")


def _run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def _init(data: Path, *more: str) -> str:
    return _run("ca", "init", "--data", str(data), *more)


def _server(data: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((data / "ca/broker/server.crt").read_bytes())


def test_keys_are_private_and_stay(tmp_path: Path) -> None:
    told = _init(tmp_path, "--name", "broker.test", "--name", "10.0.0.1", "--port", "9001")
    assert "suyuan-cloud broker --data" in told
    keys = {name: (tmp_path / name).read_bytes() for name in KEYS}
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in KEYS} == {0o600}
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o700
    first = _server(tmp_path)
    assert {"broker.test", "10.0.0.1", "127.0.0.1", "localhost"} <= hosts_of(first)
    _init(tmp_path)
    assert _server(tmp_path) == first
    assert load_plan(tmp_path / "ca").gateways_url == "mqtts://broker.test:9001"
    _init(tmp_path, "--name", "other.test")
    assert _server(tmp_path) != first
    assert load_plan(tmp_path / "ca").gateways_url == "mqtts://other.test:9001"
    assert {name: (tmp_path / name).read_bytes() for name in KEYS} == keys


def test_list_of_the_revoked_outlives_forgetting(tmp_path: Path) -> None:
    _init(tmp_path)
    crl = x509.load_pem_x509_crl((tmp_path / "ca/broker/ca.crl").read_bytes())
    assert crl.next_update_utc == _authority(tmp_path).not_valid_after_utc


def _authority(data: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((data / "ca/ca.crt").read_bytes())


def test_settings_of_the_broker_name_real_files(tmp_path: Path) -> None:
    _init(tmp_path)
    lines = (tmp_path / "ca/broker/mosquitto.conf").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    files = {one[1] for one in words if one[0] in ("cafile", "certfile", "keyfile", "crlfile")}
    assert len(files) == 4
    assert all(Path(name).is_file() for name in files)
    assert not any("$" in word for one in words for word in one)


def test_commands_without_an_authority_say_so(tmp_path: Path) -> None:
    for arguments in (["gateway", "list"], ["gateway", "invite", "gw-1"], ["broker"]):
        done = CliRunner().invoke(app, [*arguments, "--data", str(tmp_path)])
        assert done.exit_code == 1
        assert "ca init" in done.output


def test_code_goes_to_stdout_alone(tmp_path: Path) -> None:
    _init(tmp_path)
    done = CliRunner().invoke(app, ["gateway", "invite", "gw-1", "--data", str(tmp_path)])
    assert done.stdout.startswith("gw-1.")
    assert done.stdout.count("\n") == 1
    assert _run("gateway", "list", "--data", str(tmp_path)).startswith("gw-1: invited until 2")
    revoked = _run("gateway", "revoke", "gw-1", "--data", str(tmp_path))
    assert "0 certificates revoked; NO BROKER WAS TOLD" in revoked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder somebody else's")
def test_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    done = CliRunner().invoke(app, ["ca", "init", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "sudo -u nobody" in done.output
    assert not (tmp_path / "ca").exists()


def test_service_uses_its_own_certificate_unless_told_another(tmp_path: Path) -> None:
    url = "mqtts://127.0.0.1:8884"
    assert broker_address(url, BrokerSettings(), tmp_path).cert_file is None
    _init(tmp_path)
    address = broker_address(url, BrokerSettings(), tmp_path)
    assert address.cert_file == str(tmp_path / "ca/suyuan-cloud.crt")
    assert address.key_file == str(tmp_path / "ca/suyuan-cloud.key")
    mine = BrokerSettings(ca_file="a", cert_file="c", key_file="k")
    assert broker_address(url, mine, tmp_path).cert_file == "c"
    assert broker_address("mqtt://h", BrokerSettings(), tmp_path).cert_file is None


@pytest.mark.parametrize("damaged", ["", "ca/ca.key", "ca/trust.db", "ca/broker.toml"])
def test_damaged_authority_does_not_stop_the_service(tmp_path: Path, damaged: str) -> None:
    _init(tmp_path)
    if damaged:
        (tmp_path / damaged).write_bytes(b"\x00no" * 2_000)
    common = Common(
        data=tmp_path,
        settings=Settings(),
        name="cloud",
        admin_token=None,
        clock=SystemClock(),
    )
    assert (TrustPart(common).desk is None) is bool(damaged)
    for database in (common.log_db, common.state_db):
        assert isinstance(database, Database)
        database.close()
    for close in common.on_close:
        close()


def test_authority_outlives_what_it_signs(tmp_path: Path) -> None:
    _init(tmp_path)
    assert _authority(tmp_path).not_valid_after_utc > _server(tmp_path).not_valid_after_utc
