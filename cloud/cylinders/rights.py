"""Who may do what with a cylinder, beyond what the call itself asks for."""

from cloud.cylinders.base import Organisations, Registry
from cloud.model.asset import Asset
from cloud.model.cylinder import SCHEME, CylinderFile
from cloud.model.permissions import category_of
from cloud.model.principal import Scope
from cloud.model.registering import FILLER
from protocols.errors import RefuseInput

FILLING_STATION, INSPECTION_BODY = "filling_station", "inspection_body"


def asset_after(earlier: Asset | None, asset_id: str, district: str | None, filler: str) -> Asset:
    """Return the asset of a cylinder as it will be registered; `updated_at` is not set yet."""
    attributes = dict(earlier.attributes) if earlier else {}
    if district is not None:
        attributes["district"] = district
    parties = dict(earlier.parties) if earlier else {}
    parties.pop(FILLER, None)
    return Asset(
        asset_id=asset_id,
        kind=SCHEME,
        name=earlier.name if earlier else "",
        gateways=earlier.gateways if earlier else [],
        attributes=attributes,
        category=category_of(SCHEME),
        parties={**parties, **({FILLER: filler} if filler else {})},
    )


def known_cylinder(registry: Registry, asset_id: str, scope: Scope) -> Asset:
    """Return the asset of a cylinder within a scope.

    Raises:
        RefuseInput: `not_found`; one outside is not told from one that does not exist.

    """
    asset = registry.peek(asset_id)
    if asset is None or asset.kind != SCHEME or not scope.admits(asset):
        raise RefuseInput("not_found", f"no cylinder {asset_id[:97]!r}")
    return asset


def check_may_register(
    earlier: Asset | None, after: Asset, file: CylinderFile, scope: Scope
) -> None:
    """Refuse to register where the caller does not reach.

    A firm registers its own cylinders; an office those of its districts.

    Raises:
        RefuseInput: `not_found` or `forbidden`.

    """
    if earlier is not None and not scope.admits(earlier):
        raise RefuseInput("not_found", f"{earlier.asset_id} is registered to others")
    firm = not (scope.everything or scope.remits)
    if firm and file.filler not in scope.organisations:
        raise RefuseInput("forbidden", f"filler: expected your own, found {file.filler or 'none'}")
    if not scope.admits(after):
        raise RefuseInput("forbidden", "district and filler: expected some of your own")


def check_filler(organisations: Organisations, filler: str) -> None:
    """Refuse a filler that is no filling unit that takes part; RefuseInput `bad_request`."""
    if filler:
        check_kind(organisations, filler, FILLING_STATION, "filler")


def check_kind(organisations: Organisations, one: str, kind: str, field: str) -> None:
    """Refuse an organisation that is not active or of another kind; RefuseInput `bad_request`."""
    known = organisations.peek(one)
    if known is None or known.kind != kind or known.state != "active":
        found = f"{one} ({known.kind}, {known.state})" if known else one
        raise RefuseInput("bad_request", f"{field}: expected an active {kind}, found {found!r}")
