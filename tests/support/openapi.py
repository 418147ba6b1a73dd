"""What the JSON API takes, as an OpenAPI document, so that a fuzzer of another hand can read it.

Paths come from the routes; bodies from the very structs that read them.
"""

import copy
import re
from typing import Any

import msgspec
from fastapi import FastAPI

from cloud.api.accounts import HandOverBody, KeyBody, RedeemBody
from cloud.api.alarm_figures import OutBody
from cloud.api.alarms import NoteBody, ShelveBody
from cloud.api.cylinder_records import InspectionBody
from cloud.api.cylinders import ReadTogetherBody, ScrapBody, StepBody, TransferBody
from cloud.api.enrolment import InviteBody
from cloud.api.epcis.queries import QueryBody
from cloud.api.epcis.subscriptions import SubscriptionBody
from cloud.api.incidents import VERBS
from cloud.api.links import LinksBody, PrefixBody
from cloud.api.me import ConfirmBody, DropBody, PasswordBody
from cloud.api.organisations import (
    ContactBody,
    DetailsBody,
    LeaveBody,
    ReasonBody,
    SignUpBody,
)
from cloud.api.partners import PartnerBody
from cloud.api.remote import CommandBody, ConfigBody
from cloud.api.rescue_units import UnitBody
from cloud.api.rollouts import RolloutBody
from cloud.model.account import AccountChange, NewAccount
from cloud.model.cylinder import CylinderEntry
from cloud.model.cylinder_records import PermitBody, VehicleFile
from cloud.model.desk import HandoverBody, LinkBody
from cloud.model.incident import Act, Call
from cloud.model.registering import AssetBody
from protocols.enrolment import EnrolRequest, RenewRequest
from protocols.handheld import Batch
from tests.support.epcis_bodies import ITEM, document, event

BODIES: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("put", "/api/v1/assets/{asset_id}"): AssetBody,
    ("post", "/api/v1/alarms/{alarm_id}/acknowledge"): NoteBody,
    ("post", "/api/v1/calls"): Call,
    **{("post", f"/api/v1/incidents/{{incident_id}}/{verb}"): Act for verb in VERBS},
    ("post", "/api/v1/incidents/{incident_id}/links"): LinkBody,
    ("post", "/api/v1/handovers"): HandoverBody,
    ("put", "/api/v1/rescue-units/{unit_id}"): UnitBody,
    ("post", "/api/v1/alarms/{alarm_id}/shelve"): ShelveBody,
    ("put", "/api/v1/assets/{asset_id}/out-of-service"): OutBody,
    ("post", "/api/v1/enroll"): EnrolRequest,
    ("post", "/api/v1/enroll/renew"): RenewRequest,
    ("post", "/api/v1/gateways/{gateway_id}/invite"): InviteBody,
    ("post", "/api/v1/gateways/{gateway_id}/commands"): CommandBody,
    ("post", "/api/v1/gateways/{gateway_id}/config"): ConfigBody,
    ("post", "/api/v1/rollouts"): RolloutBody,
    ("post", "/api/v1/rollouts/{rollout_id}/{verb}"): ReasonBody,
    ("post", "/api/v1/accounts"): NewAccount,
    ("patch", "/api/v1/accounts/{account_id}"): AccountChange,
    ("post", "/api/v1/accounts/{account_id}/hand-over"): HandOverBody,
    ("put", "/api/v1/links"): LinksBody,
    ("put", "/api/v1/prefixes/{prefix}"): PrefixBody,
    ("post", "/api/v1/partners"): PartnerBody,
    ("put", "/api/v1/partners/{partner_id}"): PartnerBody,
    ("post", "/api/v1/handheld/records"): Batch,
    ("post", "/api/v1/redeem"): RedeemBody,
    ("post", "/api/v1/keys"): KeyBody,
    ("post", "/api/v1/me/password"): PasswordBody,
    ("post", "/api/v1/me/second-factor/confirm"): ConfirmBody,
    ("delete", "/api/v1/me/second-factor"): DropBody,
    ("put", "/api/v1/organisations/{organisation_id}"): DetailsBody,
    ("patch", "/api/v1/organisations/{organisation_id}"): ContactBody,
    ("post", "/api/v1/organisations/{organisation_id}/leave"): LeaveBody,
    ("post", "/api/v1/signup"): SignUpBody,
    ("put", "/api/v1/cylinders/{code}"): CylinderEntry,
    ("post", "/api/v1/cylinders/{code}/transfer"): TransferBody,
    ("post", "/api/v1/cylinders/{code}/scrap"): ScrapBody,
    ("post", "/api/v1/cylinders/read-together"): ReadTogetherBody,
    ("post", "/api/v1/cylinders/{code}/block"): StepBody,
    ("post", "/api/v1/cylinders/{code}/blocks/{block_id}/lift"): StepBody,
    ("post", "/api/v1/cylinders/{code}/inspections"): InspectionBody,
    ("post", "/api/v1/cylinders/{code}/inspections/{inspection_id}/withdraw"): StepBody,
    ("put", "/api/v1/cylinder-vehicles/{vehicle_id}"): VehicleFile,
    ("put", "/api/v1/permits/{kind}/{organisation_id}/{number}"): PermitBody,
    **{
        ("post", f"/api/v1/cylinders/{{code}}/{step}"): StepBody
        for step in ("take-out", "put-back", "lose", "find", "purge")
    },
    ("post", "/epcis/queries"): QueryBody,
    ("post", "/epcis/queries/{queryName}/subscriptions"): SubscriptionBody,
    **{
        ("post", f"/api/v1/organisations/{{organisation_id}}/{step}"): ReasonBody
        for step in ("confirm", "refuse", "suspend", "resume")
    },
}
EVENTS = (
    *("perPage", "nextPageToken", "EQ_bizStep", "MATCH_epc", "GE_eventTime", "EQ_quantity"),
    *("orderBy", "orderDirection", "eventCountLimit", "maxEventCount", "EQ_ILMD_ex:lot"),
)
SENT = {
    ("post", "/epcis/capture"): document(event(1)),
    ("post", "/epcis/events"): event(1),
    ("post", "/api/v1/partner-events/{partner_id}"): document(event(1)),
}
"""What is read by rules rather than by a struct, and one that is good."""
QUERIES = {
    "/epcis/events": EVENTS,
    "/epcis/epcs/{epc}/events": EVENTS,
    "/epcis/epcs": ("perPage", "nextPageToken"),
    "/epcis/capture": ("perPage", "nextPageToken"),
    "/epcis/queries": ("perPage", "nextPageToken"),
    "/api/v1/alarms": ("state", "asset", "before", "limit"),
    "/api/v1/calls": ("unplaced", "before", "limit"),
    "/api/v1/incidents": (
        *("open", "state", "asset", "unit", "drill", "from", "to", "before", "limit", "order"),
    ),
    "/api/v1/incidents/{incident_id}/units": ("level",),
    "/api/v1/rescue-figures": ("from", "to", "by"),
    "/api/v1/audit": ("subject", "by", "organisation", "call", "from", "to", "before", "limit"),
    "/api/v1/gateways": ("after", "limit"),
    "/api/v1/links": ("after", "limit"),
    "/api/v1/prefixes": ("after", "limit"),
    "/api/v1/organisations": ("state", "kind", "text", "after", "limit"),
    "/api/v1/assets/{asset_id}/readings": ("points", "from", "to", "step", "aggregate", "limit"),
    "/api/v1/lineage": ("item", "direction", "at", "items", "depth", "horizon", "format"),
    "/api/v1/partners/{partner_id}/receipts": ("before", "limit"),
    "/api/v1/refusals": ("limit",),
    "/api/v1/cylinders": (
        *("text", "filler", "district", "state", "kind", "gas"),
        *("due_before", "after", "limit"),
    ),
    "/api/v1/cylinders/{code}/history": ("before", "limit"),
    "/api/v1/cylinder-fills": (
        *("cylinder", "filler", "gateway", "state", "fault", "known", "permitted"),
        *("since", "before", "limit"),
    ),
    "/api/v1/cylinder-decisions": (
        *("cylinder", "filler", "gateway", "gate", "decision", "refused", "reason"),
        *("since", "before", "limit"),
    ),
    "/api/v1/cylinders/{code}/fills": (
        *("filler", "gateway", "state", "fault", "known", "permitted", "since", "before", "limit"),
    ),
    "/api/v1/cylinder-reports": ("state", "kind", "before", "limit"),
    "/api/v1/cylinder-imports": ("before", "limit"),
    "/api/v1/cylinder-imports/{import_id}": ("after_line",),
    "/api/v1/permits": ("organisation", "kind"),
    "/api/v1/scans": ("gateway", "reader", "code", "before_id", "limit"),
}
NAMES = {
    "asset_id": ["elevator:31101099920240000", "gateway:gw-1", "elevator:1"],
    "alarm_id": ["1", "2", "999"],
    "incident_id": ["1", "2", "999"],
    "unit_id": ["station-1"],
    "link_id": ["1", "2"],
    "handover_id": ["1", "999"],
    "account_id": ["1", "7"],
    "gateway_id": ["gw-0", "gw-1"],
    "organisation_id": ["firm-a", "firm-b"],
    "prefix": ["6901234"],
    "rollout_id": ["1"],
    "code": ["0001", "A1"],
    "vehicle_id": ["LFV2A21K"],
    "block_id": ["1"],
    "inspection_id": ["1"],
    "number": ["TS-1"],
    "partner_id": ["0" * 32],
    "verb": ["stop", "resume", "run"],
    "key_id": ["1"],
    "session_id": ["0"],
    "limit": ["1", "1000"],
    "state": ["open", "active", "applied"],
    "after": ["gw-0", "0"],
    "before": ["1", "9"],
    "before_id": ["9"],
    "from": ["0", "2025-11-24T00:00:00Z"],
    "to": ["1764000000000"],
    "step": ["1m"],
    "kind": ["enterprise"],
    "item": ["urn:epc:id:sgtin:0614141.107346.2017"],
    "direction": ["back", "forward"],
    "epc": [f"{ITEM}1"],
    "bizStep": ["shipping"],
    "eventType": ["ObjectEvent"],
    "queryName": ["q"],
    "perPage": ["1"],
    "EQ_bizStep": ["shipping|receiving"],
    "MATCH_epc": [f"{ITEM}*", "urn:epc:idpat:sgtin:690123456.*.*"],
    "GE_eventTime": ["2026-01-01T00:00:00Z"],
    "orderBy": ["eventTime"],
}
"""Values that mean something."""
ENDLESS = ("/api/v1/feed",)


def api_document(app: FastAPI, *, known: bool) -> dict[str, Any]:
    """Return the document of the JSON API; `known`: only names and values that mean something."""
    made = copy.deepcopy(app.openapi())
    types = sorted(set(BODIES.values()), key=lambda one: one.__name__)
    _, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    made["components"] = {"schemas": components}
    paths = made["paths"].items()
    made["paths"] = {
        path: {method: _operation(method, path, known) for method in methods}
        for path, methods in paths
        if path.startswith(("/api/", "/epcis")) and path not in ENDLESS
    }
    return made


def _operation(method: str, path: str, known: bool) -> dict[str, Any]:
    def schema(name: str) -> dict[str, Any]:
        return {"enum": NAMES[name]} if known and name in NAMES else {"type": "string"}

    asked = re.findall(r"{(\w+)}", path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema(name)} for name in asked
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema(name)}
        for name in QUERIES.get(path, ())
        if method == "get"
    ]
    made: dict[str, Any] = {
        "operationId": f"{method} {path}",
        "parameters": parameters,
        "responses": {"default": {"description": "any"}},
    }
    if (method, path) in BODIES:
        body = {"$ref": f"#/components/schemas/{BODIES[method, path].__name__}"}
        made["requestBody"] = {"content": {"application/json": {"schema": body}}}
    if (method, path) in SENT:
        free = {"enum": [SENT[method, path]]} if known else {"type": "object"}
        made["requestBody"] = {"content": {"application/json": {"schema": free}}}
    return made
