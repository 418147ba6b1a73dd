"""What makes events of scans and of the registry of cylinders, inside the consuming part."""

from zoneinfo import ZoneInfo

from cloud.model.follower import LogFollower
from cloud.roles.common import Common
from cloud.trace.cylinders.event import CylinderMapper
from cloud.trace.cylinders.keep import CylinderEvents
from cloud.trace.cylinders.steps import load_cylinder_steps
from cloud.trace.field import keep
from cloud.trace.field.event import Mapper
from cloud.trace.field.steps import load_steps


def cylinder_events(common: Common) -> CylinderEvents:
    """Return what makes events of the registry of cylinders.

    Raises:
        FixConfiguration: with all faults of the step files.

    """
    standard = common.standard
    mapper = CylinderMapper(
        load_cylinder_steps(standard, common.overlay()),
        standard=standard,
        registry=common.schemes,
        zone=ZoneInfo(common.settings.time_zone),
    )
    return CylinderEvents(
        common.state_db,
        mapper,
        standard=standard,
        clock=common.clock,
        count=common.metrics.count_cylinder_event,
    )


def field_follower(common: Common) -> LogFollower | None:
    """Return the follower, None where the settings switch it off.

    Raises:
        FixConfiguration: with all faults of the step files.

    """
    settings = common.settings
    if not settings.trace.events_from_scans:
        return None
    standard, registry = common.standard, common.schemes
    steps = load_steps(standard, registry.schemes, common.overlay())
    zone = ZoneInfo(settings.time_zone)
    capture = keep.FieldCapture(
        Mapper(steps, standard=standard, registry=registry, zone=zone),
        standard=standard,
        registry=registry,
        clock=common.clock,
        count=common.metrics.count_field,
    )
    return LogFollower(
        name=keep.NAME,
        log=common.log,
        database=common.state_db,
        mark=keep.MARK,
        keep=capture.keep,
    )
