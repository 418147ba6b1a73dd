"""What is personal in the things that the service shows, as firmware_config/access says."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from cloud.model.account import Account, Handheld
from cloud.model.alarm import Alarm, OutOfService
from cloud.model.asset import Asset
from cloud.model.cylinder import CylinderRecord
from cloud.model.cylinder_case import CylinderCase
from cloud.model.cylinder_fill import CylinderFill, FillDecision
from cloud.model.cylinder_notice import NoticeTo
from cloud.model.cylinder_records import VehicleRecord
from cloud.model.desk import Handover, RescueLink
from cloud.model.handheld import HandheldRecord
from cloud.model.incident import Entry, Incident, KeptCall, RescueUnit
from cloud.model.lift import Lift, LiftRecord
from cloud.model.organisation import Organisation
from cloud.model.permissions import Word
from cloud.model.receiver import Receiver
from cloud.model.remote import CommandEntry, ConfigPush, Rollout
from cloud.model.scan import KeptScan
from protocols.border import load_toml
from protocols.catalog.files import data_root

Field = Annotated[str, Meta(pattern=r"^((attributes|file|body)\.)?[a-z][a-z0-9_]{0,63}\Z")]
ATTRIBUTE = "attributes."


class PersonalThing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of thing, and which of its fields tell of a person."""

    id: Word
    fields: tuple[Field, ...]


class _Personal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    thing: tuple[PersonalThing, ...]


@lru_cache(maxsize=1)
def load_personal() -> Mapping[str, tuple[str, ...]]:
    """Return the personal fields by kind of thing; FixConfiguration when the file is wrong."""
    path = data_root() / "access" / "personal.toml"
    return {thing.id: thing.fields for thing in load_toml(path, _Personal).thing}


THINGS: Mapping[type[msgspec.Struct], tuple[str, Callable[[Any], str]]] = {
    Asset: ("asset", lambda one: f"asset:{one.asset_id}"),
    CylinderRecord: ("cylinder", lambda one: f"asset:{one.asset_id}"),
    FillDecision: ("cylinder_fill", lambda one: f"gateway:{one.gateway}"),
    CylinderFill: ("cylinder_fill", lambda one: f"gateway:{one.gateway}"),
    CylinderCase: ("cylinder_case", lambda one: f"cylinder-case:{one.id}"),
    NoticeTo: ("cylinder_notice", lambda one: f"organisation:{one.organisation}"),
    VehicleRecord: ("cylinder_vehicle", lambda one: f"cylinder-vehicle:{one.id}"),
    Lift: ("lift", lambda one: f"asset:{one.asset_id}"),
    LiftRecord: ("lift", lambda one: f"asset:{one.asset_id}"),
    Alarm: ("alarm", lambda one: f"asset:{one.asset}"),
    Incident: ("incident", lambda one: f"incident:{one.id}"),
    Entry: ("incident_entry", lambda one: f"incident:{one.incident}"),
    RescueLink: ("rescue_link", lambda one: f"incident:{one.incident}"),
    Handover: ("handover", lambda one: f"handover:{one.id}"),
    KeptCall: ("rescue_call", lambda one: f"rescue-call:{one.id}"),
    RescueUnit: ("rescue_unit", lambda one: f"rescue-unit:{one.unit}"),
    OutOfService: ("out_of_service", lambda one: f"asset:{one.asset}"),
    Receiver: ("receiver", lambda one: f"organisation:{one.organisation}"),
    KeptScan: ("scan", lambda one: f"gateway:{one.gateway}"),
    CommandEntry: ("command", lambda one: f"gateway:{one.gateway_id}"),
    ConfigPush: ("config_push", lambda one: f"gateway:{one.gateway_id}"),
    Handheld: ("device", lambda one: f"device:{one.id}"),
    HandheldRecord: ("handheld_record", lambda one: f"handheld:{one.store}"),
    Account: ("account", lambda one: f"account:{one.id}"),
    Organisation: ("organisation", lambda one: f"organisation:{one.id}"),
    Rollout: ("rollout", lambda one: f"rollout:{one.id}"),
}
"""Kind of a thing, and the subject under which a look at it is noted."""


def personal_in(things: Iterable[msgspec.Struct]) -> dict[str, set[str]]:
    """Return which fields of things tell of a person, by subject; empty ones tell nothing."""
    found: dict[str, set[str]] = {}
    for thing in things:
        kind, subject = THINGS[type(thing)]
        for name in load_personal()[kind]:
            if _value(thing, name):
                found.setdefault(subject(thing), set()).add(f"{kind}.{name}")
    return found


def _value(thing: msgspec.Struct, name: str) -> Any:
    if name.startswith(ATTRIBUTE):
        attributes: Mapping[str, Any] = getattr(thing, "attributes", {})
        return attributes.get(name.removeprefix(ATTRIBUTE))
    # a decision at a gate tells part of what a filling does
    for part in name.split("."):
        thing = getattr(thing, part, None)  # type: ignore[assignment]
    return thing
