"""Kinds that are called over HTTP: webhooks, CAP documents by push, Alertmanager."""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from cloud.feed.cap.base import CapDocuments
from cloud.feed.items import Item
from cloud.feed.receivers.base import TAKEN, Destination, Opens, Outcome
from cloud.feed.receivers.keys import signatures
from cloud.model.receiver import Receiver
from cloud.outbound.base import Answer, Outbound
from protocols.clock import Clock, iso

ALERTS_AT_ONCE = 200
JSON = {"Content-Type": "application/json"}
CAP = {"Content-Type": "application/cap+xml; charset=utf-8"}
_LATER = frozenset((429, 503))
_OF_ITEM = frozenset((400, 406, 409, 413, 415, 422))
"""What is refused by these is refused for what it says."""


def outcome_of(answer: Answer, now_ms: int) -> Outcome:
    """Say what an answer means: any 2xx is a success, and nothing else."""
    status = answer.status
    if 200 <= status < 300:
        return TAKEN
    detail = f"answered with status {status}"
    if 300 <= status < 400:
        detail += ": redirects are not followed"
    told = answer.headers.get("retry-after") if status in _LATER else None
    return Outcome(
        ok=False,
        detail=detail,
        gone=status == 410,
        of_item=status in _OF_ITEM,
        retry_after_s=_seconds(told, now_ms) if told else None,
    )


def _seconds(text: str, now_ms: int) -> float | None:
    """Read `Retry-After`, in seconds or as a date; None: it is neither."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now_ms / 1_000, UTC)).total_seconds())


def message_id(receiver: Receiver, item: Item) -> str:
    """Return what is the same however often an item is sent to a receiver, and only then."""
    return f"msg_{receiver.key}_{item.offset}"


def message_body(item: Item) -> bytes:
    """Return an item as the body of a webhook."""
    told = {
        "type": f"{item.event}.{item.about.change}",
        "timestamp": item.about.changed_at,
        "data": msgspec.Raw(item.data.encode()),
    }
    return msgspec.json.encode(told)


class WebhookSender:
    """Standard Webhooks 1.0."""

    keep_s, batch = None, False

    def __init__(self, to: Destination, outbound: Outbound, clock: Clock) -> None:
        self._to, self._outbound, self._clock = to, outbound, clock

    async def send(self, items: Sequence[Item]) -> Outcome:
        """Call once for one item."""
        (item,) = items
        return await self._call(message_id(self._to.receiver, item), message_body(item))

    async def test(self) -> Outcome:
        """Call with a message of type `test`."""
        now_ms = self._clock.wall_ms()
        body = {"type": "test", "timestamp": iso(now_ms), "data": {"drill": True}}
        return await self._call(
            f"msg_{self._to.receiver.key}_test{now_ms}", msgspec.json.encode(body)
        )

    async def keep(self) -> Outcome:
        """Nothing is told again."""
        return TAKEN

    async def close(self) -> None:
        """No connection is kept."""

    async def _call(self, id_: str, body: bytes) -> Outcome:
        now_ms = self._clock.wall_ms()
        headers = {
            **JSON,
            "webhook-id": id_,
            "webhook-timestamp": str(now_ms // 1_000),
            "webhook-signature": signatures(self._to.secrets, id_, now_ms // 1_000, body),
        }
        address = self._to.receiver.address
        answer = await self._outbound.fetch(address, method="POST", headers=headers, content=body)
        return outcome_of(answer, now_ms)


class CapSender:
    """Posts the CAP document of each item."""

    keep_s, batch = None, False

    def __init__(
        self, to: Destination, outbound: Outbound, clock: Clock, documents: CapDocuments
    ) -> None:
        self._to, self._outbound, self._clock = to, outbound, clock
        self._documents = documents

    async def send(self, items: Sequence[Item]) -> Outcome:
        """Post one; an item that is none in CAP has nothing to tell."""
        (item,) = items
        document = await self._documents.document(item.offset)
        if document is None:
            return TAKEN
        return await self._post(message_id(self._to.receiver, item), document)

    async def test(self) -> Outcome:
        """Post a document whose status is Test."""
        now_ms = self._clock.wall_ms()
        document = await self._documents.test(now_ms)
        return await self._post(f"msg_{self._to.receiver.key}_test{now_ms}", document)

    async def keep(self) -> Outcome:
        """Nothing is told again."""
        return TAKEN

    async def close(self) -> None:
        """No connection is kept."""

    async def _post(self, id_: str, document: bytes) -> Outcome:
        headers = {**CAP, "webhook-id": id_, **authorization(self._to)}
        address = self._to.receiver.address
        answer = await self._outbound.fetch(
            address, method="POST", headers=headers, content=document
        )
        return outcome_of(answer, self._clock.wall_ms())


class AlertmanagerSender:
    """Alertmanager's API v2: what is open is told again and again, else it would be resolved."""

    batch = False

    def __init__(
        self,
        to: Destination,
        outbound: Outbound,
        clock: Clock,
        *,
        opens: Opens,
        base_url: str,
    ) -> None:
        self._to, self._outbound, self._clock = to, outbound, clock
        self._opens, self._base_url = opens, base_url
        self.keep_s: float | None = float(to.receiver.options.resend_s)
        self._address = f"{to.receiver.address.rstrip('/')}/api/v2/alerts"

    async def send(self, items: Sequence[Item]) -> Outcome:
        """Tell of one change."""
        return await self._post([self._alert(one) for one in items])

    async def keep(self) -> Outcome:
        """Tell again all that is open."""
        alerts = [self._alert(one.item) for one in self._opens().values()]
        for at in range(0, len(alerts), ALERTS_AT_ONCE):
            outcome = await self._post(alerts[at : at + ALERTS_AT_ONCE])
            if not outcome.ok:
                return outcome
        return TAKEN

    async def test(self) -> Outcome:
        """Tell of an alert that ends in a minute."""
        now_ms = self._clock.wall_ms()
        labels = {"alertname": "SuyuanTest", "severity": "info", "drill": "true"}
        alert = {"labels": labels, "annotations": {"summary": "Test"}, "startsAt": iso(now_ms)}
        return await self._post([{**alert, "endsAt": iso(now_ms + 60_000)}])

    async def close(self) -> None:
        """No connection is kept."""

    def _alert(self, item: Item) -> dict[str, Any]:
        """Return an item as an alert; its labels never change, for they say which alert it is."""
        about, language = item.about, self._to.receiver.options.language
        name = about.alert if item.event == "alarm" and about.alert else "Rescue"
        labels = {"alertname": name, "asset": about.asset, "severity": about.severity}
        labels |= {"suyuan_id": item.thing}
        annotations = {
            "summary": item.title(language),
            "state": about.state,
            "evidence": about.evidence or "",
            "where": " ".join(filter(None, (item.place.name, item.place.address))),
        }
        alert: dict[str, Any] = {
            "labels": labels | ({"drill": "true"} if about.drill else {}),
            "annotations": {name: text for name, text in annotations.items() if text},
            "startsAt": iso(item.started_at),
        }
        alert |= {"endsAt": iso(max(item.at, item.started_at + 1))} if item.over else {}
        if self._base_url:
            alert["generatorURL"] = f"{self._base_url}{item.page}"
        return alert

    async def _post(self, alerts: Sequence[Mapping[str, Any]]) -> Outcome:
        headers, body = {**JSON, **authorization(self._to)}, msgspec.json.encode(alerts)
        answer = await self._outbound.fetch(
            self._address, method="POST", headers=headers, content=body
        )
        return outcome_of(answer, self._clock.wall_ms())


def authorization(to: Destination) -> dict[str, str]:
    """Return the header that proves who calls, if the receiver wants one."""
    if not to.password:
        return {}
    name = to.receiver.options.username
    if not name:
        return {"Authorization": f"Bearer {to.password}"}
    pair = base64.b64encode(f"{name}:{to.password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}
