"""UN/ECE units and how they convert, for quantities and sensors' numbers."""

from msgspec import Struct


class Unit(Struct, frozen=True, kw_only=True):
    """One unit; a value in it times `factor` plus `offset` is the value in its kind's base unit."""

    code: str
    name: str
    factor: float
    offset: float = 0.0

    def to_base(self, value: float) -> float:
        """Convert a value to the base unit of the kind."""
        return value * self.factor + self.offset

    def from_base(self, value: float) -> float:
        """Convert a value from the base unit of the kind."""
        return (value - self.offset) / self.factor


class Kind(Struct, frozen=True, kw_only=True):
    """Units that measure one thing."""

    id: str
    base: str
    """Name of the base unit."""
    units: tuple[Unit, ...]
