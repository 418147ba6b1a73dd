"""The service alone as a real process, with the small broker inside."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.mosquitto import free_port, wait_for_port
from tests.support.stack import TOKEN, Child


class ServiceProcess:
    """A `suyuan-cloud serve` on a free loopback port, which is `{port}` in its settings."""

    def __init__(self, folder: Path, config: str = "", *, token: str = TOKEN) -> None:
        self.folder, self.port = folder, free_port()
        self.data, self.log = folder / "data", folder / "service.log"
        file = folder / "cloud.toml"
        file.write_text("schema = 1\n" + config.replace("{port}", str(self.port)))
        self.child = Child(
            "service",
            [
                *("cloud", "serve", "--data", str(self.data), "--config", str(file)),
                *("--http", f"127.0.0.1:{self.port}"),
                *("--embedded-broker", f"127.0.0.1:{free_port()}"),
            ],
            folder,
            environment={"SUYUAN_ADMIN_TOKEN": token},
        )

    def start(self) -> None:
        """Start and wait until it listens."""
        self.child.start()
        assert self.child.process is not None
        wait_for_port(self.port, self.child.process, timeout_s=30)

    def connect(self, timeout_s: float = 10) -> socket.socket:
        """Open a plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def say(self, text: bytes, timeout_s: float = 10) -> bytes:
        """Send bytes on a connection of their own; return all that comes until it is closed."""
        with self.connect(timeout_s) as link:
            link.sendall(text)
            return _rest(link)


@contextmanager
def service_process(
    folder: Path, config: str = "", *, token: str = TOKEN
) -> Iterator[ServiceProcess]:
    """Run one for the length of a block."""
    service = ServiceProcess(folder, config, token=token)
    try:
        service.start()
        yield service
    finally:
        service.child.kill()


def _rest(link: socket.socket | ssl.SSLSocket) -> bytes:
    found = b""
    try:
        while part := link.recv(65_536):
            found += part
    except ConnectionError:
        pass
    return found
