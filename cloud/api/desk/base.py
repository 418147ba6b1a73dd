"""What the desk does with a rescue, for the API and for the pages, each with its audit entry."""

from collections.abc import Sequence

from msgspec import Struct

from cloud.api.base import Services
from cloud.model.desk import HOUR_MS, Handover, HandoverBody, LinkBody, RescueLink, is_over
from cloud.model.incident import Incident, WantedIncidents
from cloud.model.principal import Granted
from protocols.errors import RefuseInput

SHIFT_MS_MAX = 12 * HOUR_MS
LOOKED_BACK_MAX = 1_000
PATHS = {"progress": "/r/", "unit": "/u/"}


class Shift(Struct, frozen=True):
    """What a shift was."""

    from_at: int
    open: Sequence[Incident]
    opened: Sequence[Incident]
    ended: Sequence[Incident]


async def new_link(
    services: Services, granted: Granted, incident_id: int, body: LinkBody
) -> tuple[RescueLink, str]:
    """Make a link; returns it and its path, which nobody can read again.

    Raises:
        RefuseInput: `not_found`; `bad_request`: a unit's link without a unit, or of an unknown
            one; `wrong_state`: the rescue is over; `quota_reached`.

    """
    incident = await services.incidents.get(incident_id, granted.scope)
    if is_over(incident, services.desk.link_hours, services.clock.wall_ms()):
        raise RefuseInput("wrong_state", f"the incident is {incident.state}; links have ended")
    unit = None
    if body.kind == "unit":
        unit = body.unit or incident.unit
        known = {one.unit for one in await services.incidents.all_units()}
        known |= {incident.unit} if incident.unit else set()
        if unit is None or unit not in known:
            raise RefuseInput("bad_request", f"unit: expected a registered one, found {unit!r}")
    noted = services.noted(granted, f"incident:{incident_id}", link=body.kind, unit=unit)
    link, token = await services.desk.links.make(
        incident_id, body.kind, unit, by=granted.by, also=[noted]
    )
    return link, PATHS[body.kind] + token


async def end_link(services: Services, granted: Granted, incident_id: int, link_id: int) -> None:
    """Revoke a link at once; RefuseInput `not_found`."""
    await services.incidents.get(incident_id, granted.scope)
    noted = services.noted(granted, f"incident:{incident_id}", link=link_id, what="revoked")
    await services.desk.links.revoke(incident_id, link_id, by=granted.by, also=[noted])


async def shift_of(services: Services, granted: Granted) -> Shift:
    """Return since when the shift lasts, and its incidents by what became of them."""
    now_ms = services.clock.wall_ms()
    earlier = await services.desk.handovers.find(granted, 1)
    from_at = max(earlier[0].made_at if earlier else 0, now_ms - SHIFT_MS_MAX)
    find, scope = services.incidents.find, granted.scope
    open_ones = await find(WantedIncidents(open=True, limit=LOOKED_BACK_MAX), scope)
    since = WantedIncidents(from_at=from_at - SHIFT_MS_MAX, limit=LOOKED_BACK_MAX)
    lately = await find(since, scope)
    return Shift(
        from_at=from_at,
        open=open_ones,
        opened=[one for one in lately if one.detected_at > from_at],
        ended=[one for one in lately if one.ended_at is not None and one.ended_at > from_at],
    )


async def hand_over(services: Services, granted: Granted, body: HandoverBody) -> Handover:
    """Write what is open and what happened since the handover before."""
    shift = await shift_of(services, granted)
    return await services.desk.handovers.make(
        body,
        granted=granted,
        open_numbers=[one.number for one in shift.open],
        opened=len(shift.opened),
        ended=len(shift.ended),
        from_at=shift.from_at,
        also=[services.noted(granted, "handover", open=len(shift.open))],
    )
