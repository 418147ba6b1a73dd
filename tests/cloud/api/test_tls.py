"""TLS of the HTTP side, as the served process speaks it."""

import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cloud.api.limits import HSTS
from cloud.model.session import SESSION_COOKIE
from tests.support.certificates import issue, make_authority
from tests.support.mosquitto import free_port
from tests.support.service_process import ServiceProcess, service_process
from tests.support.stack import TOKEN, wait_until

BASE_URL = "https://suyuan.example.org"


@pytest.fixture(scope="module")
def plain_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, plain_port: int) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("tls")
    make_authority(folder)
    issue(folder, "server")
    config = f"""
        base_url = "{BASE_URL}"
        [tls]
        cert_file = "{folder / "server.crt"}"
        key_file = "{folder / "server.key"}"
        redirect_from = "127.0.0.1:{plain_port}"
    """
    with service_process(folder, config) as found:
        yield found


def client_context(service: ServiceProcess) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=service.folder / "ca.crt")


def handshake(service: ServiceProcess, context: ssl.SSLContext) -> tuple[str, str]:
    """Return the version that was agreed on, and the serial number of the certificate."""
    with service.connect() as link, context.wrap_socket(link, server_hostname="127.0.0.1") as tls:
        certificate = tls.getpeercert()
        assert certificate
        return str(tls.version()), str(certificate["serialNumber"])


def https(service: ServiceProcess) -> httpx.Client:
    base = f"https://127.0.0.1:{service.port}"
    return httpx.Client(verify=client_context(service), base_url=base)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_versions_are_spoken(service: ServiceProcess, version: ssl.TLSVersion) -> None:
    context = client_context(service)
    context.minimum_version = context.maximum_version = version
    assert handshake(service, context)[0] == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_not(service: ServiceProcess, version: ssl.TLSVersion) -> None:
    context = client_context(service)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(service, context)


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "AES256-SHA"])
def test_ciphers_without_forward_secrecy_or_authentication_are_not(
    service: ServiceProcess, ciphers: str
) -> None:
    context = client_context(service)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(service, context)


def test_answers_tell_browsers_to_stay_with_https(service: ServiceProcess) -> None:
    with https(service) as client:
        for path in ("/healthz", "/login", "/nowhere", "/static/console.css"):
            assert client.get(path).headers["strict-transport-security"] == HSTS


def test_session_cookie_is_secure_and_of_this_host_alone(service: ServiceProcess) -> None:
    with https(service) as client:
        answer = client.post("/login", data={"token": TOKEN})
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"__Host-{SESSION_COOKIE}=")
        for part in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
            assert part in cookie
        assert "Domain" not in cookie
        assert client.get("/").status_code == 200
        # under its plain name another host of the domain might have set it
        plain = {"Cookie": f"{SESSION_COOKIE}={client.cookies[f'__Host-{SESSION_COOKIE}']}"}
        client.cookies.clear()
        assert client.get("/", headers=plain).status_code == 303


def test_websocket_goes_by_tls_alone(service: ServiceProcess, plain_port: int) -> None:
    where = "/epcis/queries/all/events?stream=true"
    secure = f"wss://127.0.0.1:{service.port}{where}"
    context, token = client_context(service), {"Authorization": f"Bearer {TOKEN}"}
    with https(service) as client:
        made = client.post("/epcis/queries", json={"name": "all", "query": {}}, headers=token)
        assert made.status_code == 201
        client.post("/login", data={"token": TOKEN})
        [cookie] = [f"{one.name}={one.value}" for one in client.cookies.jar]
    page = {"Cookie": cookie, "Origin": BASE_URL}
    with connect(secure, ssl=context, additional_headers=page) as link:
        assert link.ping().wait(5)
    with pytest.raises(InvalidStatus) as refused:
        connect(secure, ssl=context, additional_headers={**page, "Origin": "https://evil.example"})
    assert refused.value.response.status_code == 403
    assert refused.value.response.headers["strict-transport-security"] == HSTS
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{plain_port}{where}", additional_headers=token)


@pytest.mark.parametrize("path", ["/", "/alarms/1?x=%20y", "//evil.example/", "/%0d%0aX:%20y"])
def test_plain_http_is_led_on_whatever_host_it_names(
    service: ServiceProcess, plain_port: int, path: str
) -> None:
    url = httpx.URL(f"http://127.0.0.1:{plain_port}").copy_with(raw_path=path.encode())
    answer = httpx.get(url, headers={"Host": "evil.example"})
    assert answer.status_code == 308
    assert answer.headers["location"] == BASE_URL + path
    assert "set-cookie" not in answer.headers


def test_renewed_certificate_is_taken_up_while_a_broken_one_is_not(
    service: ServiceProcess,
) -> None:
    def serial() -> str:
        return handshake(service, client_context(service))[1]

    before, key = serial(), service.folder / "server.key"
    good = key.read_bytes()
    key.write_text("no key")
    wait_until(
        lambda: "cannot be used yet" in service.log.read_text(), timeout_s=10, what="a warning"
    )
    assert serial() == before
    key.write_bytes(good)
    issue(service.folder, "server")  # key and certificate, one after the other
    wait_until(lambda: serial() != before, timeout_s=10, what="the new certificate")
    assert service.child.running()


def test_half_a_pair_or_no_certificate_is_told_at_once(tmp_path: Path) -> None:
    for number, tls in enumerate(
        ['cert_file = "a"', 'cert_file = "a"\nkey_file = "b"', 'redirect_from = "127.0.0.1:80"']
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        service = ServiceProcess(folder, f"[tls]\n{tls}\n")
        service.child.start()
        assert service.child.process is not None
        started = time.monotonic()
        try:
            assert service.child.process.wait(30) == 2
        except subprocess.TimeoutExpired:
            service.child.kill()
            raise
        assert time.monotonic() - started < 30
        assert "tls" in service.log.read_text()
