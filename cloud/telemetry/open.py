"""Which telemetry store a URL names."""

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from cloud.model.urls import masked
from cloud.telemetry.base import TelemetryStore
from cloud.telemetry.duckdb import DuckDbStore
from protocols.clock import Clock
from protocols.errors import Fault, FixConfiguration

EXPECTED = (
    "nothing (DuckDB), influxdb://HOST:8086/BUCKET?org=ORG or victoriametrics://HOST:8428,"
    " with +https before :// for TLS; the token in $SUYUAN_INFLUXDB_TOKEN"
)
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PORTS = {"influxdb": 8086, "victoriametrics": 8428}


def open_store(
    url: str, *, folder: Path, clock: Clock, retention_days: int, memory_limit_mb: int
) -> TelemetryStore:
    """Open the store that `url` names; empty: DuckDB in `folder`. An engine may be away.

    Raises:
        FixConfiguration: any other URL, or the extra `influxdb` is not installed.
        StopService: another process has the folder.

    """
    if not url:
        return DuckDbStore(
            folder, clock=clock, retention_days=retention_days, memory_limit_mb=memory_limit_mb
        )
    check_url(url)
    return _open_engine(url, clock, retention_days)


def check_url(url: str) -> None:
    """Check the URL of an engine.

    Raises:
        FixConfiguration: it is not one.

    """
    parts = urlsplit(url)
    engine, _, secure = parts.scheme.partition("+")
    known = {"org"} if engine == "influxdb" else set()
    wrong = (
        engine not in _PORTS
        or secure not in ("", "https")
        or not parts.hostname
        or _port(parts) is None
        or "@" in parts.netloc
        or bool(parts.fragment)
        or not _PLACE.fullmatch(_place(parts))
        or bool(parse_qs(parts.query, keep_blank_values=True).keys() - known)
    )
    if wrong:
        raise FixConfiguration([Fault("settings", "telemetry.url", EXPECTED, masked(url))])


def _open_engine(url: str, clock: Clock, retention_days: int) -> TelemetryStore:
    try:  # an extra, loaded for those alone who use it
        from cloud.telemetry.influxdb import InfluxDbEngine  # noqa: PLC0415
        from cloud.telemetry.remote.engine import Engine  # noqa: PLC0415
        from cloud.telemetry.remote.link import EngineAddress  # noqa: PLC0415
        from cloud.telemetry.remote.store import EngineStore  # noqa: PLC0415
        from cloud.telemetry.victoriametrics import VictoriaMetricsEngine  # noqa: PLC0415
    except ImportError as error:
        expected = "the extra [influxdb]: pip install 'suyuan[cloud,influxdb]'"
        fault = Fault("settings", "telemetry.url", expected, f"no module {error.name}")
        raise FixConfiguration([fault]) from None
    parts = urlsplit(url)
    name, _, secure = parts.scheme.partition("+")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    address = EngineAddress(
        base_url=f"{secure or 'http'}://{host}:{parts.port or _PORTS[name]}",
        place=_place(parts),
        org=parse_qs(parts.query).get("org", [""])[0],
        token=os.environ.get("SUYUAN_INFLUXDB_TOKEN", ""),
    )
    engine: Engine
    if name == "influxdb":
        engine = InfluxDbEngine(address)
    else:
        engine = VictoriaMetricsEngine(address, clock=clock, retention_days=retention_days)
    return EngineStore(engine, clock=clock, retention_days=retention_days)


def _place(parts: SplitResult) -> str:
    default = "suyuan" if parts.scheme.startswith("victoriametrics") else ""
    return parts.path.removeprefix("/") or default


def _port(parts: SplitResult) -> int | None:
    """Return the port, 0 when none is named, None when it is none."""
    try:
        return parts.port or 0
    except ValueError:
        return None
