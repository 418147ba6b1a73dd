"""Whatever changes something, or shows what is personal, stands in the audit afterwards."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pyotp
import pytest
import pytest_asyncio
from sqlalchemy import select

from cloud.audit.verify import verify
from cloud.model.audit import entry_of
from cloud.model.people_tables import device, organisation
from cloud.model.permissions import administrator
from cloud.model.personal import THINGS, load_personal
from cloud.model.principal import EVERYTHING, Granted
from tests.support.audited import (
    CYLINDER,
    DEVICE,
    GATEWAY,
    MARK,
    OWN_DEVICE,
    PARAMETERS,
    PREFIX,
    QUERIES,
    SITE,
    TANK,
    VEHICLE,
    Stage,
    hour_later,
    is_open,
    open_stage,
    routes,
    told,
)
from tests.support.epcis_bodies import document, event
from tests.support.firms import DISTRICT, PASSWORD, application, credit_code
from tests.support.http_services import AUDIT_KEY, LIFT
from tests.support.noted import Example
from tests.support.noted_lifts import LIFT_EXAMPLES

FIRM = {
    "kind": "enterprise",
    "name": "企业 1",
    "credit_code": credit_code(1),
    "districts": [DISTRICT],
    "categories": ["food"],
}
SIGN_UP = (
    "/api/v1/signup",
    application(2, username=f"u{MARK}", contact={"name": MARK, "phone": MARK}),
)
SUSPENSION = ("/api/v1/organisations/firm-a/suspend", {"reason": MARK})
NEW_ACCOUNT = {
    "username": f"v{MARK}",
    "name": MARK,
    "roles": ["enterprise_clerk"],
    "organisation": "firm-a",
}
KEY = {"name": MARK, "calls": ["assets.read"]}
FORM_ACCOUNT = {
    "username": f"v{MARK}",
    "name": MARK,
    "role": "enterprise_clerk",
    "organisation": "firm-a",
}
NEW_PASSWORD = {"password": "another long one", "again": "another long one"}
FACTOR: Any = ("/api/v1/me/second-factor", {})
CONFIRMED = {"sealed": "{sealed}", "code": "{totp}", "password": PASSWORD}
FIRMS_OWN: Any = {"by": "account:7", "organisation": "firm-a"}
STRANGER: Any = {"by": "stranger", "organisation": "", "call": "organisations.sign_up"}
CYLINDERS, A1 = "/api/v1/cylinders", f"asset:cylinder:{CYLINDER}"
WHY = {"reason": MARK}
INSPECTED = (
    f"{CYLINDERS}/{CYLINDER}/inspections",
    {
        "inspected_on": "2025-01-01",
        "result": "passed",
        "body": "unit-9",
        "note": MARK,
        "certificate": MARK,
    },
)
PERMIT = {"items": ["lpg"], "valid_from": "2024-01-01", "valid_until": "2028-01-01"}
PARTNER = {
    "name": MARK,
    "base": "https://p.example.com/epcis",
    "credential": {"value": f"Bearer {MARK}"},
    "push": {},
}
STORE = "5" * 32
RECEIVER = {"name": MARK, "kind": "webhook", "address": f"https://p.example.com/{MARK}"}
RECEIVERS, SENT_TO = "/api/v1/receivers", "receivers organisation:platform"
ROLLOUT = {"serial": 1, "gateways": [GATEWAY]}

EXAMPLES = {
    **LIFT_EXAMPLES,
    "PUT /api/v1/assets/{asset_id}": Example(
        f"/api/v1/assets/{LIFT}",
        f"asset:{LIFT}",
        {"name": MARK, "attributes": {"maintenance_phone": f"{MARK}1", "owner_name": MARK}},
    ),
    "POST /api/v1/gateways/{gateway_id}/commands": Example(
        f"/api/v1/gateways/{GATEWAY}/commands",
        f"gateway:{GATEWAY}",
        {"op": "ping", "args": {"secret": MARK}},
    ),
    "POST /api/v1/gateways/{gateway_id}/config": Example(
        f"/api/v1/gateways/{GATEWAY}/config", f"gateway:{GATEWAY}", {"site": SITE}
    ),
    "POST /api/v1/rollouts": Example("/api/v1/rollouts", "release:1", ROLLOUT),
    "POST /api/v1/rollouts/{rollout_id}/{verb}": Example(
        "/api/v1/rollouts/1/stop",
        "rollout:1",
        {"reason": MARK},
        before=("/api/v1/rollouts", ROLLOUT),
    ),
    "POST /api/v1/gateways/{gateway_id}/invite": Example(
        f"/api/v1/gateways/{GATEWAY}/invite", f"gateway:{GATEWAY}"
    ),
    "POST /api/v1/gateways/{gateway_id}/revoke": Example(
        f"/api/v1/gateways/{GATEWAY}/revoke",
        f"gateway:{GATEWAY}",
        before=(f"/api/v1/gateways/{GATEWAY}/invite", {}),
    ),
    **{
        f"POST {base}/{{organisation_id}}/{step}": Example(
            f"{base}/{{applied}}/{step}",
            "organisation:{applied}",
            {"reason": MARK},
            form=not base.startswith("/api"),
            before=SIGN_UP,
        )
        for base in ("/api/v1/organisations", "/organisations")
        for step in ("confirm", "refuse")
    },
    **{
        f"POST {base}/{{organisation_id}}/{step}": Example(
            f"{base}/firm-a/{step}",
            "organisation:firm-a",
            {"reason": MARK},
            form=not base.startswith("/api"),
            before=SUSPENSION if step == "resume" else None,
        )
        for base in ("/api/v1/organisations", "/organisations")
        for step in ("suspend", "resume")
    },
    "PUT /api/v1/organisations/{organisation_id}": Example(
        "/api/v1/organisations/firm-a",
        "organisation:firm-a",
        {**FIRM, "contact": {"name": f"{MARK}1", "phone": MARK}},
    ),
    "PATCH /api/v1/organisations/{organisation_id}": Example(
        "/api/v1/organisations/firm-a", "organisation:firm-a", {"contact": {"name": f"{MARK}2"}}
    ),
    "POST /organisations/{organisation_id}/contact": Example(
        "/organisations/firm-a/contact",
        "organisation:firm-a",
        {"name": f"{MARK}2", "phone": MARK},
        form=True,
    ),
    "POST /api/v1/organisations/{organisation_id}/leave": Example(
        "/api/v1/organisations/firm-a/leave",
        "organisation:firm-a",
        {"credit_code": credit_code(1)},
        **FIRMS_OWN,
    ),
    "POST /leave": Example(
        "/leave", "organisation:firm-a", {"credit_code": credit_code(1)}, form=True, **FIRMS_OWN
    ),
    "POST /first-steps/thing": Example(
        "/first-steps/thing",
        "asset:elevator:123",
        {"kind": "elevator", "code": "123", "name": MARK, "address": MARK, "district": DISTRICT},
        form=True,
        **FIRMS_OWN,
    ),
    "POST /api/v1/signup": Example(SIGN_UP[0], "organisation:{applied}", SIGN_UP[1], **STRANGER),
    "POST /signup": Example(
        "/signup",
        "organisation:{applied}",
        {
            **{name: SIGN_UP[1][name] for name in ("kind", "name", "credit_code", "username")},
            "district": DISTRICT,
            "category_food": "on",
            "contact_name": MARK,
            "phone": MARK,
            "password": PASSWORD,
            "again": PASSWORD,
        },
        form=True,
        **STRANGER,
    ),
    "POST /api/v1/accounts": Example("/api/v1/accounts", "account:8", NEW_ACCOUNT),
    "PATCH /api/v1/accounts/{account_id}": Example(
        "/api/v1/accounts/1", "account:1", {"name": f"{MARK}2"}
    ),
    "POST /api/v1/accounts/{account_id}/reset": Example("/api/v1/accounts/1/reset", "account:1"),
    "POST /api/v1/accounts/{account_id}/hand-over": Example(
        "/api/v1/accounts/7/hand-over", "account:7 account:1", {"to": 1}
    ),
    "POST /api/v1/redeem": Example(
        "/api/v1/redeem",
        "account:8",
        {"code": "{code}", "password": PASSWORD},
        before=("/api/v1/accounts", NEW_ACCOUNT),
        by="account:8",
        organisation="",
        call="account.redeem",
    ),
    "POST /api/v1/keys": Example("/api/v1/keys", "key:1", KEY, **FIRMS_OWN),
    "POST /accounts": Example("/accounts", "account:8", FORM_ACCOUNT, form=True),
    **{
        f"POST /accounts/{{account_id}}/{verb}": Example(
            f"/accounts/1/{verb}", "account:1", form=True
        )
        for verb in ("enable", "disable", "reset")
    },
    "POST /accounts/{account_id}/change": Example(
        "/accounts/1/change",
        "account:1",
        {"name": f"{MARK}2", "role": "enterprise_manager"},
        form=True,
    ),
    "POST /accounts/{account_id}/hand-over": Example(
        "/accounts/7/hand-over", "account:7 account:1", {"to": "1"}, form=True
    ),
    "POST /redeem": Example(
        "/redeem",
        "account:8",
        {"code": "{code}", **NEW_PASSWORD},
        form=True,
        before=("/api/v1/accounts", NEW_ACCOUNT),
        by="account:8",
        organisation="",
        call="account.redeem",
    ),
    "POST /api/v1/me/password": Example(
        "/api/v1/me/password",
        "account:7",
        {"old": PASSWORD, "new": NEW_PASSWORD["password"]},
        **FIRMS_OWN,
    ),
    "POST /account/password": Example(
        "/account/password", "account:7", {"old": PASSWORD, **NEW_PASSWORD}, form=True, **FIRMS_OWN
    ),
    "POST /api/v1/me/second-factor/confirm": Example(
        "/api/v1/me/second-factor/confirm", "account:7", CONFIRMED, before=FACTOR, **FIRMS_OWN
    ),
    "POST /account/second-factor/confirm": Example(
        "/account/second-factor/confirm",
        "account:7",
        CONFIRMED,
        form=True,
        before=FACTOR,
        **FIRMS_OWN,
    ),
    "DELETE /api/v1/me/second-factor": Example(
        "/api/v1/me/second-factor", "account:7", {"password": PASSWORD}, **FIRMS_OWN
    ),
    "POST /account/second-factor/drop": Example(
        "/account/second-factor/drop", "account:7", {"password": PASSWORD}, form=True, **FIRMS_OWN
    ),
    "DELETE /api/v1/me/sessions/{session_id}": Example(
        "/api/v1/me/sessions/{session}", "account:7", **FIRMS_OWN
    ),
    "POST /account/sessions/{session_id}/end": Example(
        "/account/sessions/{session}/end", "account:7", form=True, **FIRMS_OWN
    ),
    "POST /account/keys": Example(
        "/account/keys",
        "key:1",
        {"name": MARK, "days": "90", "call": "assets.read"},
        form=True,
        **FIRMS_OWN,
    ),
    "POST /account/keys/{key_id}/revoke": Example(
        "/account/keys/1/revoke", "key:1", form=True, before=("/api/v1/keys", KEY), **FIRMS_OWN
    ),
    "POST /account/handhelds/{device_id}/revoke": Example(
        f"/account/handhelds/{OWN_DEVICE}/revoke", f"device:{OWN_DEVICE}", form=True, **FIRMS_OWN
    ),
    "POST /account/sign-on/{way}/unlink": Example(
        "/account/sign-on/city/unlink", "account:7", form=True, **FIRMS_OWN
    ),
    "DELETE /api/v1/keys/{key_id}": Example(
        "/api/v1/keys/1", "key:1", before=("/api/v1/keys", KEY), **FIRMS_OWN
    ),
    "POST /api/v1/devices/codes": Example("/api/v1/devices/codes", "account:1", {"account": 1}),
    "POST /api/v1/devices": Example(
        "/api/v1/devices",
        "device:{device}",
        {"code": "{code}", "name": MARK},
        before=("/api/v1/devices/codes", {"account": 1}),
        by="account:1",
        organisation="firm-a",
        call="devices.write",
    ),
    "POST /api/v1/handheld/records": Example(
        "/api/v1/handheld/records",
        f"handheld:{STORE}",
        {"store": STORE, "records": [{"number": 1, "person": MARK}]},
    ),
    "DELETE /api/v1/devices/{device_id}": Example(f"/api/v1/devices/{DEVICE}", f"device:{DEVICE}"),
    "POST /epcis/capture": Example("/epcis/capture", "epcis:capture", document(event(2))),
    "POST /epcis/events": Example("/epcis/events", "epcis:events", event(3)),
    "POST /epcis/queries": Example("/epcis/queries", "epcis:queries", {"name": MARK, "query": {}}),
    "POST /epcis/queries/{queryName}/subscriptions": Example(
        "/epcis/queries/q/subscriptions",
        "epcis:subscriptions",
        {"dest": "https://client.example.com/", "secret": MARK, "stream": True},
    ),
    "DELETE /epcis/queries/{queryName}/subscriptions/{subscriptionID}": Example(
        "/epcis/queries/q/subscriptions/{subscriptionID}", "epcis:subscriptions"
    ),
    "DELETE /epcis/queries/{queryName}": Example(
        f"/epcis/queries/{MARK}",
        "epcis:queries",
        before=("/epcis/queries", {"name": MARK, "query": {}}),
    ),
    "POST /api/v1/partners": Example("/api/v1/partners", "partner", PARTNER),
    "PUT /api/v1/partners/{partner_id}": Example(
        "/api/v1/partners/{partner_id}", "partner:{partner_id}", PARTNER
    ),
    "DELETE /api/v1/partners/{partner_id}": Example(
        "/api/v1/partners/{partner_id}", "partner:{partner_id}"
    ),
    "POST /api/v1/partners/{partner_id}/{verb}": Example(
        "/api/v1/partners/{partner_id}/pause", "partner:{partner_id}"
    ),
    "PUT /api/v1/links": Example(
        "/api/v1/links",
        f"link:/id/{LIFT.replace(':', '/')}",
        {"anchor": f"/id/{LIFT.replace(':', '/')}", "links": []},
    ),
    "PUT /api/v1/cylinders/{code}": Example(
        f"{CYLINDERS}/A9",
        "asset:cylinder:A9",
        {"kind": "lpg_household", "gas": "lpg", "maker": MARK},
    ),
    "POST /api/v1/cylinders/{code}/transfer": Example(
        f"{CYLINDERS}/{CYLINDER}/transfer", A1, {"to": "unit-8", **WHY}
    ),
    "POST /api/v1/cylinders/{code}/scrap": Example(
        f"{CYLINDERS}/{CYLINDER}/scrap",
        A1,
        {"how": "crushed", "on": "2025-01-01", "by": MARK, **WHY},
    ),
    "POST /api/v1/cylinders/read-together": Example(
        f"{CYLINDERS}/read-together",
        "cylinders",
        {"codes": [{"scheme": "cylinder", "value": one} for one in (CYLINDER, TANK)]},
    ),
    "POST /api/v1/cylinders/{code}/take-out": Example(f"{CYLINDERS}/{CYLINDER}/take-out", A1, WHY),
    "POST /api/v1/cylinders/{code}/put-back": Example(
        f"{CYLINDERS}/{CYLINDER}/put-back",
        A1,
        WHY,
        before=(f"{CYLINDERS}/{CYLINDER}/take-out", WHY),
    ),
    "POST /api/v1/cylinders/{code}/lose": Example(f"{CYLINDERS}/{CYLINDER}/lose", A1, WHY),
    "POST /api/v1/cylinders/{code}/find": Example(
        f"{CYLINDERS}/{CYLINDER}/find", A1, WHY, before=(f"{CYLINDERS}/{CYLINDER}/lose", WHY)
    ),
    "POST /api/v1/cylinders/{code}/purge": Example(
        f"{CYLINDERS}/{CYLINDER}/purge", A1, WHY, before=INSPECTED
    ),
    "POST /api/v1/cylinders/{code}/block": Example(f"{CYLINDERS}/{CYLINDER}/block", A1, WHY),
    "POST /api/v1/cylinders/{code}/blocks/{block_id}/lift": Example(
        f"{CYLINDERS}/{CYLINDER}/blocks/1/lift",
        A1,
        WHY,
        before=(f"{CYLINDERS}/{CYLINDER}/block", WHY),
    ),
    "POST /api/v1/cylinders/{code}/inspections": Example(INSPECTED[0], A1, INSPECTED[1]),
    "POST /api/v1/cylinders/{code}/inspections/{inspection_id}/withdraw": Example(
        f"{INSPECTED[0]}/1/withdraw", A1, WHY, before=INSPECTED
    ),
    **{
        f"POST /cylinders/{{code}}/{step}": Example(
            f"/cylinders/{CYLINDER}/{step}",
            A1,
            WHY,
            form=True,
            before=(f"{CYLINDERS}/{CYLINDER}/{before}", WHY) if before else None,
        )
        for step, before in (
            ("lose", ""),
            ("find", "lose"),
            ("take-out", ""),
            ("put-back", "take-out"),
            ("block", ""),
        )
    },
    "POST /cylinders/{code}/blocks/{block_id}/lift": Example(
        f"/cylinders/{CYLINDER}/blocks/1/lift",
        A1,
        WHY,
        form=True,
        before=(f"{CYLINDERS}/{CYLINDER}/block", WHY),
    ),
    "POST /api/v1/cylinder-cases/{case_id}/close": Example(
        "/api/v1/cylinder-cases/1/close", "cylinder-case:1", {"note": MARK}
    ),
    "POST /cylinder-cases/{case_id}/close": Example(
        "/cylinder-cases/1/close", "cylinder-case:1", {"note": MARK}, form=True
    ),
    "POST /api/v1/cylinder-notices": Example(
        "/api/v1/cylinder-notices",
        "cylinder-notices organisation:platform",
        {"channel": "mail", "address": f"{MARK}@city.test"},
    ),
    "POST /cylinder-notices": Example(
        "/cylinder-notices",
        "cylinder-notices organisation:platform",
        {"channel": "mail", "address": f"{MARK}@city.test", "language": "zh"},
        form=True,
    ),
    "POST /api/v1/cylinder-notices/{address_id}/test": Example(
        "/api/v1/cylinder-notices/1/test", "cylinder-notices"
    ),
    "POST /cylinder-notices/{address_id}/test": Example(
        "/cylinder-notices/1/test", "cylinder-notices", {}, form=True
    ),
    "POST /cylinder-notices/{address_id}/remove": Example(
        "/cylinder-notices/1/remove", "cylinder-notices", {}, form=True
    ),
    "DELETE /api/v1/cylinder-notices/{address_id}": Example(
        "/api/v1/cylinder-notices/1", "cylinder-notices"
    ),
    f"POST {RECEIVERS}": Example(RECEIVERS, SENT_TO, RECEIVER),
    f"PUT {RECEIVERS}/{{receiver_id}}": Example(f"{RECEIVERS}/1", SENT_TO, RECEIVER),
    f"DELETE {RECEIVERS}/{{receiver_id}}": Example(f"{RECEIVERS}/1", SENT_TO),
    "POST /receivers": Example("/receivers", SENT_TO, RECEIVER, form=True),
    **{
        f"POST {path}/{{receiver_id}}/{step}": Example(
            f"{path}/1/{step}",
            SENT_TO,
            RECEIVER if step == "change" else {"skip": True} if step == "resume" else {},
            form=path != RECEIVERS,
        )
        for path, steps in (
            (RECEIVERS, ("secret", "pause", "resume", "test")),
            ("/receivers", ("change", "remove", "secret", "pause", "resume", "test")),
        )
        for step in steps
    },
    "PUT /api/v1/cylinder-vehicles/{vehicle_id}": Example(
        f"/api/v1/cylinder-vehicles/{VEHICLE}",
        f"cylinder-vehicle:{VEHICLE}",
        {"plate": f"{MARK}2", "taxi": True},
    ),
    "PUT /api/v1/permits/{kind}/{organisation_id}/{number}": Example(
        "/api/v1/permits/filling/unit-7/TS-1", "organisation:unit-7", PERMIT
    ),
    "POST /api/v1/cylinder-imports": Example(
        "/api/v1/cylinder-imports",
        "cylinders",
        {"code": "A8", "kind": "lpg_household", "gas": "lpg"},
        media="application/jsonl",
    ),
    "PUT /api/v1/prefixes/{prefix}": Example(
        "/api/v1/prefixes/6901235", "prefix:6901235", {"organisation": "firm-a"}
    ),
    "DELETE /api/v1/prefixes/{prefix}": Example(f"/api/v1/prefixes/{PREFIX}", f"prefix:{PREFIX}"),
}
"""By method and path: every call that changes something. One that is not here fails below."""

NOT_NOTED = {
    "POST /api/v1/enroll": "a gateway's own doing: the authority's book has every certificate",
    "POST /api/v1/enroll/renew": "the same",
    "POST /api/v1/devices/renew": "a handheld's own doing: its row tells when",
    "POST /api/v1/partner-events/{partner_id}": "a partner's own doing: its receipts tell of it",
    "POST /login": "opens a session in the visitor's cookie and writes nothing here",
    "POST /login/with/{way}/link": "leads away; what comes back is noted",
    "POST /logout": "takes the cookie away and writes nothing here",
}
"""Open to everybody, and why it makes no entry; an open one that makes one is in EXAMPLES."""

NOTED_BEFORE = {
    "PUT /api/v1/handheld/photos/{sha256}": "its record was noted; its row tells who brought it",
}
"""Bring what a call before them announced."""

NOTED_ELSEWHERE = {
    "POST /oauth2/token": "needs a secret: tests/cloud/platforms/test_oauth2.py",
    "POST /oauth2/revoke": "the same",
}
"""Open to everybody, and noted as another test tells."""

LOGGED = {
    f"{method} /api/v1/platforms/{{platform_id}}/{kind}": "the log holds every item"
    for method in ("POST", "PUT")
    for kind in ("status", "messages", "statistics", "basic")
}
"""What machines report all day."""

NOTHING_KEPT = {
    "POST /api/v1/me/second-factor": "a secret is kept, and noted, once its first code was shown",
    "POST /account/second-factor": "the same",
    "DELETE /epcis/nextPageToken/{token}": "a page is no longer wanted; nothing else changes",
}
"""Change nothing that stays."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as stage:
        yield stage


async def test_every_call_that_changes_something_has_an_example_here(stage: Stage) -> None:
    served = {f"{method} {path}": calls for method, path, calls in routes(stage.app, safe=False)}
    others = (NOT_NOTED, NOTED_BEFORE, NOTED_ELSEWHERE, LOGGED, NOTHING_KEPT)
    assert set(served) == set(EXAMPLES).union(*others)
    open_ones = {name for name, one in EXAMPLES.items() if one.call}
    open_ones |= {*NOT_NOTED, *NOTED_ELSEWHERE}
    assert {name for name, calls in served.items() if is_open(calls)} == open_ones


class Stages:
    """One stage for many examples; a fresh one only where earlier ones stand in the way."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders, self._open = folders, AsyncExitStack()
        self._shared: Stage | None = None

    async def check(self, name: str) -> None:
        """Check an example."""
        if self._shared is not None:
            with suppress(AssertionError):
                return await _check(self._shared, name)
        self._shared = await self._fresh()
        return await _check(self._shared, name)

    async def _fresh(self) -> Stage:
        await self.close()
        return await self._open.enter_async_context(open_stage(self._folders.mktemp("stage")))

    async def close(self) -> None:
        """Close it."""
        self._shared = None
        await self._open.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stages]:
    stages = Stages(tmp_path_factory)
    yield stages
    await stages.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_call_that_changes_something_is_noted_without_what_is_personal(
    stages: Stages, name: str
) -> None:
    await stages.check(name)


async def _check(stage: Stage, name: str) -> None:
    example, method = EXAMPLES[name], name.partition(" ")[0]
    calls = next(c for m, p, c in routes(stage.app, safe=False) if f"{m} {p}" == name)
    client, earlier = stage.client(example.path, calls), len(stage.entries())
    body = dict(example.body)
    if example.before is not None:
        prior = await client.post(example.before[0], json=example.before[1])
        assert prior.status_code < 400, prior.text
        earlier = len(stage.entries())
        if example.before == FACTOR:
            now_s = stage.world.clock.wall_ms() // 1000
            made = prior.json()
            body |= {"sealed": made["sealed"], "code": pyotp.TOTP(made["secret"]).at(now_s)}
        elif body.get("code") == "{code}":
            body["code"] = prior.json()["code"]
    how: dict[str, Any] = {"data" if example.form else "json": body}
    if example.media:
        how = {"content": json.dumps(body), "headers": {"Content-Type": example.media}}
    path = example.path.format(applied=applied(stage), session=stage.other_session, **stage.trace)
    answer = await client.request(method, path, **how)
    assert answer.status_code < 400, answer.text
    subject = example.subject.format(applied=applied(stage), device=issued(stage), **stage.trace)
    new = stage.entries()[earlier:]
    assert new, f"{name} made no entry: pass services.noted(...) to what it changes"
    for entry in new:
        assert (entry["by"], entry["organisation"]) == (example.by, example.organisation)
        assert entry["call"] in ({example.call} if example.call else calls)
        assert entry["subject"] in subject.split()
        assert MARK not in str(entry)
    database = stage.world.database
    assert database.read_now(lambda c: verify(c, AUDIT_KEY)).faults == []


def issued(stage: Stage) -> str:
    """Return the id of the handheld that was issued."""
    query = select(device.c.id).where(device.c.id.notin_((DEVICE, OWN_DEVICE)))
    return str(stage.world.database.read_now(lambda c: c.execute(query).scalar()))


def applied(stage: Stage) -> str:
    """Return the id of the organisation that signed up."""
    settled = ("platform", "office", "firm-a")
    query = select(organisation.c.id).where(organisation.c.id.notin_(settled))
    return str(stage.world.database.read_now(lambda c: c.execute(query).scalar()))


async def test_call_that_is_refused_makes_no_entry(stage: Stage) -> None:
    for path, body in (
        ("/api/v1/alarms/1/acknowledge", {}),
        ("/api/v1/alarms/9/acknowledge", {}),
        ("/api/v1/rollouts/9/stop", {}),
        ("/api/v1/rollouts", {"serial": 9}),
        (f"/api/v1/gateways/{GATEWAY}/commands", {"op": "ping", "args": {"x": "x" * 20_000}}),
        (f"/api/v1/gateways/{GATEWAY}/config", {"site": "no site"}),
    ):
        answer = await stage.root.post(path, json=body)
        assert 400 <= answer.status_code < 500, path
    assert stage.entries() == []


async def test_asset_entry_names_what_changed(stage: Stage) -> None:
    body = {"name": "x", "gateways": [GATEWAY], "attributes": {"district": "chuanying"}}
    await stage.root.put(f"/api/v1/assets/{LIFT}", json=body)
    await stage.root.put("/api/v1/assets/elevator:new", json={"parties": {"owner": "firm-a"}})
    assert [entry["detail"] for entry in stage.entries()] == [
        '{"fields":["name","attributes.maintenance_phone"],"state":"changed"}',
        '{"fields":["parties.owner"],"state":"registered"}',
    ]


async def test_authority_is_noted_before_and_after(stage: Stage) -> None:
    await stage.root.post(f"/api/v1/gateways/{GATEWAY}/invite", json={"valid_hours": -1})
    await stage.root.post(f"/api/v1/gateways/{GATEWAY}/invite", json={"valid_hours": 1})
    details = [entry["detail"] for entry in stage.entries()]
    assert details[:3] == [
        '{"state":"begun","what":"invite"}',
        '{"reason":"bad_request","state":"refused","what":"invite"}',
        '{"state":"begun","what":"invite"}',
    ]
    assert details[3].endswith('"state":"done","what":"invite"}')


async def test_whatever_shows_what_is_personal_is_noted_before_it_leaves(stage: Stage) -> None:
    await stage.root.post("/api/v1/rollouts", json=ROLLOUT)
    for what, body in (("config", {"site": SITE}), ("invite", {})):
        await stage.root.post(f"/api/v1/gateways/{GATEWAY}/{what}", json=body)
    principal = administrator("account", "account:1", MARK)
    note = entry_of(Granted(principal, "assets.read", EVERYTHING), 1, "asset:x:1")
    showing = set()
    for method, path, calls in routes(stage.app, safe=True):
        if method != "GET" or is_open(calls):
            continue
        await hour_later(stage)
        await stage.world.services.audit.note(note)  # stands on the first page of the audit
        earlier = len(stage.entries())
        where = path.format(**PARAMETERS, **stage.trace) + QUERIES.get(path, "")
        answer = await stage.client(path, calls).get(where)
        assert answer.status_code == 200, (path, answer.text)
        new, text = stage.entries()[earlier:], told(answer)
        noted = [entry for entry in new if entry["call"] in calls]
        own_name = text.count(f'title="{MARK} (admin)"')  # in the bar of each page, twice
        own_name += text.count(f'class="who">{MARK} (admin)<')
        if text.count(MARK) > own_name:
            showing.add(path)
            assert noted, f"{path} shows what is personal: await services.shown(...) first"
        assert MARK not in str(new)
    assert showing >= {
        "/",
        "/account",
        "/accounts",
        "/accounts/{account_id}",
        "/alarms/{alarm_id}",
        "/api/v1/alarms",
        "/api/v1/assets/{asset_id}",
        "/api/v1/audit",
        "/api/v1/cylinder-vehicles/{vehicle_id}",
        "/api/v1/cylinder-decisions",
        "/api/v1/cylinder-fills",
        "/api/v1/cylinders",
        "/api/v1/cylinders/{code}",
        "/api/v1/cylinders/{code}/fills",
        "/api/v1/feed",
        "/api/v1/gateways/{gateway_id}/commands",
        "/api/v1/gateways/{gateway_id}/config",
        "/api/v1/calls",
        "/api/v1/incidents",
        "/api/v1/incidents/{incident_id}",
        "/api/v1/incidents/{incident_id}/record",
        "/api/v1/me",
        "/api/v1/rescue-units",
        "/api/v1/handovers",
        "/api/v1/handovers/{handover_id}",
        "/api/v1/incidents/{incident_id}/links",
        "/rescue",
        "/rescue/handover",
        "/rescue/handover/{handover_id}",
        "/rescue/{incident_id}",
        "/api/v1/organisations/{organisation_id}",
        "/api/v1/rollouts",
        "/api/v1/scans",
        "/assets/{asset_id}",
        "/audit",
        "/cylinders/{code}",
        "/fleet",
    }


async def test_who_looks_again_within_the_hour_is_noted_once(stage: Stage) -> None:
    for _ in range(3):
        assert (await stage.root.get("/")).status_code == 200
        assert (await stage.root.get(f"/api/v1/assets/{LIFT}")).status_code == 200
    assert [(entry["call"], entry["subject"]) for entry in stage.entries()] == [
        ("alarms.read", f"asset:{LIFT}"),
        ("assets.read", f"asset:{LIFT}"),
    ]


def test_personal_fields_are_fields_of_their_things() -> None:
    known: dict[str, set[str]] = {}
    for type_, (kind, _) in THINGS.items():
        known.setdefault(kind, set()).update(type_.__struct_fields__)
    assert set(known) <= set(load_personal())
    for kind, fields in known.items():
        assert {name.partition(".")[0] for name in load_personal()[kind]} <= fields
