"""A registered thing, or one only heard of."""

from typing import Any

import msgspec

from protocols.readings import Quality, Value


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """An asset of the registry; `registered` is False for one only heard of."""

    asset_id: str
    kind: str
    name: str = ""
    gateways: list[str] = []
    """Only these may report it; empty: any."""
    attributes: dict[str, Any] = {}
    """For a lift, among others `address`, `district`, `rescue_code`, `maintenance_phone`."""
    registered: bool = True
    updated_at: int | None = None
    findings: list["Finding"] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something about an asset that a person should look at; never a refusal."""

    reason: str
    detail: str
    count: int
    first_at: int
    last_at: int


class LatestValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest known value of a point; quality says what was heard last."""

    value: Value
    observed_at: int
    quality: Quality = "good"
