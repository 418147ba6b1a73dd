"""The parts of a cloud benchmark as processes: broker with the shipped settings, service, load."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import httpx

from tests.support.mosquitto import Mosquitto, free_port
from tests.support.stack import ROOT, TOKEN, Child, wait_until

SHIPPED = ROOT / "firmware_config" / "system" / "mosquitto.conf"
OF_THE_SITE = (
    "listener",
    "cafile",
    "certfile",
    "keyfile",
    "crlfile",
    "require",
    "use",
    "pid_file",
    "include_dir",
    "log_",
    "allow",
    "acl",
    "per",
    "crlfile",
    "user",
    "pid_file",
    "include_dir",
    "log_",
)
"""Settings of the shipped file that a bench must replace: addresses, certificates, folders, and the
log, which goes to a process of its own (its cost: docs/identity.md)."""


class ShippedMosquitto(Mosquitto):
    """A broker with what the shipped file says of queues and delays, without TLS."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true"]
        lines += [
            line
            for line in SHIPPED.read_text().splitlines()
            if line and not line.startswith(("#", *OF_THE_SITE))
        ]
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid


class Cloud:
    """`suyuan-cloud serve` on a fresh folder."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.data, self.http_port = folder / "cloud", free_port()
        self._child = Child(
            "cloud",
            [
                *("cloud", "serve", "--data", str(self.data)),
                *("--http", f"127.0.0.1:{self.http_port}", "--broker", broker.url),
            ],
            folder,
            environment={"SUYUAN_ADMIN_TOKEN": TOKEN},
        )
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=20,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child.process is not None
        return self._child.process.pid

    def start(self) -> None:
        """Start and wait until it is subscribed."""
        self._child.start()
        wait_until(
            lambda: self.http.get("/readyz").status_code == 200, timeout_s=30, what="cloud ready"
        )

    def stop(self) -> None:
        """End it cleanly."""
        self.http.close()
        self._child.stop(30)

    def metrics(self) -> dict[str, float]:
        """Return its own figures."""
        lines = self.http.get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def wait_stored(self, timeout_s: float = 60) -> None:
        """Wait until no consumer has anything left to do."""

        def idle() -> bool:
            figures = self.metrics()
            return not any(
                figures[f'suyuan_consumer_lag_seconds{{consumer="{name}"}}']
                for name in ("rules", "telemetry")
            )

        wait_until(idle, timeout_s=timeout_s, what="consumers done", every_s=0.3)

    def settled(self, gateway: str, spool: str, stream: str = "data") -> int:
        """Return how many batches the ledger has of a spool, all of them without holes."""
        spools = self.http.get(f"/api/v1/gateways/{gateway}").json()["spools"]
        for one in spools:
            if one["spool"] == spool and one["stream"] == stream:
                whole = one["through"] == one["batches"] and not one["received"]
                return int(one["batches"]) if whole else -1
        return 0


def stored(data: Path, prefix: str) -> tuple[int, int]:
    """Count (rows, values) of assets whose id begins so, in all day files of a stopped service."""
    rows = values = 0
    for file in sorted((data / "telemetry").glob("*.duckdb")):
        with duckdb.connect(str(file), read_only=True) as link:
            found = link.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            for name in ("arrival_wide_elevator", "sorted_wide_elevator"):
                if (name,) not in found:
                    continue
                columns = [
                    one[0]
                    for one in link.execute(f"DESCRIBE {name}").fetchall()
                    if not one[0].startswith("_")
                ]
                counts = " + ".join(f"count({column})" for column in columns)
                more = link.execute(
                    f"SELECT count(*), {counts} FROM {name} WHERE starts_with(_asset, ?)", [prefix]
                ).fetchone()
                assert more is not None
                rows, values = rows + more[0], values + more[1]
    return rows, values


def bytes_of(folder: Path, pattern: str) -> int:
    """Return the size of the files that match."""
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())


@contextmanager
def broker_running() -> Iterator[tuple[Path, ShippedMosquitto]]:
    """A fresh folder and a broker in it."""
    with tempfile.TemporaryDirectory(prefix="suyuan-bench-") as name:
        folder = Path(name)
        broker = ShippedMosquitto(folder / "broker")
        broker.start()
        try:
            yield folder, broker
        finally:
            broker.stop()
