"""A small share of the campaign of receivers, and that its ledger finds faults."""

import json
import time
from pathlib import Path

import pytest

from cloud.feed.receivers.keys import new_secret, signatures
from tests.campaigns import receivers_ledger as ledger
from tests.campaigns.receivers import campaign
from tests.support.feed_items import alarm_data
from tests.support.http_sink import Request
from tests.support.mosquitto import MOSQUITTO


async def test_share_of_the_campaign_loses_nothing(tmp_path: Path) -> None:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    print("seed 2")
    result = await campaign(tmp_path, each=1, kills=1, seed=2)
    assert result.faults == []
    assert result.kills == 1
    assert result.items > 10


def test_ledger_finds_what_is_lost_bent_or_unsigned() -> None:
    secret, _ = new_secret("hmac")
    items = {1: alarm_data(1, 1), 2: alarm_data(1, 2)}

    def request(offset: int, data: str) -> Request:
        id_, body = f"msg_k_{offset}", json.dumps({"data": json.loads(data)}).encode()
        at = int(time.time())  # the standard's own code takes five minutes of difference
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(at),
            "webhook-signature": signatures([secret], id_, at, body),
        }
        return Request("POST", "/", headers, body)

    good = [request(1, items[1]), request(2, items[2])]
    assert ledger.check_webhook(items, good, "k", secret) == []
    assert ledger.check_webhook(items, good[:1], "k", secret) == ["item 2 was never taken"]
    bent = [good[0], request(2, items[1])]
    assert ledger.check_webhook(items, bent, "k", secret) == ["item 2 was bent"]
    assert ledger.check_alertmanager(items, [])
    assert ledger.check_panel(items, [], {})
    assert ledger.check_mail(items, [], "k")
