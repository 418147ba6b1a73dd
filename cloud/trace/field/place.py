"""Where gateways are, from what is registered of their assets."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, select

from cloud.model.tables import asset, asset_gateway, asset_party
from cloud.trace.field.event import Place
from protocols.codes.recognise import link_of
from protocols.codes.registry import SchemeRegistry
from protocols.errors import RefuseInput

_LOOK_UP_MAX = 500


class _Attributes(msgspec.Struct):
    gln: str | None = None


def places_of(
    connection: Connection, gateways: Collection[str], registry: SchemeRegistry
) -> dict[str, Place]:
    """Find the places of those gateways that registered assets name.

    The location is the GLN that the assets have as attribute `gln`, or the only asset itself;
    where they contradict each other nothing is picked.
    """
    found: dict[str, Place] = {}
    wanted = sorted(gateways)
    for start in range(0, len(wanted), _LOOK_UP_MAX):
        found |= _some(connection, wanted[start : start + _LOOK_UP_MAX], registry)
    return found


def _some(
    connection: Connection, gateways: Collection[str], registry: SchemeRegistry
) -> dict[str, Place]:
    of = asset_gateway.c
    there = (of.gateway_id.in_(gateways), of.asset_id == asset.c.asset_id)
    glns: dict[str, set[str]] = {}
    assets: dict[str, set[str]] = {}
    for row in connection.execute(
        select(of.gateway_id, asset.c.asset_id, asset.c.attributes).where(*there)
    ):
        assets.setdefault(row.gateway_id, set()).add(row.asset_id)
        link = _gln(row.attributes, registry)
        if link is not None:
            glns.setdefault(row.gateway_id, set()).add(link)
    parts: dict[str, dict[str, set[str]]] = {}
    played = (of.gateway_id.in_(gateways), of.asset_id == asset_party.c.asset_id)
    for row in connection.execute(
        select(of.gateway_id, asset_party.c.part, asset_party.c.organisation).where(*played)
    ):
        of_part = parts.setdefault(row.gateway_id, {}).setdefault(row.part, set())
        of_part.add(row.organisation)
    return {
        gateway: Place(
            location=_location(glns.get(gateway, set()), ids, registry),
            organisations={
                part: next(iter(organisations))
                for part, organisations in parts.get(gateway, {}).items()
                if len(organisations) == 1
            },
        )
        for gateway, ids in assets.items()
    }


def _gln(attributes: str, registry: SchemeRegistry) -> str | None:
    try:
        gln = msgspec.json.decode(attributes, type=_Attributes).gln
        return link_of(registry.schemes["gln"], registry.named("gln", gln).code) if gln else None
    except (msgspec.ValidationError, RefuseInput):
        return None  # another kind of text under that name


def _location(
    glns: Collection[str], assets: Collection[str], registry: SchemeRegistry
) -> str | None:
    if glns:
        return next(iter(glns)) if len(glns) == 1 else None
    if len(assets) != 1:
        return None
    scheme, _, code = next(iter(assets)).partition(":")
    return registry.id_of(scheme, code)
