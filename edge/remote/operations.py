"""What a command may ask for. None of them writes to a device."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from protocols.catalog.point_map import BIT_TABLES, Table
from protocols.errors import RefuseInput

LOG_LINES_MAX = 200
STATUS_BYTES_MAX = 60_000
"""Of a larger one the devices of each source are only counted."""
RATE_FOR_S_MAX = 7 * 24 * 3600

Arguments = TypeVar("Arguments", bound=Struct)
Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Gateway(Protocol):
    """What the operations work on."""

    def status(self) -> dict[str, Any]:
        """Everything that is known of the daemon."""
        ...

    async def restart_source(self, name: str) -> None:
        """Stop a source and start it again; RefuseInput `unknown_source`."""
        ...

    async def set_rate(self, asset: str, poll_interval_s: float | None) -> None:
        """Poll an asset at another interval, None: as its site says; `unknown_asset`."""
        ...

    async def read_registers(self, asset: str, table: Table, address: int, count: int) -> list[int]:
        """Read one block of an asset; RefuseInput `unknown_asset`, RetryLater."""
        ...

    def log_tail(self, lines: int) -> list[str]:
        """The newest lines of the log, oldest first."""
        ...


class _Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _RestartSource(Struct, frozen=True, forbid_unknown_fields=True):
    source: str


class _SetRate(Struct, frozen=True, forbid_unknown_fields=True):
    asset: str
    poll_interval_s: Annotated[float, Meta(ge=0.05, le=3600)]
    for_s: Annotated[float, Meta(gt=0, le=RATE_FOR_S_MAX)] | None = None
    """None: until the daemon starts again or another configuration comes."""


class _LogTail(Struct, frozen=True, forbid_unknown_fields=True):
    lines: Annotated[int, Meta(ge=1, le=LOG_LINES_MAX)] = 50


class _ReadRegisters(Struct, frozen=True, forbid_unknown_fields=True):
    asset: str
    table: Table
    address: Annotated[int, Meta(ge=0, le=0xFFFF)]
    count: Annotated[int, Meta(ge=1, le=125)] = 1


class Operations:
    """Each by its name, as `down/command` names it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._reverting: set[asyncio.Task[None]] = set()

    def by_name(self) -> dict[str, Operation]:
        """Return all."""
        return {
            "ping": self._ping,
            "status": self._status,
            "restart_source": self._restart_source,
            "set_rate": self._set_rate,
            "log_tail": self._log_tail,
            "read_registers": self._read_registers,
        }

    async def _ping(self, _args: dict[str, Any]) -> dict[str, Any]:
        return {}

    async def _status(self, args: dict[str, Any]) -> dict[str, Any]:
        _arguments(args, _Nothing)
        status = self._gateway.status()
        if len(msgspec.json.encode(status)) > STATUS_BYTES_MAX:
            for source in status["sources"].values():
                source["devices"] = len(source["devices"])
        return status

    async def _restart_source(self, args: dict[str, Any]) -> dict[str, Any]:
        await self._gateway.restart_source(_arguments(args, _RestartSource).source)
        return {}

    async def _set_rate(self, args: dict[str, Any]) -> dict[str, Any]:
        wanted = _arguments(args, _SetRate)
        await self._gateway.set_rate(wanted.asset, wanted.poll_interval_s)
        if (timer := self._timers.pop(wanted.asset, None)) is not None:
            timer.cancel()
        if wanted.for_s is not None:
            loop = asyncio.get_running_loop()
            self._timers[wanted.asset] = loop.call_later(wanted.for_s, self._revert, wanted.asset)
        return {"poll_interval_s": wanted.poll_interval_s}

    async def _log_tail(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"lines": self._gateway.log_tail(_arguments(args, _LogTail).lines)}

    async def _read_registers(self, args: dict[str, Any]) -> dict[str, Any]:
        wanted = _arguments(args, _ReadRegisters)
        if wanted.address + wanted.count > 0x1_0000:
            raise RefuseInput("bad_args", "expected registers up to 65535")
        words = await self._gateway.read_registers(
            wanted.asset, wanted.table, wanted.address, wanted.count
        )
        return {"bits" if wanted.table in BIT_TABLES else "registers": words}

    def _revert(self, asset: str) -> None:
        self._timers.pop(asset, None)
        task = asyncio.get_running_loop().create_task(self._to_normal(asset))
        self._reverting.add(task)
        task.add_done_callback(self._reverting.discard)

    async def _to_normal(self, asset: str) -> None:
        try:
            await self._gateway.set_rate(asset, None)
        except RefuseInput:  # a configuration without it came meanwhile
            return


def _arguments(args: dict[str, Any], type_: type[Arguments]) -> Arguments:
    try:
        return msgspec.convert(args, type_)
    except msgspec.ValidationError as error:
        raise RefuseInput("bad_args", str(error)) from None
