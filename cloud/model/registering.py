"""Registering an asset: what may be asked, and by whom."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from cloud.model.asset import Asset
from cloud.model.permissions import Word, category_of
from cloud.model.principal import Granted, Scope
from protocols.errors import RefuseInput

OrganisationId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
CYLINDER, FILLER = "cylinder", "filler"
"""The kind of asset that has a file of its own, and the part of whoever fills it."""
_KIND = "^[a-z][a-z0-9_]{0,31}$"
_NO_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class AssetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a PUT carries."""

    kind: Annotated[str, Meta(pattern=_KIND)] | None = None
    """Without it, the scheme of the asset id."""
    name: Annotated[str, Meta(max_length=200)] = ""
    gateways: Annotated[
        list[Annotated[str, Meta(pattern="^[a-z0-9-]{1,64}$")]], Meta(max_length=64)
    ] = []
    attributes: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=64)], Any], Meta(max_length=100)
    ] = {}
    parties: Annotated[dict[Word, OrganisationId], Meta(max_length=16)] | None = None
    """Organisations by the part that they play; without it they stay as they are."""

    def __post_init__(self) -> None:
        """Refuse a name that does not show."""
        if _NO_CONTROL.search(self.name):
            raise ValueError("name: expected text without control characters")


class Seen(msgspec.Struct, frozen=True):
    """What is known of gateways."""

    admits_gateway: Callable[[Scope, str], bool]
    names_gateway: Callable[[str], bool]
    assets_of: Callable[[str], Sequence[str]]


def is_new(earlier: Asset | None) -> bool:
    """Tell whether registering it adds an asset; one only heard of is none yet."""
    return earlier is None or not earlier.registered


def parties_after(
    asked: dict[str, str] | None, earlier: Asset | None, granted: Granted
) -> dict[str, str]:
    """Return the parties of an asset after a change.

    Who speaks for one organisation only registers as its owner, and changes no part of another.

    Raises:
        RefuseInput: `not_found` when the asset is none of the caller's; `forbidden` when the
            parties asked for are not theirs to set.

    """
    scope, before = granted.scope, dict(earlier.parties) if earlier else {}
    if earlier is not None and earlier.registered and not scope.admits(earlier):
        raise RefuseInput("not_found", f"{earlier.asset_id} is registered to others")
    if scope.everything or scope.remits:
        return before if asked is None else asked
    own = granted.principal.organisation or ""
    after = before or {"owner": own} if asked is None else asked
    changed = {part for part in {*before, *after} if before.get(part) != after.get(part)}
    if any({before.get(part, own), after.get(part, own)} != {own} for part in changed):
        raise RefuseInput("forbidden", "parties: another organisation's part is not yours to set")
    return after


def what_changes(earlier: Asset | None, body: AssetBody, parties: dict[str, str]) -> dict[str, Any]:
    """Return what the audit says of a change: which fields, not what is in them."""
    before = earlier or Asset(asset_id="", kind="", registered=False)
    fields = ["name"] if before.name != body.name else []
    fields += ["gateways"] if before.gateways != sorted(set(body.gateways)) else []
    for what, old, new in (
        ("attributes", before.attributes, body.attributes),
        ("parties", before.parties, parties),
    ):
        names = sorted({*old, *new})
        fields += [f"{what}.{name}" for name in names if old.get(name) != new.get(name)]
    return {"state": "changed" if before.registered else "registered", "fields": fields}


def check_cylinder(earlier: Asset | None, kind: str, parties: dict[str, str]) -> None:
    """Keep what the file of a cylinder says: it stays one, and is handed over by a transfer alone.

    Raises:
        RefuseInput: `wrong_state`.

    """
    if earlier is None or earlier.kind != CYLINDER:
        return
    if kind != CYLINDER:
        raise RefuseInput("wrong_state", f"kind: expected {CYLINDER}, found {kind}")
    before, after = earlier.parties.get(FILLER), parties.get(FILLER)
    if before != after:
        expected = f"{before or 'none'} until it is transferred"
        raise RefuseInput("wrong_state", f"parties.filler: expected {expected}, found {after}")


def check_place(kind: str, body: AssetBody, parties: dict[str, str], scope: Scope) -> None:
    """Refuse to put an asset where the caller could not see it."""
    after = Asset(
        asset_id="",
        kind=kind,
        attributes=body.attributes,
        category=category_of(kind),
        parties=parties,
    )
    if not scope.admits(after):
        raise RefuseInput("forbidden", "district, kind and parties: expected some of your own")


def check_gateways(
    seen: Seen, asset_id: str, body: AssetBody, earlier: Asset | None, scope: Scope
) -> None:
    """Refuse to name gateways of others: whoever names one sees what it reads.

    An office may also name one that nobody has claimed; a firm may not, and registers what was
    heard of already only if a gateway of its own told of it.
    """
    office = scope.everything or bool(scope.remits)
    scheme, _, code = asset_id.partition(":")
    for gateway in [*body.gateways, code] if scheme == "gateway" else body.gateways:
        if seen.admits_gateway(scope, gateway):
            continue
        if not office or seen.names_gateway(gateway):
            raise RefuseInput("forbidden", f"gateways: {gateway} is none of yours")
    if office or earlier is None or earlier.registered:
        return
    if not any(asset_id in seen.assets_of(gateway) for gateway in body.gateways):
        detail = "reported by gateways that are not yours: the district can register it"
        raise RefuseInput("forbidden", detail)
