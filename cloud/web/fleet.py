"""The fleet: gateways, the account of their batches, their health."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.model.gateway import Gateway
from cloud.model.ledger import SpoolLedger
from cloud.model.refusal import Refusal
from cloud.model.remote import Asked
from cloud.model.trust import GatewayIdentity
from cloud.web.visit import SignedIn, Visit

GATEWAYS_MAX = 50
SPOOLS_MAX = 10
ASSETS_MAX = 50
REFUSALS_MAX = 20
COMMANDS_MAX = 3
ROLLOUTS_MAX = 5


@dataclass(frozen=True, slots=True)
class GatewayView:
    """A gateway with its account."""

    gateway: Gateway
    registered: bool
    spools: Sequence[SpoolLedger]
    more_spools: int
    assets: Sequence[str]
    more_assets: int
    identity: GatewayIdentity | None
    """None: no certificate of ours."""
    asked: Asked

    @property
    def declared_lost(self) -> int:
        """Batches declared lost, in the spools shown."""
        return sum(spool.declared_lost for spool in self.spools)

    @property
    def dead_letters(self) -> int:
        """Dead letters, in the spools shown."""
        return sum(spool.dead_letters for spool in self.spools)


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /fleet and its part."""
    routes = APIRouter()
    visitor = Depends(signed_in("gateways.read"))

    async def fleet_part(visit: Visit) -> dict[str, Any]:
        seen = [
            one
            for one in services.gateways.all()
            if services.registry.admits_gateway(visit.scope, one.gateway_id)
        ]
        gateways = sorted(seen, key=lambda one: (one.online, one.gateway_id))
        online = sum(gateway.online for gateway in gateways)
        shown = gateways[:GATEWAYS_MAX]
        names = [one.gateway_id for one in shown]
        identities, refusals = await asyncio.to_thread(_trust, services, names)
        refusals = refusals if visit.may("gateways.admit") else ()
        asked: Mapping[str, Asked] = {}
        if visit.may("gateways.command"):
            asked = await services.remote.overview(names, COMMANDS_MAX)
            commands = [entry for one in asked.values() for entry in one.commands]
            await services.shown(visit.granted, *commands)
        return {
            "rollouts": await services.remote.under_way(ROLLOUTS_MAX)
            if visit.may("gateways.configure")
            else (),
            "gateways": [
                await _view(
                    services,
                    one,
                    identities.get(one.gateway_id),
                    asked.get(one.gateway_id, Asked()),
                    services.admission(visit.scope),
                )
                for one in shown
            ],
            "refusals": refusals[:REFUSALS_MAX],
            "more_refusals": max(0, len(refusals) - REFUSALS_MAX),
            "more": max(0, len(gateways) - GATEWAYS_MAX),
            "online": online,
            "offline": len(gateways) - online,
        }

    @routes.get("/fleet")
    async def fleet(visit: Annotated[Visit, visitor]) -> Response:
        head = services.feed.head
        return visit.render("fleet.html", head=head, **await fleet_part(visit))

    @routes.get("/parts/fleet")
    async def part(visit: Annotated[Visit, visitor]) -> Response:
        return visit.render("parts/fleet.html", **await fleet_part(visit))

    return routes


def _trust(
    services: Services, gateways: Sequence[str]
) -> tuple[dict[str, GatewayIdentity | None], Sequence[Refusal]]:
    trust = services.trust
    if trust is None:
        return {}, ()
    return {name: trust.identity(name) for name in gateways}, trust.refusals()


async def _view(
    services: Services,
    gateway: Gateway,
    identity: GatewayIdentity | None,
    asked: Asked,
    admits: Callable[[str], bool],
) -> GatewayView:
    spools = await services.ledger(gateway.gateway_id)
    assets = sorted(filter(admits, services.assets_of(gateway.gateway_id)))
    return GatewayView(
        gateway=gateway,
        registered=services.registry.names_gateway(gateway.gateway_id),
        spools=spools[:SPOOLS_MAX],
        more_spools=max(0, len(spools) - SPOOLS_MAX),
        assets=assets[:ASSETS_MAX],
        more_assets=max(0, len(assets) - ASSETS_MAX),
        identity=identity,
        asked=asked,
    )
