"""Kinds that are called over HTTP, against a real server that fails as servers do."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from cloud.feed.items import Item, read_item
from cloud.feed.receivers.base import Destination, OpenThing
from cloud.feed.receivers.calls import AlertmanagerSender, CapSender, WebhookSender, outcome_of
from cloud.feed.receivers.keys import new_secret, signatures
from cloud.model.alarm import FeedItem
from cloud.model.receiver import FeedFilter, Receiver, ReceiverKind, ReceiverOptions
from cloud.outbound.base import Answer
from cloud.outbound.caller import Caller
from cloud.outbound.policy import read_policy
from protocols.clock import ManualClock, SystemClock
from protocols.errors import RefuseInput, RetryLater
from tests.support.feed_items import alarm_data, incident_data
from tests.support.http_sink import Sink, http_sink

NOW_MS = 1_764_000_000_000


def to(address: str, kind: ReceiverKind = "webhook", **fields: Any) -> Destination:
    one = Receiver(
        id=1,
        key="abc123",
        organisation="firm-a",
        name="r",
        kind=kind,
        address=address,
        filter=FeedFilter(),
        options=fields.pop("options", ReceiverOptions()),
        state="active",
        why=None,
        created_at=1,
        changed_at=1,
        created_by="x",
    )
    return Destination(receiver=one, **fields)


def item(offset: int = 7, data: str = "", event: Any = "alarm") -> Item:
    found = read_item(FeedItem(offset=offset, event=event, data=data or alarm_data(NOW_MS)))
    assert found is not None
    return found


def caller(sink: Sink, **fields: Any) -> Caller:
    policy = read_policy((80, 443, sink.port), fields.pop("allowed", ("127.0.0.1",)))
    return Caller(policy, timeout_s=fields.pop("timeout_s", 2.0), answer_bytes_max=65_536, **fields)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with http_sink() as made:
        yield made


async def test_webhook_is_one_of_standard_webhooks(sink: Sink) -> None:
    old, new = new_secret("hmac")[0], new_secret("hmac")[0]
    address = f"http://127.0.0.1:{sink.port}/hook?a=1"
    sender = WebhookSender(to(address, secrets=(new, old)), caller(sink), SystemClock())
    assert (await sender.send([item()])).ok
    assert (await sender.send([item()])).ok
    first, again = sink.requests
    assert first.path == "/hook?a=1"
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == "msg_abc123_7"
    for secret in (old, new):  # an implementation that is not ours
        told = Webhook(secret).verify(first.body, dict(first.headers))
        assert told["type"] == "alarm.fired"
        assert told["timestamp"] == "2025-11-24T16:00:00.000Z"
        assert told["data"]["asset"].startswith("elevator:")
    assert (await sender.test()).ok
    assert json.loads(sink.requests[-1].body)["type"] == "test"


def test_signature_is_that_of_the_standards_own_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_webhook_signed_by_ed25519_is_verified_by_its_public_key(sink: Sink) -> None:
    secret, public = new_secret("ed25519")
    address = f"http://127.0.0.1:{sink.port}/"
    sender = WebhookSender(to(address, secrets=(secret,)), caller(sink), SystemClock())
    await sender.send([item()])
    (request,) = sink.requests
    version, _, text = request.headers["webhook-signature"].partition(",")
    assert version == "v1a"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    names = ("webhook-id", "webhook-timestamp")
    head = ".".join(request.headers[name] for name in names).encode()
    key.verify(base64.b64decode(text), head + b"." + request.body)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, {"ok": True}),
        (204, {}, {"ok": True}),
        (301, {"location": "/x"}, {"ok": False}),
        (404, {}, {"ok": False}),
        (410, {}, {"ok": False, "gone": True}),
        (422, {}, {"ok": False, "of_item": True}),
        (429, {"retry-after": "7"}, {"ok": False, "retry_after_s": 7.0}),
        (500, {"retry-after": "7"}, {"ok": False, "retry_after_s": None}),
        (503, {"retry-after": "Mon, 24 Nov 2025 16:00:30 GMT"}, {"retry_after_s": 30.0}),
        (503, {"retry-after": "soon"}, {"ok": False, "retry_after_s": None}),
    ],
)
def test_answers_mean_what_the_standard_says(
    status: int, headers: Mapping[str, str], expected: Mapping[str, Any]
) -> None:
    outcome = outcome_of(Answer(status=status, headers=headers, body=b""), NOW_MS)
    assert {name: getattr(outcome, name) for name in expected} == expected


async def test_redirect_is_not_followed(sink: Sink) -> None:
    sink.answers = ["redirect"]
    sender = WebhookSender(to(f"http://127.0.0.1:{sink.port}/"), caller(sink), ManualClock())
    outcome = await sender.send([item()])
    assert not outcome.ok
    assert "redirects are not followed" in outcome.detail
    assert len(sink.requests) == 1


@pytest.mark.parametrize("way", ["hang", "cut", "half", "slow", "garbage"])
async def test_server_that_does_not_answer_well_is_tried_again_later(sink: Sink, way: Any) -> None:
    sink.answers = [way]
    address = f"http://127.0.0.1:{sink.port}/"
    sender = WebhookSender(to(address), caller(sink, timeout_s=0.4), ManualClock())
    with pytest.raises((RetryLater, RefuseInput)):
        async with asyncio.timeout(3):
            await sender.send([item()])


async def test_private_address_is_refused_at_each_call_also_behind_a_name(sink: Sink) -> None:
    found = [["93.184.216.34"], ["127.0.0.1"]]

    async def resolve(_host: str, _port: int) -> list[str]:
        return found.pop(0)  # the name leads elsewhere the second time

    guarded = caller(sink, allowed=(), resolve=resolve)
    await guarded.check(f"http://rebound.test:{sink.port}/")
    sender = WebhookSender(to(f"http://rebound.test:{sink.port}/"), guarded, ManualClock())
    with pytest.raises(RefuseInput, match="may not be called"):
        await sender.send([item()])
    assert sink.requests == []


async def test_alertmanager_hears_of_beginning_and_end_by_the_same_labels(sink: Sink) -> None:
    opens: dict[str, OpenThing] = {}
    sender = AlertmanagerSender(
        to(f"http://127.0.0.1:{sink.port}/am/", "alertmanager", password="t"),
        caller(sink),
        ManualClock(),
        opens=lambda: opens,
        base_url="https://city.test",
    )
    fired = item()
    await sender.send([fired])
    opens["alarm:1"] = OpenThing(about="alarm:1", item=fired)
    assert sender.keep_s == 60
    await sender.keep()
    over = alarm_data(
        NOW_MS + 5_000, change="resolved", state="normal", raised_at="2025-11-24T16:00:00.000Z"
    )
    await sender.send([item(8, over)])
    await sender.send([item(9, incident_data(NOW_MS), "incident")])
    first, again, last, rescue = (json.loads(one.body) for one in sink.requests)
    assert sink.requests[0].path == "/am/api/v2/alerts"
    assert sink.requests[0].headers["authorization"] == "Bearer t"
    assert first == again
    assert first[0]["labels"] == last[0]["labels"]
    assert first[0]["startsAt"] == last[0]["startsAt"] == "2025-11-24T16:00:00.000Z"
    assert "endsAt" not in first[0]
    assert last[0]["endsAt"] == "2025-11-24T16:00:05.000Z"
    assert first[0]["generatorURL"] == "https://city.test/alarms/1"
    assert rescue[0]["labels"]["alertname"] == "Rescue"
    await sender.test()
    assert "endsAt" in json.loads(sink.requests[-1].body)[0]


class Documents:
    """CAP documents as a test needs them."""

    async def document(self, offset: int, scope: object = None) -> bytes | None:
        return b"<alert/>" if offset == 7 else None

    async def test(self, now_ms: int) -> bytes:
        return b"<test/>"


async def test_cap_is_posted_and_what_is_no_message_is_passed_over(sink: Sink) -> None:
    where = to(
        f"http://127.0.0.1:{sink.port}/cap",
        "cap",
        password="pw",
        options=ReceiverOptions(username="u"),
    )
    sender = CapSender(where, caller(sink), ManualClock(), Documents())
    assert (await sender.send([item(7)])).ok
    assert (await sender.send([item(8)])).ok
    (request,) = sink.requests
    assert request.headers["content-type"].startswith("application/cap+xml")
    assert request.headers["authorization"] == "Basic dTpwdw=="
    assert request.body == b"<alert/>"
    await sender.test()
    assert sink.requests[-1].body == b"<test/>"
