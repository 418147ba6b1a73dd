"""A fleet of cylinders as data: which kinds there are, and how people treat them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0, le=1)]
Days = Annotated[int, Meta(ge=1, le=3_650)]


class FleetKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cylinders of one kind and gas."""

    kind: str
    gas: str
    standard: str = ""
    share: Share
    """Of the fleet; those of all kinds together are the whole of it."""
    returns_days: Days
    """From one filling to the next, on average."""
    tare_kg: Annotated[float, Meta(gt=0, le=10_000)]
    water_capacity_l: float | None = None
    allowable_fill_kg: float | None = None
    extended_share: Share = 0.0
    """Of those at the end of their life: assessed, and extended once."""


class FleetStory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `cylinder_fleet.toml`."""

    schema: Literal[1]
    title: str
    title_zh: str
    fillers: Annotated[int, Meta(ge=2, le=1_000)]
    inspects_days: Days
    replaces_days: Days
    forgotten_share: Share
    strayed_share: Share
    fails_share: Share
    lost_share: Share
    kinds: Annotated[tuple[FleetKind, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse shares that are not the whole."""
        if abs(sum(one.share for one in self.kinds) - 1) > 1e-6:
            raise ValueError("kinds: shares that add up to 1")
