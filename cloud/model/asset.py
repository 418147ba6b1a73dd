"""A registered thing, or one only heard of."""

from typing import Any

import msgspec

from protocols.readings import Quality, Value

DISTRICT_CHARS_MAX = 64


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """An asset of the registry; `registered` is False for one only heard of."""

    asset_id: str
    kind: str
    name: str = ""
    gateways: list[str] = []
    """Only these may report it; empty: any."""
    attributes: dict[str, Any] = {}
    """For a lift, among others `address`, `district`, `rescue_code`, `maintenance_phone`."""
    category: str = ""
    """As in firmware_config/access/categories.toml; empty: of none."""
    parties: dict[str, str] = {}
    """Organisations by the part that they play: `owner`, `maintainer`, `filler`, …"""
    registered: bool = True
    updated_at: int | None = None
    findings: list["Finding"] = []

    @property
    def district(self) -> str:
        """Where it stands, as the attribute says; empty: nobody has placed it."""
        district = self.attributes.get("district", "")
        return district[:DISTRICT_CHARS_MAX] if isinstance(district, str) else ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something about an asset that a person should look at; never a refusal."""

    reason: str
    detail: str
    count: int
    first_at: int
    last_at: int
    resolved_at: int | None = None
    """When somebody had dealt with it; None: not yet, or it was found again since."""


class LatestValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest known value of a point; quality says what was heard last."""

    value: Value
    observed_at: int
    quality: Quality = "good"
