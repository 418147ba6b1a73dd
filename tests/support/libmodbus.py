"""libmodbus through ctypes: a Modbus client that shares no code with pymodbus."""

import ctypes
import ctypes.util
from ctypes import POINTER, c_char, c_char_p, c_int, c_uint8, c_uint16, c_uint32, c_void_p
from types import TracebackType
from typing import Self

import pytest


def load() -> ctypes.CDLL:
    """Load the library, or skip the test on a machine without it."""
    found = ctypes.util.find_library("modbus")
    if found is None:
        pytest.skip("libmodbus is not installed (Debian: apt-get install libmodbus5)")
    library = ctypes.CDLL(found, use_errno=True)
    library.modbus_new_tcp.argtypes, library.modbus_new_tcp.restype = [c_char_p, c_int], c_void_p
    library.modbus_new_rtu.argtypes = [c_char_p, c_int, c_char, c_int, c_int]
    library.modbus_new_rtu.restype = c_void_p
    library.modbus_set_slave.argtypes = [c_void_p, c_int]
    library.modbus_set_response_timeout.argtypes = [c_void_p, c_uint32, c_uint32]
    library.modbus_connect.argtypes = [c_void_p]
    library.modbus_close.argtypes = library.modbus_free.argtypes = [c_void_p]
    for name in ("modbus_read_registers", "modbus_read_input_registers"):
        getattr(library, name).argtypes = [c_void_p, c_int, c_int, POINTER(c_uint16)]
    for name in ("modbus_read_bits", "modbus_read_input_bits"):
        getattr(library, name).argtypes = [c_void_p, c_int, c_int, POINTER(c_uint8)]
    library.modbus_strerror.restype = c_char_p
    return library


class LibModbus:
    """A connected client; calls block."""

    def __init__(self, *, port: int = 0, device: str = "", baud_rate: int = 9600) -> None:
        self._library = load()
        if device:
            made = self._library.modbus_new_rtu(device.encode(), baud_rate, b"N", 8, 1)
        else:
            made = self._library.modbus_new_tcp(b"127.0.0.1", port)
        self._context = made
        self._library.modbus_set_response_timeout(made, 0, 500_000)
        self._check(self._library.modbus_connect(made))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._library.modbus_close(self._context)
        self._library.modbus_free(self._context)

    def read(self, table: str, unit_id: int, address: int, count: int) -> list[int]:
        """Read words or bits; an OSError carries libmodbus's errno."""
        call, kind = {
            "holding_register": (self._library.modbus_read_registers, c_uint16),
            "input_register": (self._library.modbus_read_input_registers, c_uint16),
            "coil": (self._library.modbus_read_bits, c_uint8),
            "discrete_input": (self._library.modbus_read_input_bits, c_uint8),
        }[table]
        self._check(self._library.modbus_set_slave(self._context, unit_id))
        buffer = (kind * count)()
        self._check(call(self._context, address, count, buffer))
        return list(buffer)

    def _check(self, result: int) -> None:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, self._library.modbus_strerror(c_int(code)).decode())
