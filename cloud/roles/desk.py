"""The rescue centre's desk, put together."""

from urllib.parse import urlsplit

from cloud.desk.base import RescueDesk, causes_of
from cloud.desk.handovers import HandoverBook
from cloud.desk.lifts import LiftFinder
from cloud.desk.links import PhoneLinks
from cloud.model.rescue_data import load_scripts
from cloud.model.rescue_policy import load_rescue
from cloud.roles.common import Common
from cloud.settings import DeskSettings


def open_desk(common: Common) -> RescueDesk:
    """Return the desk over the state database."""
    settings = common.settings.desk
    return RescueDesk(
        links=PhoneLinks(common.state_db, common.clock),
        handovers=HandoverBook(common.state_db, common.clock),
        lifts=LiftFinder(common.state_db, common.registry.with_rescue_code, common.registry.peek),
        scripts=load_scripts(common.overlay()),
        causes=causes_of(load_rescue(common.overlay()).causes),
        link_hours=settings.link_hours,
        map_style_url=settings.map_style_url,
        map_sources=_sources(settings),
    )


def _sources(settings: DeskSettings) -> tuple[str, ...]:
    """Return all origins of the map, that of its style among them."""
    parts = urlsplit(settings.map_style_url)
    own = (f"{parts.scheme}://{parts.netloc}",) if parts.netloc else ()
    return tuple(dict.fromkeys((*own, *settings.map_sources)))
