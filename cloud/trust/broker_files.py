"""What the broker needs: its certificate, the list of the revoked, and mosquitto's settings."""

import pwd
from pathlib import Path
from string import Template
from typing import Annotated, Literal

import msgspec
from cryptography import x509
from msgspec import Meta

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.durable import write_durably

Port = Annotated[int, Meta(ge=1, le=65_535)]
FILE = "broker.toml"
RUN = "run"
LOG_FILE = "broker.log"
PID_FILE = "mosquitto.pid"


class BrokerPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker listens; kept in `ca/broker.toml`."""

    schema: Literal[1] = 1
    names: Annotated[tuple[str, ...], Meta(min_length=1)]
    """By which it is reached; gateways are told the first."""
    port: Port = 8883
    """Of the gateways."""
    service_port: Port = 8884
    """Of the service, which keeps several connections under one name."""
    service_address: str = "127.0.0.1"
    """Where the service's port is bound."""

    @property
    def gateways_url(self) -> str:
        """The broker as gateways reach it."""
        return f"mqtts://{_in_url(self.names[0])}:{self.port}"

    @property
    def service_url(self) -> str:
        """The broker as the service reaches it."""
        loopback = self.service_address in ("127.0.0.1", "::1")
        host = self.service_address if loopback else self.names[0]
        return f"mqtts://{_in_url(host)}:{self.service_port}"


def load_plan(ca: Path) -> BrokerPlan:
    """Read the plan; FixConfiguration when it is missing or wrong."""
    return load_toml(ca / FILE, BrokerPlan)


def write_plan(ca: Path, plan: BrokerPlan) -> None:
    """Write the plan."""
    names = ", ".join(f'"{name}"' for name in plan.names)
    text = (
        "schema = 1\n"
        f"names = [{names}]\n"
        f"port = {plan.port}\n"
        f"service_port = {plan.service_port}\n"
        f'service_address = "{plan.service_address}"\n'
    )
    write_durably(ca / FILE, text.encode())


def write_settings(ca: Path, plan: BrokerPlan) -> None:
    """Fill in the shipped mosquitto settings; the broker runs as the owner of the data folder."""
    broker = ca / "broker"
    for folder in (broker / RUN, broker / "conf.d"):
        folder.mkdir(exist_ok=True)
    fields = {
        "folder": str(broker.resolve()),
        "port": plan.port,
        "service_port": plan.service_port,
        "service_address": plan.service_address,
        "user": pwd.getpwuid(ca.stat().st_uid).pw_name,
    }
    system = data_root() / "system"
    text = Template((system / "mosquitto.conf").read_text(encoding="utf-8")).substitute(fields)
    write_durably(broker / "mosquitto.conf", text.encode())
    write_durably(broker / "mosquitto.acl", (system / "mosquitto.acl").read_bytes())


def hosts_of(certificate: x509.Certificate) -> set[str]:
    """Return the names and addresses that a server's certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(one.value) for one in found}


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
