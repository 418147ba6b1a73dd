"""What the served process does with requests that no decent client sends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service_process import ServiceProcess, service_process

TIGHT = """
[http]
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
[http.rates]
address_points_per_s = 1
address_points = 25
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with service_process(tmp_path_factory.mktemp("served"), TIGHT) as found:
        yield found


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def get(service: ServiceProcess, *headers: str, path: str = "/api/v1/alarms") -> int:
    lines = [f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
    return status(service.say("\r\n".join(lines).encode()))


def test_address_is_the_one_that_a_trusted_proxy_tells(service: ServiceProcess) -> None:
    for _ in range(25):
        assert get(service, "X-Forwarded-For: 192.0.2.1") == 401
    assert get(service, "X-Forwarded-For: 192.0.2.1") == 429
    assert get(service, "X-Forwarded-For: 192.0.2.2") == 401
    # what stands before the last hop that is not ours was written by who knows whom
    assert get(service, "X-Forwarded-For: 192.0.2.7, 192.0.2.1, 10.1.2.3") == 429
    assert get(service, "X-Forwarded-For: 192.0.2.8", "X-Forwarded-For: 192.0.2.1") == 429
    assert get(service, f"X-Forwarded-For: {'x' * 5_000}, \x01\x7f") in (400, 401)


def test_address_told_by_anybody_else_does_not_count(tmp_path: Path) -> None:
    with service_process(tmp_path, TIGHT.replace('"127.0.0.1", ', "")) as service:
        for number in range(25):
            assert get(service, f"X-Forwarded-For: 192.0.2.{number}") == 401
        assert get(service, "X-Forwarded-For: 192.0.2.77") == 429
