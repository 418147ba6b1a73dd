"""A bar code scanner that types as a keyboard, for machines without one.

Debian's umockdev shows a process an input device that does not exist. A child process of ours makes
it; whoever shall see it is started with the variables of `environment`, and is otherwise unchanged.
"""

import ctypes
import fcntl
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

LIBRARY = "libumockdev.so.0"
PRELOAD = "libumockdev-preload.so.0"
_KEYS_MAX = 127
_SHIFT, _CTRL, _ALT = 42, 29, 56
_EV_SYN, _EV_KEY, _EV_MSC = 0, 1, 4
SYN_DROPPED = 3
EVENT_BYTES = struct.calcsize("llHHi")
CHUNK_BYTES = 8 * EVENT_BYTES
READER_S = 0.0002
"""A terminal, by which umockdev hands events over, may hand half of one to a reader that is just
reading: only what waits for more gets whole ones."""
_PLAIN = {
    **dict(zip("1234567890-=", range(2, 14), strict=True)),
    **dict(zip("qwertyuiop[]", range(16, 28), strict=True)),
    **dict(zip("asdfghjkl;'`\\zxcvbnm,./", [*range(30, 42), *range(43, 54)], strict=True)),
    "\t": 15,
    "\r": 28,
    " ": 57,
}
_SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))
_KEYPAD = dict(zip("7894561230", (71, 72, 73, 75, 76, 77, 79, 80, 81, 82), strict=True))
Press = tuple[int, int]
"""Key code, and 1 for down or 0 for up."""


def presses(text: str, *, alt_codes: bool = False) -> Iterator[Press]:
    """Type a text for a US keyboard; what has no key goes by Ctrl, or by Alt and its number."""
    for character in text:
        if character in _PLAIN:
            yield from _tap(_PLAIN[character])
        elif character in _SHIFTED:
            yield from _with(_SHIFT, _PLAIN[_SHIFTED[character]])
        elif character.isascii() and character.isalpha():
            yield from _with(_SHIFT, _PLAIN[character.lower()])
        elif ord(character) < 0x20 and not alt_codes:
            base = chr(ord(character) | 0x40).lower()
            yield from _with(_CTRL, _PLAIN[_SHIFTED.get(base, base)])
        else:
            number = int.from_bytes(character.encode("gbk"), "big")
            yield from _with(_ALT, *(_KEYPAD[digit] for digit in f"{number:03d}"))


def event(kind: int, code: int, value: int) -> bytes:
    """Write one `struct input_event`."""
    return struct.pack("llHHi", 0, 0, kind, code, value)


def _tap(code: int) -> Iterator[Press]:
    yield code, 1
    yield code, 0


def _with(modifier: int, *codes: int) -> Iterator[Press]:
    yield modifier, 1
    for code in codes:
        yield from _tap(code)
    yield modifier, 0


class Keyboard:
    """One scanner; begins pulled out. Each time that it comes it has another path, as on USB."""

    def __init__(self, name: str = "Suyuan USB Scanner") -> None:
        """Choose its name.

        Raises:
            RuntimeError: umockdev is not installed.

        """
        self.name = name
        command = [sys.executable, "-m", "simulators.keyboard", name]
        self._host = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._host.stdin is None or self._host.stdout is None:  # both were asked for
            raise RuntimeError("a child process without pipes")
        self._orders, self._answers = self._host.stdin, self._host.stdout
        self._root = self._answer()
        if not self._root:
            self.close()
            raise RuntimeError("no simulated keyboard (Debian: apt-get install umockdev)")

    @property
    def environment(self) -> dict[str, str]:
        """What a process must be started with to see the scanner come and go."""
        return {"LD_PRELOAD": PRELOAD, "UMOCKDEV_DIR": self._root}

    def plug(self) -> None:
        """Make the scanner appear."""
        self._order("plug")

    def unplug(self) -> None:
        """Make it disappear."""
        self._order("unplug")

    def type_text(self, text: str, *, end: str = "\r", alt_codes: bool = False) -> None:
        """Type a text and its end."""
        typed = presses(text + end, alt_codes=alt_codes)
        self.send(b"".join(event(_EV_KEY, *one) + event(_EV_SYN, 0, 0) for one in typed))

    def send(self, events: bytes) -> None:
        """Send raw input events; nothing when it is pulled out."""
        self._order(f"send {events.hex()}")

    def close(self) -> None:
        """End it, after the processes that see it."""
        self._orders.close()
        self._host.wait()
        self._answers.close()
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)

    def _order(self, text: str) -> None:
        self._orders.write(f"{text}\n")
        self._orders.flush()
        self._answer()

    def _answer(self) -> str:
        return self._answers.readline().strip()


class _Machine:
    """A machine with one input device that comes and goes; runs in the child process."""

    def __init__(self, name: str) -> None:
        self._name = name
        library = self._library = ctypes.CDLL(LIBRARY)
        library.umockdev_testbed_new.restype = ctypes.c_void_p
        library.umockdev_testbed_get_root_dir.restype = ctypes.c_char_p
        self._testbed = ctypes.c_void_p(library.umockdev_testbed_new())
        self.root: str = library.umockdev_testbed_get_root_dir(self._testbed).decode()
        self._number = 0
        self._keys = self._terminal = -1

    def plug(self) -> None:
        self.unplug()
        self._number += 1
        place = f"input/event{self._number}"
        device = f"P: /devices/usb1/{place}\nN: {place}\nE: DEVNAME=/dev/{place}\n"
        device += "E: SUBSYSTEM=input\nE: ID_INPUT=1\nE: ID_INPUT_KEYBOARD=1\n"
        device += f"A: dev=13:{64 + self._number}\n\n"
        self._call("add_from_string", device.encode(), None)
        with tempfile.NamedTemporaryFile("w", suffix=".ioctl") as file:
            file.write(_ioctls(f"/dev/{place}", self._name))
            file.flush()
            self._call("load_ioctl", f"/dev/{place}".encode(), file.name.encode(), None)
        self._keys = self._call("get_dev_fd", f"/dev/{place}".encode())
        self._terminal = os.open(f"{self.root}/dev/{place}", os.O_RDWR | os.O_NOCTTY)

    def unplug(self) -> None:
        if self._keys < 0:
            return
        self._call("remove_device", f"/sys/devices/usb1/input/event{self._number}".encode())
        mapped = os.ttyname(self._terminal).replace("/", "_")  # umockdev forgets to
        Path(self.root, "dev", ".ptymap", mapped).unlink(missing_ok=True)
        for file in (self._keys, self._terminal):
            os.close(file)
        self._keys = self._terminal = -1

    def send(self, events: bytes) -> None:
        for start in range(0, len(events), CHUNK_BYTES):
            while self._keys >= 0 and _waiting_bytes(self._terminal):
                time.sleep(READER_S)
            if self._keys >= 0:
                time.sleep(READER_S)
                os.write(self._keys, events[start : start + CHUNK_BYTES])

    def _call(self, name: str, *arguments: bytes | None) -> int:
        call = getattr(self._library, f"umockdev_testbed_{name}")
        return int(call(self._testbed, *arguments))


def _waiting_bytes(terminal: int) -> int:
    """Count what nobody has read; asking for readiness makes the kernel hand over what it holds."""
    select.select([terminal], [], [], 0)
    count = fcntl.ioctl(terminal, termios.FIONREAD, bytes(4))
    return int.from_bytes(count, sys.byteorder)


def _bits(codes: range | tuple[int, ...], size: int) -> bytes:
    found = bytearray(size)
    for code in codes:
        found[code // 8] |= 1 << code % 8
    return bytes(found)


def _ioctls(device: str, name: str) -> str:
    """Write what the kernel would answer; the sizes are those that python-evdev asks for."""
    text = name.encode()[:255]
    answers = (
        ("EVIOCGID", 0, struct.pack("<HHHH", 3, 0x1234, 0x5678, 0x110)),
        ("EVIOCGVERSION", 0, struct.pack("<i", 0x10001)),
        ("EVIOCGNAME", len(text) + 1, text.ljust(256, b"\0")),
        ("EVIOCGPHYS", 6, b"usb-1".ljust(256, b"\0")),
        ("EVIOCGUNIQ", 1, bytes(256)),
        ("EVIOCGBIT(0)", 4, _bits((_EV_SYN, _EV_KEY, _EV_MSC), 4)),
        ("EVIOCGBIT(1)", 96, _bits(range(1, _KEYS_MAX), 96)),
        ("EVIOCGBIT(4)", 96, _bits((4,), 96)),
        ("EVIOCGEFFECTS", 0, bytes(4)),
    )
    lines = [f"{request} {result} {data.hex().upper()}" for request, result, data in answers]
    return "\n".join([f"@DEV {device}", *lines, ""])


def _serve(name: str) -> None:
    """Be the machine with the scanner; orders come on standard input, each is answered."""
    machine = _Machine(name)
    sys.stdout.write(f"{machine.root}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        match line.split():
            case ["plug"]:
                machine.plug()
            case ["unplug"]:
                machine.unplug()
            case ["send", events]:
                machine.send(bytes.fromhex(events))
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
