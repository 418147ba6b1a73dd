"""What a gateway does where its site file says nothing; read from `defaults.toml`."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.limits import SNAPSHOT_INTERVAL_S

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class ModbusDefaults(Struct, frozen=True, kw_only=True):
    """How a bus is read."""

    poll_interval_s: Annotated[float, Meta(ge=0.05, le=3600)]
    timeout_tcp_s: Seconds
    """Also for RTU over TCP."""
    timeout_serial_s: Seconds
    """The shortest; never less than the baud rate asks for."""
    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000)]
    gap_max: Annotated[int, Meta(ge=0, le=125)]
    """Unlisted registers read along rather than starting another read."""


class SilentDefaults(Struct, frozen=True, kw_only=True):
    """When a unit that does not answer is put aside, and how long."""

    failures: Annotated[int, Meta(ge=1, le=100)]
    """Polls in a row without an answer."""
    after_s: Seconds
    """Or two of them and so long a time."""
    back_off_max_s: Seconds


class ReportingDefaults(Struct, frozen=True, kw_only=True):
    """What is sent without a change."""

    snapshot_interval_s: Annotated[float, Meta(ge=1, le=SNAPSHOT_INTERVAL_S)]
    """All points of an asset at least this often."""


class ReaderDefaults(Struct, frozen=True, kw_only=True):
    """How tags are read."""

    away_s: Annotated[float, Meta(ge=0.1, le=3600)]
    """A tag not seen for longer has been away."""


class SpoolDefaults(Struct, frozen=True, kw_only=True):
    """How much disk the spool may take."""

    bytes_max: Annotated[int, Meta(ge=1024 * 1024)]


class Defaults(Struct, frozen=True, kw_only=True):
    """All defaults of a gateway."""

    schema: Literal[1]
    modbus: ModbusDefaults
    silent: SilentDefaults
    reporting: ReportingDefaults
    readers: ReaderDefaults
    spool: SpoolDefaults


def load_defaults(path: Path) -> Defaults:
    """Read a defaults file.

    Raises:
        FixConfiguration: with all its faults.

    """
    return load_toml(path, Defaults)


@lru_cache(maxsize=1)
def defaults() -> Defaults:
    """Return the shipped defaults; cached, errors as `load_defaults`."""
    return load_defaults(data_root() / "defaults.toml")
