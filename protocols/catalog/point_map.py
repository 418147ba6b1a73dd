"""What a controller file says, checked and ready for use: registers of one model, as points."""

from typing import Literal

from msgspec import Struct

from protocols.readings import Quality, Scalar, Value

Table = Literal["coil", "discrete_input", "input_register", "holding_register"]
TABLES: tuple[Table, ...] = ("coil", "discrete_input", "input_register", "holding_register")
BIT_TABLES: tuple[Table, ...] = ("coil", "discrete_input")

RegisterType = Literal[
    "uint16", "int16", "uint32", "int32", "float32", "bool", "enum16", "bitfield16"
]
WordOrder = Literal["big", "little"]

FRAMINGS = ("standard",)
"""Framing codecs by the name that a controller file uses."""


class PointMap(Struct, frozen=True, kw_only=True):
    """Where one point stands in the registers, and how its raw value is read."""

    name: str
    table: Table
    address: int
    """Zero-based."""
    type: RegisterType
    scale: float = 1.0
    """value = raw * scale + offset"""
    offset: float = 0.0
    invalid: frozenset[int] = frozenset()
    """Unsigned raw values that mean no value."""
    bits: tuple[int, int] | None = None
    """Lowest and highest bit of the register that count, both included; None: all."""
    values: dict[int, Scalar] | None = None
    """Raw value -> value, for enum16 and bool."""
    codes: dict[int, str] | None = None
    """Canonical code by bit (bitfield16) or by raw value (enum16, bool), for lists of codes."""
    valid_when: dict[str, Scalar] | None = None
    """What other points must say for this one to have a value; they are read along with it."""
    as_text: bool = False
    """The point is a text: a whole number is told by its decimal digits."""


class Sample(Struct, frozen=True, kw_only=True):
    """Registers as a device showed them, and what they must be read as."""

    about: str
    image: dict[Table, dict[int, int]]
    expect: dict[str, Value]
    expect_quality: dict[str, Quality]


class Controller(Struct, frozen=True, kw_only=True):
    """One controller model."""

    schema: int
    id: str
    kind: str
    """Kind of asset; its points are canonical."""
    points: tuple[PointMap, ...]
    """As in the file; only a list of codes may stand in several, any other name once."""
    products: tuple[str, ...] = ()
    document: str = ""
    caveats: tuple[str, ...] = ()
    word_order: WordOrder = "big"
    """Which 16-bit word of a 32-bit value comes first: most or least significant."""
    registers_per_read_max: int = 125
    framing: str = "standard"
    samples: tuple[Sample, ...] = ()
