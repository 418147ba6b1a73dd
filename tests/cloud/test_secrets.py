"""No secret that passes through the service is found in its logs, nor in plain in its folder."""

import base64
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import StatementError

from cloud.ingest.subscriber import BrokerAddress
from cloud.model.database import Database, open_engine
from cloud.model.session import SESSION_COOKIE
from cloud.model.urls import masked
from cloud.service import Service
from cloud.settings import DatabaseSettings, Settings
from cloud.telemetry.open import check_url
from protocols.errors import SuyuanError
from tests.support.service_process import ServiceProcess, service_process
from tests.support.stack import ROOT

LIFT = "elevator:31101099920240017"


def made_up(name: str) -> str:
    """Return a secret that is found wherever it goes, also percent-encoded."""
    return f"{name}-{secrets.token_hex(16)}"


class Told:
    """Every secret that was used, by what it was."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def __call__(self, name: str, value: str | None = None) -> str:
        """Remember one."""
        self.secrets[name] = value or made_up(name)
        return self.secrets[name]

    def found_in(self, content: bytes) -> list[str]:
        """Return the names of those that are in a content, also in base64."""
        return [
            name
            for name, value in self.secrets.items()
            if any(form in content for form in _forms(value))
        ]


def _forms(value: str) -> list[bytes]:
    raw = value.encode()
    inside = [base64.b64encode(b" " * shift + raw)[4:-4] for shift in range(3)]
    return [raw, quote(value).encode(), *inside]


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, told: Told) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("secrets")
    command = ["cloud", "ca", "init", "--data", str(folder / "data"), "--name", "127.0.0.1"]
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True)
    with service_process(folder, token=told("admin-token")) as found:
        drive(found, told)
        found.child.stop()
        yield found


def drive(service: ServiceProcess, told: Told) -> None:
    """Use the service with each of its secrets, rightly and wrongly."""
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=20) as client:
        sign_in(client, told)
        call(client, told)
        people(client, told)
        enrol(client, told)
        break_in(client, service, told)


def sign_in(client: httpx.Client, told: Told) -> None:
    token = told.secrets["admin-token"]
    assert client.post("/login", data={"token": told("wrong-token")}).status_code == 401
    client.post("/login", data={"username": "li", "password": told("wrong-password")})
    client.post("/login", data={"token": token, "next": f"/?a={told('in-next')}"})
    told("cookie", client.cookies[SESSION_COOKIE])
    page = client.get("/").text
    csrf = told("csrf", page.partition('name="csrf" value="')[2].partition('"')[0])
    client.post("/logout", data={"csrf": told("wrong-csrf")})
    client.post("/logout", data={"csrf": csrf})
    client.cookies.clear()
    client.get("/", headers={"Cookie": f"{SESSION_COOKIE}={told('forged-cookie')}"})


def call(client: httpx.Client, told: Told) -> None:
    good = {"Authorization": f"Bearer {told.secrets['admin-token']}"}
    path = f"/api/v1/assets/{LIFT}"
    for headers in (
        {"Authorization": f"Bearer {told('wrong-bearer')}"},
        {"Authorization": f"Basic {base64.b64encode(told('basic').encode()).decode()}"},
        {"Authorization": told("no-scheme")},
        {**good, "X-CSRF-Token": told("csrf-header")},
    ):
        client.put(path, content=b"{}", headers=headers)
    client.get("/api/v1/alarms", params={"token": told("token-in-query")}, headers=good)
    client.get(f"/api/v1/gateways/{told('in-path')}", headers=good)
    client.put(path, content=f'{{"password": "{told("unknown-key")}"}}', headers=good)
    client.put(path, content=f'{{"name": "{told("broken-json")}', headers=good)
    client.get(f"/login/with/city/back?code={told('code')}&state={told('state')}")


def people(client: httpx.Client, told: Told) -> None:
    good = {"Authorization": f"Bearer {told.secrets['admin-token']}"}
    new = {"username": "wang", "name": "王五", "roles": ["administrator"]}
    answer = client.post("/api/v1/accounts", json=new, headers=good)
    assert answer.status_code == 201, answer.text
    code, password = told("account-code", answer.json()["code"]), told("account-password")
    redeem = {"code": told("wrong-account-code"), "password": told("refused-password")}
    assert client.post("/api/v1/redeem", json=redeem).status_code >= 400
    answer = client.post("/api/v1/redeem", json={"code": code, "password": password})
    assert answer.status_code == 200, answer.text
    wrong = {"username": told("username-that-is-a-password"), "password": password}
    assert client.post("/login", data=wrong).status_code == 401
    client.post("/login", data={"username": "wang", "password": password})
    if SESSION_COOKIE in client.cookies:
        told("account-cookie", client.cookies[SESSION_COOKIE])
        client.cookies.clear()
    key = {"name": "export", "calls": ["alarms.read"], "days": 1}
    answer = client.post("/api/v1/keys", json=key, headers=good)
    if answer.status_code == 201:
        token = told("key-token", answer.json()["token"])
        client.get("/api/v1/alarms", headers={"Authorization": f"Bearer {token}"})


def enrol(client: httpx.Client, told: Told) -> None:
    good = {"Authorization": f"Bearer {told.secrets['admin-token']}"}
    answer = client.post("/api/v1/gateways/gw-1/invite", headers=good)
    told("invitation", answer.json()["code"])
    told("invitation-body", answer.json()["code"].replace("-", "")[-20:])
    body = {"gateway_id": "gw-1", "code": told.secrets["invitation"], "csr": told("csr")}
    assert client.post("/api/v1/enroll", json=body).status_code >= 400
    client.post("/api/v1/enroll", json={**body, "code": told("wrong-code")})


def break_in(client: httpx.Client, service: ServiceProcess, told: Told) -> None:
    with socket.create_connection(("127.0.0.1", service.port), 5) as link:
        link.sendall(f"GET /{told('no-http')} HTTP/9\r\n{told('no-header')}\r\n\r\n".encode())
        link.recv(1_000)
    with socket.create_connection(("127.0.0.1", service.port), 5) as link:
        head = f"POST /login HTTP/1.1\r\nHost: a\r\nX: {told('cut-header')}\r\n"
        link.sendall(f"{head}Content-Length: 999\r\n\r\ntoken={told('cut-body')}".encode())


def test_logs_hold_no_secret(service: ServiceProcess, told: Told) -> None:
    log = service.log.read_bytes()
    assert log
    assert len(told.secrets) > 20
    assert told.found_in(log) == []


def test_data_folder_holds_no_secret_in_plain(service: ServiceProcess, told: Told) -> None:
    # what a form or a body says is kept where it belongs; these prove who somebody is
    proofs = ("token", "cookie", "csrf", "password", "invitation", "code", "bearer", "basic")
    kept = Told()
    kept.secrets = {
        name: value for name, value in told.secrets.items() if name.split("-")[-1] in proofs
    }
    kept.secrets.pop("csrf")  # a session's, which opens nothing without its cookie
    for file in (path for path in service.data.rglob("*") if path.is_file()):
        assert kept.found_in(file.read_bytes()) == [], file.name


def failing(run: Callable[[], object]) -> str:
    with pytest.raises(StatementError) as caught:
        run()
    return str(caught.value)


def test_error_of_a_statement_tells_no_values() -> None:
    value = made_up("hash")
    statement = text("insert into nowhere values (:a)")
    shown = create_engine("sqlite://")
    hidden = open_engine("sqlite://")
    for engine, expected in ((shown, True), (hidden, False)):
        with engine.connect() as connection:
            said = failing(lambda c=connection: c.execute(statement, {"a": value}))  # type: ignore[misc]
            assert (value in said) is expected
        engine.dispose()


def test_errors_about_settings_tell_no_password(tmp_path: Path) -> None:
    password = made_up("password")
    there = f"suyuan:{password}@127.0.0.1:1/x"

    def start(settings: Settings) -> Service:
        broker = BrokerAddress(host="localhost", port=1883)
        where = ("127.0.0.1", 1)
        return Service(
            data=tmp_path, http=where, broker=broker, settings=settings, admin_token=None
        )

    one = Settings(database=DatabaseSettings(log_url=f"postgresql://{there}"))
    engine = f"influxdb://{there}"
    away = Database(f"postgresql://{there}", name="log")
    for run in (
        lambda: open_engine(f"mysql://{there}"),
        lambda: open_engine(f"postgresql://suyuan:{password}/@127.0.0.1:x/x"),
        lambda: start(one),
        lambda: check_url(engine),
        lambda: away.read_now(lambda c: c.execute(text("select 1"))),
    ):
        with pytest.raises((SuyuanError, ValueError)) as caught:
            run()
        assert password not in str(caught.value)
    away.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://***@h/d"),
        ("postgresql://u:p@q@h/d", "postgresql://***@h/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u:p/@h/d", "postgresql://***@h/d"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("", ""),
    ],
)
def test_masked(url: str, shown: str) -> None:
    assert masked(url) == shown
