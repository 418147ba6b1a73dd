"""What must hold of all that the receivers took: each item, by one id, nothing bent."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from lxml import etree
from signxml.verifier import XMLVerifier
from standardwebhooks import Webhook

from tests.support import cap_rules
from tests.support.http_sink import Request

Taken = Mapping[str, list[Any]]


def check_webhook(
    items: Mapping[int, str], taken: Sequence[Request], key: str, secret: str
) -> list[str]:
    """Check a webhook: every item, one id for each, one body for each id, signed."""
    found: dict[str, bytes] = {}
    faults = []
    for request in taken:
        id_ = request.headers["webhook-id"]
        if found.setdefault(id_, request.body) != request.body:
            faults.append(f"{id_} had two bodies")
        if not _is_signed(request, secret):
            faults.append(f"{id_} is not signed")
    for offset, data in items.items():
        body = found.pop(f"msg_{key}_{offset}", None)
        if body is None:
            faults.append(f"item {offset} was never taken")
        elif json.loads(body)["data"] != json.loads(data):
            faults.append(f"item {offset} was bent")
    return faults + [f"{one} is of no item" for one in found]


def _is_signed(request: Request, secret: str) -> bool:
    if secret.startswith("whsec_"):
        Webhook(secret).verify(request.body, dict(request.headers))
        return True
    raw = base64.b64decode(secret.removeprefix("whsk_"))[32:]
    head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    signature = base64.b64decode(request.headers["webhook-signature"].partition(",")[2])
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, head + request.body)
    except InvalidSignature:
        return False
    return True


def check_cap(
    items: Mapping[int, str], taken: Sequence[Request], key: str, certificate: str
) -> list[str]:
    """Check CAP documents: rules, signature, and that all they refer to was issued."""
    documents: dict[str, bytes] = {}
    faults = []
    for request in taken:
        id_ = request.headers["webhook-id"]
        if documents.setdefault(id_, request.body) != request.body:
            faults.append(f"{id_} had two documents")
    faults += [
        f"CAP of item {n} was never taken" for n in items if f"msg_{key}_{n}" not in documents
    ]
    issued, referred = set[str](), set[str]()
    for id_, document in documents.items():
        faults += [f"{id_}: {one}" for one in cap_rules.faults(document)]
        XMLVerifier().verify(document, x509_cert=certificate)
        root = etree.fromstring(document)
        names = ("sender", "identifier", "sent")
        issued.add(",".join(cap_rules.text_of(root, name) for name in names))
        referred |= set(cap_rules.text_of(root, "references").split())
    return faults + [f"{one} refers to nothing" for one in referred - issued]


def check_alertmanager(items: Mapping[int, str], taken: Sequence[Request]) -> list[str]:
    """Check that every change was told, and that what ended was told as ended."""
    told: set[tuple[str, str]] = set()
    last: dict[str, bool] = {}
    for request in taken:
        for alert in json.loads(request.body):
            thing = alert["labels"]["suyuan_id"]
            told.add((thing, alert["annotations"]["state"]))
            last[thing] = "endsAt" in alert
    faults = []
    state: dict[str, str] = {}
    for data in items.values():
        item = json.loads(data)
        kind = "incident" if "number" in item else "alarm"
        state[f"{kind}:{item['id']}"] = item["state"]
        if (f"{kind}:{item['id']}", item["state"]) not in told:
            faults.append(f"{kind} {item['id']} {item['state']} was never told")
    ended = {thing for thing, word in state.items() if word in ("normal", "closed")}
    faults += [f"{thing} was left burning" for thing in ended if not last.get(thing)]
    return faults


def check_panel(
    items: Mapping[int, str], taken: Sequence[Mapping[str, Any]], states: Mapping[str, bytes]
) -> list[str]:
    """Check a panel's events, and what it shows in the end."""
    found = {one["offset"]: one for one in taken if "offset" in one}
    faults = [f"item {offset} never reached the panel" for offset in items if offset not in found]
    faults += [
        f"item {offset} was bent"
        for offset, data in items.items()
        if offset in found and found[offset]["data"] != json.loads(data)
    ]
    shown = {leaf for leaf, payload in states.items() if payload}
    burning = set[str]()
    for data in items.values():
        item = json.loads(data)
        leaf = f"{'incident' if 'number' in item else 'alarm'}/{item['id']}"
        if item["severity"] == "emergency":
            burning.add(leaf)
            if item["state"] in ("normal", "closed"):
                burning.discard(leaf)
    if shown != burning:
        faults.append(f"the panel shows {sorted(shown ^ burning)[:5]} wrongly")
    return faults


def check_mail(items: Mapping[int, str], taken: Sequence[Any], key: str) -> list[str]:
    """Check mails: each emergency by its own, the rest by its own or in a mail of several."""
    covered = set[int]()
    for mail in taken:
        number = mail["Message-ID"].strip("<>").partition("@")[0].removeprefix(f"{key}.")
        first, _, last = number.partition("-")
        if last:
            covered |= {
                offset
                for offset in range(int(first), int(last) + 1)
                if offset in items and json.loads(items[offset])["severity"] != "emergency"
            }
        else:
            covered.add(int(first))
    return [f"item {offset} was never mailed" for offset in items if offset not in covered]
