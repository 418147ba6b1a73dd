"""A bar code scanner that types as a keyboard; it is grabbed, so that no console hears it."""

import contextlib
import select
from collections.abc import Mapping, Sequence

import evdev
from evdev import ecodes

from edge.settings import Scanner
from edge.sources.base import READ_WAIT_S, Driver, OpenDriver, Seen, TextSeen
from edge.sources.keys import Typing
from edge.sources.texts import GAP_S, Habit, TextCutter
from protocols.errors import RetryLater

_TYPES_CODES = frozenset({ecodes.KEY_1, ecodes.KEY_0, ecodes.KEY_A, ecodes.KEY_ENTER})


def opener(scanner: Scanner) -> OpenDriver:
    """Return a function that opens this scanner."""
    habit = Habit()

    def open_scanner() -> Driver:
        device = _find(scanner.device)
        try:
            device.grab()
        except OSError as error:
            device.close()
            raise RetryLater(f"{device.path!s} cannot be had alone: {error}") from None
        return HidScanner(device, TextCutter(habit))

    return open_scanner


class HidScanner:
    """One scanner, open and grabbed."""

    def __init__(self, device: evdev.InputDevice[str], cutter: TextCutter) -> None:
        self._device, self._cutter = device, cutter
        self._path = str(device.path)
        self._typing = Typing()
        self._events_lost = 0

    def read(self) -> Sequence[Seen]:
        """Wait for the texts of bar codes.

        Raises:
            RetryLater: the scanner is gone.

        """
        wait_s = GAP_S if self._cutter.waiting else READ_WAIT_S
        try:
            if not select.select([self._device.fd], [], [], wait_s)[0]:
                return [TextSeen(text) for text in self._cutter.silence()]
            events = list(self._device.read())
        except BlockingIOError:
            return []
        except OSError as error:
            raise RetryLater(f"{self._path}: {error}") from None
        if not events:
            raise RetryLater(f"{self._path} has ended")
        return [TextSeen(text) for event in events for text in self._take(event)]

    def close(self) -> None:
        """Let go of the device; a text that has begun is torn."""
        self._cutter.tear()
        with contextlib.suppress(OSError):
            self._device.close()

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped on the way."""
        own = {"keys_unknown": self._typing.unknown, "events_lost": self._events_lost}
        return {**self._cutter.counters, **own}

    def _take(self, event: evdev.InputEvent) -> list[bytes]:
        if event.type == ecodes.EV_SYN and event.code == ecodes.SYN_DROPPED:
            self._events_lost += 1
            self._typing.forget()
            self._cutter.tear()
        elif event.type == ecodes.EV_KEY:
            return self._cutter.feed(self._typing.key(event.code, event.value))
        return []


def _find(wanted: str) -> evdev.InputDevice[str]:
    """Open the input device of this path, or the one of this name.

    Raises:
        RetryLater: it is not there, or several have this name.

    """
    if wanted.startswith("/"):
        try:
            return evdev.InputDevice(wanted)
        except OSError as error:
            raise RetryLater(f"{wanted}: {error}") from None
    found = _named(wanted)
    if len(found) == 1:
        return found[0]
    paths = ", ".join(str(device.path) for device in found)
    for device in found:
        device.close()
    if found:
        raise RetryLater(f"{len(found)} keyboards are called {wanted!r}; give a path: {paths}")
    raise RetryLater(f"no keyboard is called {wanted!r}")


def _named(name: str) -> list[evdev.InputDevice[str]]:
    """Open what has this name and can type codes; a scanner's other interfaces cannot."""
    found = []
    for path in evdev.list_devices():
        with contextlib.suppress(OSError):  # gone meanwhile, or not for us
            device = evdev.InputDevice(path)
            keys = device.capabilities().get(ecodes.EV_KEY, ())
            if device.name == name and _TYPES_CODES.issubset(keys):
                found.append(device)
            else:
                device.close()
    return found
