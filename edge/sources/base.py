"""What a source is: something that runs until cancelled and emits samples or scans."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from protocols.catalog.point_map import Controller, Table
from protocols.readings import Quality, Value
from protocols.records import Code
from protocols.topics import Stream


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is worth reporting of one asset at one moment: changed points, or all of a snapshot."""

    asset: str
    at_boot_ms: int
    """When the device answered, ms since boot; the collector turns it into wall time."""
    stream: Stream
    """`alarm`: commit within 20 ms and send at once; `data`: group up to 1 s."""
    values: dict[str, Value]
    quality: dict[str, Quality] = {}
    """Only for values that are not good."""


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """One physical reading of a tag or bar code."""

    reader: str
    """The id that the site file gives the reader or scanner."""
    step: str | None
    """Business step of what is scanned here."""
    at_boot_ms: int
    """When it was read, ms since boot."""
    codes: tuple[Code, ...]
    """At least one."""
    findings: tuple[str, ...] = ()
    """Closed words: what is wrong with it; codes that it makes doubtful are not among `codes`."""
    rssi_dbm: int | None = None
    key: bytes = b""
    """Of a tag: tells it from others on its reader until `Gone`; empty for a bar code."""
    tare_kg: float | None = None
    """As in `Recognised`."""


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """A tag has been away from its reader for so long that it counts as having left."""

    reader: str
    at_boot_ms: int
    key: bytes | None = None
    """None: the reader itself is gone, so that nobody knows of any of its tags."""


class MovingWeight(msgspec.Struct, frozen=True, gc=False):
    """What a scale shows while its weight moves: to watch a filling by, never recorded."""

    asset: str
    at_boot_ms: int
    kg: float


Emitted = Sample | Scanned | Gone | MovingWeight
Emit = Callable[[Emitted], None]


class Recognised(msgspec.Struct, frozen=True):
    """What a reading says: codes in their schemes, and what is wrong with it."""

    codes: tuple[Code, ...] = ()
    findings: tuple[str, ...] = ()
    tare_kg: float | None = None
    """What stands on the tag as the tare of its cylinder."""


class TagSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader got from one tag, undecoded."""

    key: bytes
    """Tells this tag from others on the reader: its UID, or its EPC."""
    technology: Literal["type2", "type3", "type4", "type5", "other", "gen2"]
    """NFC Forum type of an HF tag, or EPC Gen2; `other`: a card of which only the UID is read."""
    uid: bytes | None = None
    """None where there is none (UHF), or a new one each time the tag comes."""
    banks: dict[str, bytes] = {}
    """By name: HF `cc` (capability container), `user` (memory from its first user page or block,
    CC included for type 5), `ndef` (the message of type 3 and 4, without length), `version`,
    `signature`; UHF `pc`, `epc`, `tid`, `user`."""
    complete: bool = True
    """False: it was torn away, or a bank could not be read, so that `banks` are cut or missing."""
    rssi_dbm: int | None = None
    stays: bool = False
    """True: it is there until the reader says `TagGone`, seen again or not."""


class TagGone(msgspec.Struct, frozen=True):
    """A reader that can tell says that a tag has left."""

    key: bytes


class TextSeen(msgspec.Struct, frozen=True):
    """What a scanner sent for one bar code: bytes without its line end or prefix keys."""

    raw: bytes


class WeightSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a weighing indicator."""

    values: dict[str, Value]
    quality: dict[str, Quality] = {}


Seen = TagSeen | TagGone | TextSeen | WeightSeen

RecogniseTag = Callable[[TagSeen], Recognised]
RecogniseText = Callable[[bytes], Recognised]


class Driver(Protocol):
    """One device, open. Calls block; one thread at a time, not always the same."""

    def read(self) -> Sequence[Seen]:
        """Wait at most READ_WAIT_S and return what came; what is malformed is counted, not raised.

        Raises:
            RetryLater: the device is gone or broken; close it and open it anew.

        """
        ...

    def close(self) -> None:
        """Let go of the device, whatever state it is in; raises nothing."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped on the way, by closed words such as `bad_checksum`."""
        ...


OpenDriver = Callable[[], Driver]
"""Opens a device; blocks at most some seconds; raises RetryLater while it is not there."""

READ_WAIT_S = 0.5


class Source(Protocol):
    """One bus or reader."""

    @property
    def name(self) -> str:
        """The id that the site file gives it."""
        ...

    async def run(self, emit: Emit) -> None:
        """Read until cancelled; device and link errors are counted and survived, never raised."""
        ...

    def status(self) -> dict[str, Any]:
        """Return health and counters as plain JSON data, for `status` and the fleet page."""
        ...


Columns = tuple[Stream, dict[str, Value], dict[str, Quality]]
"""What is worth reporting of one moment: stream, values, and the qualities that are not good."""


class Registers(Protocol):
    """Neighbouring registers that were read together; the same object each time."""

    @property
    def table(self) -> Table:
        """Where they are."""
        ...

    @property
    def address(self) -> int:
        """Zero-based address of the first."""
        ...

    @property
    def count(self) -> int:
        """How many."""
        ...


Read = tuple[Registers, list[int]]
"""Registers and the words that they held."""


class Decoder(Protocol):
    """What a source needs of the decoding of one device: it keeps what was told last."""

    def observe(
        self, reads: Sequence[Read], at_boot_ms: int, doubtful: Sequence[Registers] = ()
    ) -> list[Columns]:
        """Take in what the device answered; return what changed, or all when a snapshot is due.

        The urgent points of `doubtful` registers stay as they were.
        """
        ...

    def urgent_span(self, registers: Registers, words: list[int]) -> tuple[int, int] | None:
        """Return offset and count of the registers that would change an urgent point, if any."""
        ...

    def agree(
        self, registers: Registers, words: list[int], span: tuple[int, int], again: list[int]
    ) -> bool:
        """Tell whether a second read of `span` says the same of the urgent points in it."""
        ...

    def lose(self, registers: Registers) -> list[Columns]:
        """Give up the points in these registers until they are read again: null, not good."""
        ...

    def silence(self) -> list[Columns]:
        """Say that the device is put aside as silent; the next answer says that it is back."""
        ...


DecoderFactory = Callable[[str, Controller], Decoder]
"""Makes the decoder of one asset from its id and its controller file."""
