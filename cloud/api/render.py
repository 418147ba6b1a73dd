"""JSON as it leaves: names as in the model, times as ISO 8601 with ms and Z."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import Request, Response

from cloud.model.alarm import Alarm
from cloud.model.asset import Asset, LatestValue
from cloud.model.gateway import Gateway
from cloud.model.ledger import SpoolLedger
from cloud.model.refusal import Refusal
from cloud.model.scan import KeptScan
from cloud.model.trust import GatewayIdentity
from protocols.clock import iso


def answer(data: object, *, status: int = 200) -> Response:
    """Build a JSON answer."""
    return Response(msgspec.json.encode(data), status_code=status, media_type="application/json")


def page(
    items: Sequence[object] | Mapping[str, object],
    *,
    request: Request,
    next_page: Mapping[str, object],
) -> Response:
    """Build a list as an answer; what follows it stands in a `Link` header (RFC 8288).

    `next_page`: the parameters that change for the next page; empty when there is none.
    """
    response = answer(items)
    if next_page:
        url = request.url.include_query_params(**next_page)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return response


def asset_fields(asset: Asset) -> dict[str, Any]:
    """Return an asset as JSON-ready fields."""
    fields = msgspec.structs.asdict(asset)
    fields["findings"] = [_timed(msgspec.structs.asdict(found)) for found in asset.findings]
    return _timed(fields)


def latest_fields(value: LatestValue) -> dict[str, Any]:
    """Return a last value as JSON-ready fields."""
    return _timed(msgspec.structs.asdict(value))


def alarm_fields(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm as JSON-ready fields, a superset of a feed item's."""
    reasons = [timed_fields(one) for one in alarm.reasons]
    return _timed(msgspec.structs.asdict(alarm)) | {"reasons": reasons}


def scan_fields(scan: KeptScan) -> dict[str, Any]:
    """Return a scan as JSON-ready fields."""
    return _timed(msgspec.structs.asdict(scan))


def gateway_fields(
    gateway: Gateway, spools: list[SpoolLedger], *, registered: bool
) -> dict[str, Any]:
    """Return a gateway with its account as JSON-ready fields."""
    fields = _timed(msgspec.structs.asdict(gateway))
    fields["registered"] = registered
    fields["spools"] = [_timed(msgspec.structs.asdict(spool)) for spool in spools]
    return fields


def identity_fields(identity: GatewayIdentity) -> dict[str, Any]:
    """Return a gateway's invitation and certificates as JSON-ready fields."""
    fields = _timed(msgspec.structs.asdict(identity))
    fields["certificates"] = [_timed(msgspec.structs.asdict(one)) for one in identity.certificates]
    return fields


def refusal_fields(refusal: Refusal) -> dict[str, Any]:
    """Return what a broker refused as JSON-ready fields."""
    return _timed(msgspec.structs.asdict(refusal))


def timed_fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return a struct as JSON-ready fields, times as text."""
    return _timed(msgspec.structs.asdict(struct))


def _timed(fields: dict[str, Any]) -> dict[str, Any]:
    """Write every `..._at` field as text."""
    return {
        name: iso(value) if name.endswith("_at") and isinstance(value, int) else value
        for name, value in fields.items()
    }
