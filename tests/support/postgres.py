"""A real PostgreSQL as child processes on a free loopback port."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from tests.support.mosquitto import free_port


def _bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    where = shutil.which("postgres")
    return found[-1].parent if found else Path(where).parent if where else None


BIN = _bin()
MISSING = "no PostgreSQL on this machine (Debian: apt-get install postgresql)"
_SETTINGS = (
    *("listen_addresses=127.0.0.1", "shared_buffers=64MB", "max_connections=200"),
    *("synchronous_commit=on", "unix_socket_directories=", "jit=off", "autovacuum=off"),
    # what a killed server had acknowledged is with the kernel: these matter where the power goes
    *("fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"),
)


def carry_out(url: str, *statements: str) -> None:
    """Carry out what may not stand in a transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


class Postgres:
    """A server that can be killed and started again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._data = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:  # it refuses to run as root
            shutil.chown(folder, "postgres")
            for parent in folder.parents:
                if parent.owner() == "root" and str(parent).startswith("/tmp/"):
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run(
            *("initdb", "-D", str(self._data), "-U", "suyuan", "-A", "trust", "-E", "UTF8"),
            "--no-sync",
        )

    def start(self) -> None:
        """Start and wait until it answers."""
        options = [part for setting in _SETTINGS for part in ("-c", setting)]
        with (self._folder / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command("postgres", "-D", str(self._data), "-p", str(self.port), *options),
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(),
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError((self._folder / "postgres.log").read_text(errors="replace"))
            time.sleep(0.05)

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        carry_out(self._url("postgres"), f"CREATE DATABASE {name}")
        return f"postgresql://suyuan@127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def stop(self) -> None:
        """End it at once, for good: nobody waits until data that are thrown away are on disk."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)

    def _answers(self) -> bool:
        done = subprocess.run(
            self._command("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-q"), check=False
        )
        return done.returncode == 0

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://suyuan@127.0.0.1:{self.port}/{name}"

    def _run(self, *words: str) -> None:
        subprocess.run(
            self._command(*words), check=True, stdout=subprocess.DEVNULL, **self._as_user()
        )

    def _command(self, program: str, *words: str) -> Sequence[str]:
        assert BIN is not None, MISSING
        return [str(BIN / program), *words]

    @staticmethod
    def _as_user() -> dict[str, Any]:
        if os.getuid() != 0:
            return {}
        user = pwd.getpwnam("postgres")
        return {"user": user.pw_uid, "group": user.pw_gid, "cwd": "/"}
