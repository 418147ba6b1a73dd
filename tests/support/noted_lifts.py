"""Examples of what changes something about lifts: alarms, rescues, the desk, files, platforms."""

from typing import Any

from tests.support.audited import BACK, CYLINDER, MARK
from tests.support.http_services import LIFT
from tests.support.noted import Example

LIFTS, L1 = "/api/v1/lifts", f"asset:elevator:{CYLINDER}"
SIGNED = {"name.0": MARK}
LIFT_WAYS: dict[str, Any] = {
    "records": (
        {"kind": "fault", "on": "2025-01-01", "fields": {"what": MARK}},
        {"kind": "fault", "on": "2025-01-01", "field.what": MARK},
    ),
    "inspections": (
        {
            "kind": "periodic_inspection",
            "on": "2025-01-01",
            "fields": {"result": "passed"},
            "signers": [{"role": "inspector", "name": MARK}],
        },
        {
            "kind": "periodic_inspection",
            "on": "2025-01-01",
            "field.result": "failed",
            "role.0": "inspector",
            **SIGNED,
        },
    ),
    "steps": (
        {"kind": "registration", "on": "2025-01-01", "fields": {"certificate": MARK}},
        {"kind": "registration", "on": "2025-01-01", "field.certificate": MARK},
    ),
    "confirmations": (
        {
            "kind": "confirmation",
            "on": "2025-01-01",
            "about": 1,
            "fields": {"agreed": True},
            "signers": [{"role": "safety_manager", "name": MARK}],
        },
        {
            "kind": "confirmation",
            "on": "2025-01-01",
            "about": "1",
            "field.agreed": "yes",
            "role.0": "safety_manager",
            **SIGNED,
        },
    ),
}
"""What is sent as JSON and as a form; a repair is entry 1 of the lift."""
PLATFORM = {
    "id": "acme",
    "name": MARK,
    "dialect": "gbt24476",
    "dialect_version": "2017",
    "organisation": "firm-a",
}
FREED = ("1/release", {"people": 1, "note": MARK})
RESCUE: list[tuple[str, int, dict[str, Any], tuple[str, dict[str, Any]] | None]] = [
    ("verify", 1, {"people": 2, "note": MARK}, None),
    ("dispatch", 1, {"unit": "station", "note": MARK}, None),
    ("accept", 2, {"note": MARK}, None),
    ("refuse", 2, {"note": MARK}, None),
    ("set_out", 2, {"note": MARK}, None),
    ("arrive", 2, {"note": MARK}, None),
    ("release", 1, {"people": 1, "note": MARK}, None),
    ("call_back", 1, {"satisfaction": 5, "note": MARK}, FREED),
    ("file_cause", 1, {"cause": "door", "note": MARK}, FREED),
    ("close", 1, {"cause": "door", "note": MARK}, FREED),
    ("false_alarm", 3, {"note": MARK}, None),
    ("cancel", 3, {"note": MARK}, None),
    ("merge", 3, {"into": 1, "note": MARK}, None),
    ("take", 1, {}, None),
    ("hand_over", 1, {"to": f"{MARK}1"}, None),
    ("note", 1, {"note": MARK}, None),
    ("tell", 1, {"to": MARK, "note": MARK}, None),
]
"""Verb, rescue, body, and what must be done first."""

LIFT_EXAMPLES = {
    "POST /api/v1/alarms/{alarm_id}/acknowledge": Example(
        "/api/v1/alarms/2/acknowledge", f"asset:{LIFT}", {"note": MARK}
    ),
    "POST /alarms/{alarm_id}/acknowledge": Example(
        "/alarms/2/acknowledge", f"asset:{LIFT}", {"note": MARK}, form=True
    ),
    "POST /api/v1/calls": Example(
        "/api/v1/calls",
        f"asset:{LIFT} incident:1",
        {"asset": LIFT, "caller_name": f"{MARK}1", "caller_phone": MARK, "note": MARK},
    ),
    "POST /rescue/call": Example(
        "/rescue/call",
        f"asset:{LIFT} incident:1",
        {"asset": LIFT, "caller_name": f"{MARK}1", "caller_phone": MARK, "note": MARK},
        form=True,
    ),
    "POST /rescue/{incident_id}/do/{verb}": Example(
        "/rescue/1/do/note", "incident:1", {"note": MARK}, form=True
    ),
    "POST /rescue/{incident_id}/answer/{verb}": Example(
        "/rescue/2/answer/accept", "incident:2", {"eta_min": "9", "note": MARK}, form=True
    ),
    "POST /rescue/{incident_id}/links": Example(
        "/rescue/1/links", "incident:1", {"kind": "progress"}, form=True
    ),
    "POST /rescue/{incident_id}/links/{link_id}/revoke": Example(
        "/rescue/1/links/2/revoke", "incident:1", form=True
    ),
    "POST /rescue/handover": Example(
        "/rescue/handover", "handover", {"to": MARK, "note": MARK}, form=True
    ),
    "POST /api/v1/incidents/{incident_id}/links": Example(
        "/api/v1/incidents/2/links", "incident:2", {"kind": "unit"}
    ),
    "DELETE /api/v1/incidents/{incident_id}/links/{link_id}": Example(
        "/api/v1/incidents/1/links/2", "incident:1"
    ),
    "POST /api/v1/handovers": Example("/api/v1/handovers", "handover", {"to": MARK, "note": MARK}),
    "POST /u/{token}/{verb}": Example(
        "/u/{unit_token}/set_out",
        "incident:2",
        {"eta_s": 600, "note": MARK, "key": "k1"},
        by="link:1",
        organisation="",
        call="incidents.answer",
    ),
    "PUT /api/v1/rescue-units/{unit_id}": Example(
        "/api/v1/rescue-units/station-2",
        "rescue-unit:station-2",
        {"name": "站", "level": 2, "phone": MARK},
    ),
    **{
        f"POST /api/v1/incidents/{{incident_id}}/{verb}": Example(
            f"/api/v1/incidents/{number}/{verb}",
            f"incident:{number}",
            body,
            before=None if before is None else (f"/api/v1/incidents/{before[0]}", before[1]),
        )
        for verb, number, body, before in RESCUE
    },
    "POST /api/v1/alarms/{alarm_id}/shelve": Example(
        "/api/v1/alarms/3/shelve", f"asset:{LIFT}", {"reason": MARK, "minutes": 5}
    ),
    "POST /api/v1/alarms/{alarm_id}/unshelve": Example(
        "/api/v1/alarms/3/unshelve",
        f"asset:{LIFT}",
        before=("/api/v1/alarms/3/shelve", {"reason": MARK, "minutes": 5}),
    ),
    "POST /api/v1/alarms/{alarm_id}/reset": Example("/api/v1/alarms/4/reset", f"asset:{LIFT}"),
    "PUT /api/v1/assets/{asset_id}/out-of-service": Example(
        f"/api/v1/assets/{LIFT}/out-of-service", f"asset:{LIFT}", {"reason": MARK}
    ),
    "DELETE /api/v1/assets/{asset_id}/out-of-service": Example(
        f"/api/v1/assets/{BACK}/out-of-service", f"asset:{BACK}"
    ),
    "POST /alarms/{alarm_id}/shelve": Example(
        "/alarms/3/shelve", f"asset:{LIFT}", {"reason": MARK, "minutes": "60"}, form=True
    ),
    "POST /alarms/{alarm_id}/unshelve": Example(
        "/alarms/3/unshelve",
        f"asset:{LIFT}",
        before=("/api/v1/alarms/3/shelve", {"reason": MARK, "minutes": 5}),
        form=True,
    ),
    "POST /alarms/{alarm_id}/reset": Example("/alarms/4/reset", f"asset:{LIFT}", form=True),
    "POST /alarms/{alarm_id}/out-of-service": Example(
        "/alarms/2/out-of-service", f"asset:{LIFT}", {"reason": MARK, "hours": "2"}, form=True
    ),
    "POST /assets/{asset_id}/return-to-service": Example(
        f"/assets/{BACK}/return-to-service", f"asset:{BACK}", form=True
    ),
    "PUT /api/v1/lifts/{code}": Example(
        f"{LIFTS}/L9", "asset:elevator:L9", {"name": MARK, "maintenance_phone": MARK}
    ),
    **{
        f"POST {base}/{{code}}/{way}": Example(
            f"{base}/{CYLINDER}/{way}", L1, draft, form=base == "/lifts"
        )
        for way, (entry, form) in LIFT_WAYS.items()
        for base, draft in ((LIFTS, entry), ("/lifts", form))
    },
    "POST /api/v1/lift-imports": Example(
        "/api/v1/lift-imports", "lifts", {"code": "L8"}, media="application/jsonl"
    ),
    "POST /api/v1/platforms": Example("/api/v1/platforms", "platform:acme", PLATFORM),
    "PATCH /api/v1/platforms/{platform_id}": Example(
        "/api/v1/platforms/acme",
        "platform:acme",
        {"name": f"{MARK}2"},
        before=("/api/v1/platforms", PLATFORM),
    ),
    **{
        f"POST {base}/platforms/{{platform_id}}/{verb}": Example(
            f"{base}/platforms/acme/{verb}",
            "platform:acme",
            form=not base,
            before=("/api/v1/platforms", PLATFORM),
        )
        for base in ("/api/v1", "")
        for verb in ("rotate", "revoke")
    },
    "POST /platforms": Example(
        "/platforms",
        "platform:acme",
        {"id": "acme", "name": MARK, "dialect": "gbt24476@2017", "organisation": "firm-a"},
        form=True,
    ),
}
"""By method and path, as in tests/cloud/access/test_noting.py."""
