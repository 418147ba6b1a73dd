"""Real InfluxDB and VictoriaMetrics servers as child processes on free loopback ports.

InfluxDB is the 1.6 of Debian behind an nginx that rewrites `/api/v2/write` to its own `/write`:
what newer ones do by themselves.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Protocol

import httpx

from tests.support.mosquitto import free_port, wait_for_port

INFLUXD = shutil.which("influxd") or "/usr/bin/influxd"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
VICTORIA_METRICS = shutil.which("victoria-metrics") or "/usr/bin/victoria-metrics"

_INFLUXD_CONF = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
  index-version = "{index}"
  max-values-per-tag = {values_per_tag_max}
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""
_NGINX_CONF = """\
worker_processes 1;
daemon off;
{user}pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_buffer_size 8m;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  map $arg_precision $prec {{ default ns; us u; ms ms; s s; ns n; }}
  upstream influxd {{ server 127.0.0.1:{influxd_port}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Authorization "";
    location = /api/v2/write {{
      rewrite ^ /write?db=$arg_bucket&precision=$prec? break;
      proxy_pass http://influxd;
    }}
    location / {{ proxy_pass http://influxd; }}
  }}
}}
"""


class EngineServer(Protocol):
    """An engine that can be killed and started again on the same port."""

    def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    def stop(self) -> None:
        """End it with SIGTERM."""
        ...

    def kill(self) -> None:
        """End it with SIGKILL."""
        ...

    def wipe(self) -> None:
        """Delete what it holds; it must be ended."""
        ...

    def new_url(self) -> str:
        """Make a place of its own for one store; returns its URL."""
        ...

    @property
    def pids(self) -> list[int]:
        """Return the processes of the engine itself."""
        ...


class InfluxDbServer:
    """influxd, and nginx before it, which stays when influxd is killed."""

    programs = (INFLUXD, NGINX)

    def __init__(self, folder: Path, *, values_per_tag_max: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.port, self._influxd_port = folder, free_port(), free_port()
        (folder / "influxd.conf").write_text(
            _INFLUXD_CONF.format(
                folder=folder,
                port=self._influxd_port,
                rpc_port=free_port(),
                index="inmem" if values_per_tag_max else "tsi1",  # tsi1 knows no such bound
                values_per_tag_max=values_per_tag_max,
            )
        )
        (folder / "nginx.conf").write_text(
            _NGINX_CONF.format(
                folder=folder,
                port=self.port,
                influxd_port=self._influxd_port,
                user="user root;\n" if os.getuid() == 0 else "",
            )
        )
        self._influxd: subprocess.Popen[bytes] | None = None
        self._nginx: subprocess.Popen[bytes] | None = None
        self._made = 0

    def start(self) -> None:
        """See EngineServer."""
        config = str(self._folder / "influxd.conf")
        self._influxd = _spawn([INFLUXD, "-config", config], self._folder / "influxd.log")
        _wait_for_answer(f"http://127.0.0.1:{self._influxd_port}/ping", self._influxd)
        for number in range(self._made):
            self.ask(f"CREATE DATABASE test_{number + 1}")
        if self._nginx is None:
            config = str(self._folder / "nginx.conf")
            self._nginx = _spawn([NGINX, "-c", config], self._folder / "nginx.log")
            wait_for_port(self.port, self._nginx)

    def stop(self) -> None:
        """See EngineServer; nginx ends too."""
        _end(self._influxd)
        _end(self._nginx)
        self._nginx = None

    def kill(self) -> None:
        """See EngineServer; nginx stays and answers 502."""
        if self._influxd is not None:
            self._influxd.kill()
            self._influxd.wait(10)

    def wipe(self) -> None:
        """See EngineServer."""
        for name in ("meta", "data", "wal"):
            shutil.rmtree(self._folder / name)

    def new_url(self) -> str:
        """See EngineServer; a database of its own."""
        self._made += 1
        name = f"test_{self._made}"
        self.ask(f"CREATE DATABASE {name}")
        return f"influxdb://127.0.0.1:{self.port}/{name}?org=suyuan"

    def ask(self, query: str, database: str = "") -> httpx.Response:
        """Run InfluxQL, without our own code."""
        answer = httpx.post(
            f"http://127.0.0.1:{self._influxd_port}/query",
            params={"db": database, "q": query, "epoch": "ms"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer

    @property
    def pids(self) -> list[int]:
        """See EngineServer."""
        return [self._influxd.pid] if self._influxd is not None else []


class VictoriaMetricsServer:
    """victoria-metrics, single node, with the flags that the README asks for."""

    programs = (VICTORIA_METRICS,)

    def __init__(self, folder: Path, *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.port, self._flags = folder, free_port(), flags
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def start(self) -> None:
        """See EngineServer."""
        command = [
            VICTORIA_METRICS,
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={self._folder / 'data'}",
            "-loggerLevel=WARN",
            *(self._flags or ("-retentionPeriod=100y", "-dedup.minScrapeInterval=1ms")),
        ]
        self._process = _spawn(command, self._folder / "victoria-metrics.log")
        _wait_for_answer(f"http://127.0.0.1:{self.port}/health", self._process)
        time.sleep(1.1)  # in its first second our store leaves it alone

    def stop(self) -> None:
        """See EngineServer."""
        _end(self._process)

    def kill(self) -> None:
        """See EngineServer."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def wipe(self) -> None:
        """See EngineServer."""
        shutil.rmtree(self._folder / "data")

    def new_url(self) -> str:
        """See EngineServer; a value of label `db` of its own."""
        self._made += 1
        return f"victoriametrics://127.0.0.1:{self.port}/test_{self._made}"

    @property
    def pids(self) -> list[int]:
        """See EngineServer."""
        return [self._process.pid] if self._process is not None else []


def missing_for(kind: type[InfluxDbServer] | type[VictoriaMetricsServer]) -> str | None:
    """Say which program of an engine is not installed, None when all are."""
    absent = [Path(program).name for program in kind.programs if not Path(program).exists()]
    return f"not installed: {', '.join(absent)} (make test as root installs)" if absent else None


def _spawn(command: list[str], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=log_file.parent)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.terminate()
        process.wait(20)


def _wait_for_answer(url: str, process: subprocess.Popen[bytes], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"process ended with {process.returncode}")
        try:
            if httpx.get(url, timeout=1).status_code < 300:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"nothing answers at {url}")
