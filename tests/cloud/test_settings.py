"""The settings file: defaults, all faults at once, addresses."""

from pathlib import Path

import pytest

from cloud.settings import BrokerSettings, Settings, broker_address, host_and_port, load_settings
from protocols.errors import FixConfiguration

SHIPPED = Path(__file__).parents[2] / "firmware_config" / "system" / "cloud.toml"


def test_load_settings_none_gives_defaults() -> None:
    assert load_settings(None) == Settings()


def test_load_settings_shipped_file_is_valid() -> None:
    assert load_settings(SHIPPED).trust.certificate_days == 90


def test_load_settings_reports_every_fault(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text('schema = 2\nlanguage = "fr"\ncolour = 1\n[log]\nretention_days = 0\n')
    with pytest.raises(FixConfiguration) as caught:
        load_settings(file)
    assert [fault.key for fault in caught.value.faults] == [
        "colour",
        "schema",
        "language",
        "log.retention_days",
    ]


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://127.0.0.1:1884", "127.0.0.1", 1884, False),
        ("mqtt://broker", "broker", 1883, False),
        ("mqtts://broker", "broker", 8883, True),
    ],
)
def test_broker_address_reads_url(url: str, host: str, port: int, tls: bool) -> None:
    address = broker_address(url, BrokerSettings(), Path("nowhere"))
    assert (address.host, address.port, address.tls) == (host, port, tls)


@pytest.mark.parametrize("url", ["http://a", "mqtt://", "127.0.0.1:1883", "mqtt://a:x"])
def test_broker_address_other_url_refused(url: str) -> None:
    with pytest.raises(FixConfiguration, match="mqtt://HOST:PORT"):
        broker_address(url, BrokerSettings(), Path("nowhere"))


@pytest.mark.parametrize("text", ["80", "host:", "host:0", "host:99999", ":80"])
def test_host_and_port_other_text_refused(text: str) -> None:
    with pytest.raises(FixConfiguration, match="HOST:PORT"):
        host_and_port(text, "--http")


@pytest.mark.parametrize("groups", [0, 3, 512])
def test_load_settings_shard_groups_must_be_a_power_of_two(tmp_path: Path, groups: int) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(f"schema = 1\n[ingest]\nshard_groups = {groups}\n")
    with pytest.raises(FixConfiguration) as caught:
        load_settings(file)
    assert [fault.key for fault in caught.value.faults] == ["ingest.shard_groups"]


def test_load_settings_outbound_names_what_cannot_be_allowed(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text('schema = 1\n[outbound]\nallowed = ["10.0.0.1/8"]\n')
    with pytest.raises(FixConfiguration, match=r"outbound: expected an address.*'10\.0\.0\.1/8'"):
        load_settings(file)


def test_load_settings_proxy_that_is_no_address_is_told(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text('schema = 1\n[http]\ntrusted_proxies = ["proxy"]\n')
    with pytest.raises(FixConfiguration, match=r"http: expected an address.*'proxy'"):
        load_settings(file)
