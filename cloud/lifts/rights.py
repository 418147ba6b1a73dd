"""Who may do what with a lift, and what its file tells the registry of assets."""

from cloud.lifts.base import Registry
from cloud.model.asset import Asset
from cloud.model.lift import ATTRIBUTES, LiftEntry
from cloud.model.permissions import category_of
from cloud.model.principal import Granted, Scope
from cloud.model.registering import parties_after
from protocols.errors import RefuseInput
from protocols.ids import scheme_of
from protocols.lifts.base import SCHEME
from protocols.lifts.records import RecordKind


def asset_after(earlier: Asset | None, asset_id: str, body: LiftEntry, granted: Granted) -> Asset:
    """Return the asset of a lift as it will be registered; `updated_at` is not set yet.

    Raises:
        RefuseInput: `not_found`, `forbidden`.

    """
    asked = None
    if body.parties is not None:
        asked = {str(part): one for part, one in body.parties.items() if one}
    parties = parties_after(asked, earlier, granted)
    attributes = dict(earlier.attributes) if earlier else {}
    for name in ATTRIBUTES:
        value = getattr(body, name)
        if value is None or value == "":
            attributes.pop(name, None)
        else:
            attributes[name] = value
    after = Asset(
        asset_id=asset_id,
        kind=SCHEME,
        name=body.name or (earlier.name if earlier else ""),
        gateways=earlier.gateways if earlier else [],
        attributes=attributes,
        category=category_of(SCHEME),
        parties=parties,
    )
    if not granted.scope.admits(after):
        raise RefuseInput("forbidden", "district and parties: expected some of your own")
    return after


def known_lift(registry: Registry, asset_id: str, scope: Scope) -> Asset:
    """Return the asset of a lift within a scope, also one only heard of.

    Raises:
        RefuseInput: `not_found`; one outside is not told from one that does not exist.

    """
    asset = registry.peek(asset_id) or Asset(asset_id=asset_id, kind=SCHEME, registered=False)
    lift = scheme_of(asset_id) == SCHEME and asset.kind == SCHEME
    if not lift or not scope.admits(asset):
        raise RefuseInput("not_found", f"no lift {asset_id[:97]!r}")
    return asset


def check_may_record(granted: Granted, asset: Asset, kind: RecordKind, of: RecordKind) -> None:
    """Refuse an entry that is not the caller's to write.

    An office writes of what it looks after; a firm must play one of the parts of the kind.

    Args:
        granted: the call.
        asset: the lift.
        kind: of the entry.
        of: whose call it is: the kind itself, or of the entry that is withdrawn.

    Raises:
        RefuseInput: `forbidden`.

    """
    if of.call != granted.call:
        raise RefuseInput("forbidden", f"kind: a {of.id} is written by {of.call}")
    scope = granted.scope
    if scope.everything or any(remit.admits(asset) for remit in scope.remits):
        return
    played = {part for part, one in asset.parties.items() if one in scope.organisations}
    if not played & set(kind.parts):
        expected = ", ".join(kind.parts)
        raise RefuseInput("forbidden", f"kind: a {kind.id} is written by its {expected}")
